"""Operators are told when rules of the policy in force ask for what is nowhere: once a version, whoever sees it."""

from collections.abc import Sequence
from typing import Final

from redis import Redis

from config.policy.dead_references import DeadReference
from worker.events.cloudevent import derived_id
from worker.events.operations import OPERATIONS, REMEMBERED_SECONDS, operations_event
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

CANNOT_FIRE: Final = "livewarden.operations.policy_rule_cannot_fire.v1"

MOST_TOLD: Final = 20
"""References that one event names."""


def tell_dead(redis: Redis, dead: Sequence[DeadReference], *, version: str, file: str, deployment: str) -> bool:
    """Tells of references, at least one, of a version of the policy; gives whether any of them was news.

    What was told is not told again where some of it is there meanwhile, and gone once more.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; it may have been told.
    """
    with store_errors():
        now = now_ms(redis)
    told = [
        {
            "rule": one.rule,
            "mode": one.mode,
            "kind": one.kind,
            "name": one.name,
            "nearest": one.nearest,
            "never_fires": one.never_fires,
        }
        for one in dead
    ]
    names = sorted({f"{one.rule} {one.kind} {one.name}" for one in dead})
    event = operations_event(
        CANNOT_FIRE,
        derived_id(CANNOT_FIRE, version, *names),
        subject="policy",
        data={"policy": version, "file": file, "rules": told[:MOST_TOLD], "rules_total": len(told)},
        deployment=deployment,
        now_ms=now,
    )
    keys = [redis_keys.POLICIES_UNMET.of(version), OPERATIONS]
    return bool(run_script_to_disk(redis, "tell_new", keys=keys, args=[REMEMBERED_SECONDS, event, *names]))
