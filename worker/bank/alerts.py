"""What operators must be told of the bank, on `lw:operations`; once each, however many workers see it."""

from redis import Redis

from worker.bank.deployed import Deployed
from worker.events.cloudevent import derived_id, rfc3339
from worker.events.operations import tell_operators
from worker.store.redis_client import now_ms, store_errors

STALE = "livewarden.operations.list_stale.v1"


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
        spec, refreshed_ms = deployed.bank.specs[name], deployed.refreshed_ms.get(name) or None
        event_id = derived_id(STALE, name, refreshed_ms or spec.created_ms or 0)
        data = {
            "list": spec.name,
            "source": spec.source,
            "owner": spec.owner,
            "refreshed": None if refreshed_ms is None else rfc3339(refreshed_ms),
            "refresh_seconds": spec.refresh_seconds,
        }
        told += tell_operators(redis, STALE, event_id, subject=spec.name, data=data, deployment=deployment, now_ms=now)
    return told
