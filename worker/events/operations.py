"""Events for operators, on `lw:operations`."""

from collections.abc import Mapping
from typing import Any, Final

from redis import Redis

from worker.events.cloudevent import cloud_event
from worker.store import redis_keys
from worker.store.redis_client import run_script_to_disk

OPERATIONS: Final = redis_keys.OPERATIONS.name
"""Redis stream with one field, `event`."""

REMEMBERED_SECONDS = 30 * 24 * 3600
"""After this an event with the same ID is published again."""


def alert_operators(
    redis: Redis, kind: str, event_id: str, *, subject: str, data: Mapping[str, Any], deployment: str, now_ms: int
) -> bool:
    """Publishes an event, unless one with its ID was published in the last `REMEMBERED_SECONDS`, so that many workers
    publish it once; returns whether it did.

    Raises:
        SchemaError: it does not fit its schema.
        StoreError: Redis failed, or did not confirm that it is on disk; it may have been published.
    """
    text = cloud_event(kind, event_id, subject=subject, data=data, deployment=deployment, now_ms=now_ms)
    keys = [redis_keys.TOLD.of(event_id), OPERATIONS]
    return bool(run_script_to_disk(redis, "tell_once", keys=keys, args=[REMEMBERED_SECONDS, text]))
