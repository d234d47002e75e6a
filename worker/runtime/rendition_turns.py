"""Turns of a stream's audits in other renditions, so that they cost other streams a small share of the processes.

An audit waits for an origin and a decoder, as a segment does, in the same queues. A broadcaster who has his other
renditions drip, and the watched one answer at once, would hold a process for seconds with each of his segments.
"""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.store import redis_keys
from worker.store.redis_client import run_script

QUICK_AUDIT_SECONDS: Final = 1.0
"""An audit that held its process for longer (>) is followed by a rest."""

REST_TIMES: Final = 60
"""Times as long as the audit the rest is: a stream's audits hold less than a sixtieth of one process."""

LONGEST_REST_MS: Final = redis_keys.RENDITION_REST.seconds * 1000
"""Rest after an audit that ended its process, or ran out of its time."""


@contextmanager
def rendition_turn(redis: Redis, stream_id: str) -> Iterator[bool]:
    """Holds the stream's turn, from which follows its rest; False: it has an audit now, or rests."""
    token, begun_seconds = secrets.token_hex(16), time.monotonic()
    rest = [redis_keys.RENDITION_REST.of(stream_id)]
    taken = False
    # Redis is full, or the key is foreign: the segment is settled without an audit.
    with suppress(ResponseError):
        taken = bool(run_script(redis, "rendition_begin", keys=rest, args=[token, LONGEST_REST_MS]))
    yield taken
    if taken:
        rest_ms = rest_ms_after(time.monotonic() - begun_seconds)
        with suppress(ResponseError):
            run_script(redis, "rendition_end", keys=rest, args=[token, rest_ms])


def rest_ms_after(held_seconds: float) -> int:
    """The rest after an audit that held its process for so long."""
    return min(round(REST_TIMES * held_seconds * 1000), LONGEST_REST_MS) if held_seconds > QUICK_AUDIT_SECONDS else 0
