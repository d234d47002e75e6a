"""Publishes to operators polls that ended by an unexpected error: a bug, or a damaged record."""

import re
from typing import Final

from redis import Redis

from worker.events.cloudevent import cloud_event, derived_id
from worker.events.operations import OPERATIONS
from worker.ingest.poll.poll import PollFailure
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

POLL_FAILED: Final = "livewarden.operations.poll_failed.v1"

PUBLISHED_EVERY_SECONDS: Final = 3_600
"""For one stream and type of error: a stream that fails at each poll makes one event an hour."""


def publish_poll_failed(redis: Redis, failure: PollFailure, *, deployment: str) -> None:
    """Publishes a failure, once an hour for its stream and type of error. It is not synced to disk: it will recur."""
    now = now_ms(redis)
    error = re.sub(r"\W", "_", failure.error, flags=re.ASCII)[:100]
    published = derived_id(POLL_FAILED, failure.stream_id, error)
    event = cloud_event(
        POLL_FAILED,
        derived_id(published, now // (PUBLISHED_EVERY_SECONDS * 1000)),
        subject=failure.stream_id,
        data={"stream_id": failure.stream_id, "error": error, "place": failure.place[:200]},
        deployment=deployment,
        now_ms=now,
    )
    keys = [redis_keys.TOLD.of(published), OPERATIONS]
    run_script(redis, "tell_once", keys=keys, args=[PUBLISHED_EVERY_SECONDS, event])
