"""What the bank is, in figures: for `livewarden bank list` and `stats`."""

import json
from typing import Any

from redis import Redis

from models.bank.bank import Bank
from worker.bank.changelog import position
from worker.bank.deployed import Deployed
from worker.bank.follower import reported_within
from worker.bank.keys import FOLLOWERS
from worker.lookback.jobs import JOBS
from worker.redisdb import now_ms, store_errors

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
            "refreshed_ms": deployed.refreshed_ms.get(name),
            "stale": name in deployed.stale,
        }
        for name, spec in bank.specs.items()
    ]


def stats(redis: Redis, bank: Bank, deployed: Deployed) -> dict[str, Any]:
    """The whole bank, how far the processes that follow it have come, and how many look-backs are under way.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now = now_ms(redis)
        look_backs = int(redis.hlen(JOBS))
        told = {str(name): str(text) for name, text in redis.hgetall(FOLLOWERS).items()}
    followers = {name: json.loads(text) for name, text in told.items() if reported_within(text, now, FOLLOWING_MS)}
    late = [
        name for name, one in followers.items() if position(str(one.get("position", ""))) < position(deployed.position)
    ]
    return {
        "entries": sum(bank.sizes.values()),
        "lists": {name: {"entries": bank.sizes[name], "version": bank.versions[name]} for name in bank.specs},
        "snapshot": deployed.pointer.name or None,
        "in_store": bool(deployed.pointer.digest),
        "changes": deployed.changes,
        "position": deployed.position,
        "processes": len(followers),
        "processes_behind": sorted(late),
        "look_backs": look_backs,
        "degraded": list(deployed.degraded),
    }
