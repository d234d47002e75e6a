"""Which segment of the slow streams is next: fair shares of the time that they have together.

A message in `segments.slow` names no segment. Were they taken as they came, a stream that was slow once would wait
behind all that a hostile one has sent: 48 segments that drip for 5 s each are four minutes. So the stream is next that
has held a process for the least time, as in start-time fair queuing (Goyal, Vin and Cheng, 1996): what it held last is
what its next turn costs, and one that comes, or comes back, begins where the others are.
"""

import secrets

from redis import Redis

from worker.redisdb import run_script
from worker.streams.slowness import QUICK_SECONDS, SlowPart, slow_key, slow_prefix

ORDER = "lw:slow:order"
"""Sorted set: stream by the time at which its turn begins, in milliseconds of process time that slow streams held."""
CLOCK = "lw:slow:clock"
"""Where on that time the last turn began."""
WAITING_PREFIX = "lw:slow:waiting:"
"""Sorted set for each stream: segment keys that wait, by when they came. Bounded by the stream's pending segments."""
_TAKEN_PREFIX = "lw:slow:taken:"

WAITING_KEPT_SECONDS = 3600
"""As the counts of a segment's tries; the reconciler sends what is still pending then."""

FIRST_COST_MS = round(QUICK_SECONDS * 1000)
"""Of a stream's turn of which it is not known how long it takes: it was too slow for the others."""

_ANSWER_KEPT_SECONDS = 60


def add_waiting(redis: Redis, stream_id: str, segment_key: str) -> None:
    """Has a segment wait for its stream's turn; may be called twice. A message must be sent after it."""
    run_script(
        redis,
        "slow_add",
        keys=[WAITING_PREFIX + stream_id, ORDER, CLOCK, slow_key(SlowPart.SEGMENTS, stream_id)],
        args=[stream_id, segment_key, WAITING_KEPT_SECONDS],
    )


def take_waiting(redis: Redis) -> tuple[str, str] | None:
    """Takes the segment whose turn it is, as (stream ID, segment key); None: none waits.

    What is taken and never begun comes again by the reconciler, like a segment whose message was lost.
    """
    taken = run_script(
        redis,
        "slow_take",
        keys=[ORDER, CLOCK, _TAKEN_PREFIX + secrets.token_hex(8)],
        args=[WAITING_PREFIX, slow_prefix(SlowPart.SEGMENTS), FIRST_COST_MS, _ANSWER_KEPT_SECONDS],
    )
    return (str(taken[0]), str(taken[1])) if taken else None


def waiting_streams(redis: Redis) -> int:
    """How many slow streams have segments that wait."""
    return int(redis.zcard(ORDER))
