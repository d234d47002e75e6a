"""What operators must be told of the bank, on `lw:operations`; once each, however many workers see it."""

import json
from datetime import UTC, datetime

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from redis import Redis

from config.schemas import check_event
from models.bank.entries import ListSpec
from worker.bank.deployed import Deployed
from worker.events import derived_id, rfc3339
from worker.queuekeys import OPERATIONS
from worker.redisdb import now_ms, run_script_to_disk, store_errors

STALE = "livewarden.operations.list_stale.v1"

REMEMBERED_SECONDS = 30 * 24 * 3600
"""After which a list that is still stale is told of again."""


def tell_stale(redis: Redis, deployed: Deployed, *, deployment: str) -> int:
    """Tells of each list that is stale, once for each time at which it was last refreshed; gives how many were new.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; some may have been told.
    """
    if not deployed.stale:
        return 0
    with store_errors():
        now = now_ms(redis)
    told = 0
    for name in deployed.stale:
        spec, refreshed_ms = deployed.bank.specs[name], deployed.refreshed_ms.get(name)
        event_id = derived_id(STALE, name, refreshed_ms or 0)
        text = _stale(spec, refreshed_ms, event_id, deployment, now)
        keys = [f"lw:told:{event_id}", OPERATIONS]
        told += int(run_script_to_disk(redis, "tell_once", keys=keys, args=[REMEMBERED_SECONDS, text]))
    return told


def _stale(spec: ListSpec, refreshed_ms: int | None, event_id: str, deployment: str, now: int) -> str:
    event = CloudEvent(
        {
            "specversion": "1.0",
            "id": event_id,
            "source": f"/livewarden/{deployment}",
            "type": STALE,
            "subject": spec.name,
            "time": datetime.fromtimestamp(now / 1000, UTC),
            "datacontenttype": "application/json",
        },
        {
            "list": spec.name,
            "source": spec.source,
            "owner": spec.owner,
            "refreshed": None if refreshed_ms is None else rfc3339(refreshed_ms),
            "refresh_seconds": spec.refresh_seconds,
        },
    )
    text: str = JSONFormat().write(event).decode()
    check_event(json.loads(text))
    return text
