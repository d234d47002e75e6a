"""Operators are told of polls that something unexpected ended: a bug of ours, or a damaged record."""

import logging
import re
from typing import Final

from redis import Redis

from worker.events.cloudevent import derived_id
from worker.events.operations import OPERATIONS, operations_event
from worker.ingest.poll.poll import PollFailure
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

POLL_FAILED: Final = "livewarden.operations.poll_failed.v1"

TOLD_EVERY_SECONDS: Final = 3_600
"""Of one stream and kind of error: a stream that fails at each poll is one event an hour."""

_log = logging.getLogger(__name__)


def tell_poll_failed(redis: Redis, failure: PollFailure, *, deployment: str) -> None:
    """Publishes a failure, once an hour for its stream and kind. It does not wait for the disk: it comes again."""
    now = now_ms(redis)
    error = re.sub(r"\W", "_", failure.error, flags=re.ASCII)[:100]
    told = derived_id(POLL_FAILED, failure.stream_id, error)
    event = operations_event(
        POLL_FAILED,
        derived_id(told, now // (TOLD_EVERY_SECONDS * 1000)),
        subject=failure.stream_id,
        data={"stream_id": failure.stream_id, "error": error, "place": failure.place[:200]},
        deployment=deployment,
        now_ms=now,
    )
    run_script(redis, "tell_once", keys=[redis_keys.TOLD.of(told), OPERATIONS], args=[TOLD_EVERY_SECONDS, event])
