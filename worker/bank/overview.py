"""What the bank is, in figures: for `livewarden bank list` and `stats`."""

from collections.abc import Mapping
from typing import Any

from redis import Redis

from models.bank.bank import Bank
from worker.bank.changelog import position
from worker.bank.deployed import Deployed
from worker.bank.following import told_by
from worker.bank.keys import FOLLOWERS
from worker.store.redis_client import now_ms, store_errors

FOLLOWING_MS = 90_000
"""A process that has told nothing for longer (>) has ended."""


def list_records(bank: Bank, deployed: Deployed) -> list[dict[str, Any]]:
    """One record a list; lists of files are among them where `bank` has them."""
    return [
        {
            "list": name,
            "source": spec.source,
            "category": spec.category,
            "entries": bank.sizes[name],
            "version": bank.versions[name],
            "max_distance": spec.max_distance,
            "min_quality": spec.min_quality,
            "variants": [str(variant) for variant in spec.variants],
            "owner": spec.owner,
            "exportable": spec.exportable,
            "refresh_seconds": spec.refresh_seconds,
            "refreshed_ms": deployed.refreshed_ms.get(name) or None,
            "created_ms": spec.created_ms,
            "stale": name in deployed.stale,
        }
        for name, spec in bank.specs.items()
    ]


def stats(redis: Redis, bank: Bank, deployed: Deployed, *, look_backs: Mapping[str, Any]) -> dict[str, Any]:
    """The whole bank, and how far the processes that follow it have come; `look_backs` is shown beside it.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now = now_ms(redis)
        told = {str(name): told_by(text) for name, text in redis.hgetall(FOLLOWERS).items()}
    unreadable = [name for name, one in told.items() if one is None]
    followers = {name: one for name, one in told.items() if one is not None and now - one.at_ms <= FOLLOWING_MS}
    late = [name for name, one in followers.items() if position(one.position) < position(deployed.position)]
    return {
        "entries": sum(bank.sizes.values()),
        "lists": {name: {"entries": bank.sizes[name], "version": bank.versions[name]} for name in bank.specs},
        "snapshot": deployed.pointer.name or None,
        "in_store": bool(deployed.pointer.digest),
        "changes": deployed.changes,
        "position": deployed.position,
        "processes": len(followers),
        "processes_behind": sorted(late),
        "processes_unreadable": sorted(unreadable),
        **look_backs,
        "degraded": list(deployed.degraded),
    }
