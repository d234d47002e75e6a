"""References of the policy in force that name nothing: published to operators, once a version by whichever worker."""

import logging
import time
from collections.abc import Callable, Sequence, Set
from typing import Final

from redis import Redis

from config.policy.dead_references import DeadReference, dead_references
from config.policy.policy import policy_name
from config.settings import Settings
from worker.events.cloudevent import cloud_event, derived_id
from worker.events.operations import OPERATIONS, REMEMBERED_SECONDS
from worker.policyload.active_policy import ActivePolicy
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

_log = logging.getLogger(__name__)

ListNames = Callable[[], Set[str] | None]
"""Returns the names of all lists of the deployment; None: they are unknown now."""

REPORT_SECONDS: Final = 10.0
"""Time between two reports of a policy, and between two searches, where nothing changes."""

CANNOT_FIRE: Final = "livewarden.operations.policy_rule_cannot_fire.v1"

MOST_NAMED: Final = 20
"""References that one event names."""


class DeadRules:
    """The references that name nothing: searched for as often as a process reports, and whenever the policy changes."""

    def __init__(self, redis: Redis, settings: Settings, list_names: ListNames) -> None:
        self._redis = redis
        self._settings = settings
        self._list_names = list_names
        self._version = ""
        self._searched_at = float("-inf")
        self._published: frozenset[tuple[str, str]] = frozenset()

    def search(self, active: ActivePolicy) -> None:
        """Reports new ones to operators.

        Raises:
            LivewardenError: Redis failed, or the bank; the next call searches again.
        """
        version = active.policy.version
        if version == self._version and time.monotonic() - self._searched_at <= REPORT_SECONDS:
            return
        if version != self._version:
            self._published = frozenset()
        self._version, self._searched_at = version, time.monotonic()
        scores = {key for classifier in active.classifiers for key in classifier.keys}
        dead = list(dead_references(active.policy, lists=self._list_names(), scores=scores))
        found = frozenset((one.rule, one.name) for one in dead)
        if found - self._published:
            file, deployment = policy_name(self._settings.policy_file), self._settings.deployment
            if _publish(self._redis, dead, version=version, file=file, deployment=deployment):
                _log.warning(
                    "policy %s: %s", version, "; ".join(f"rule {one.rule!r}: {one.place.text}" for one in dead)
                )
        self._published = found


def _publish(redis: Redis, dead: Sequence[DeadReference], *, version: str, file: str, deployment: str) -> bool:
    """Publishes references, at least one, of a version of the policy; returns whether any of them was new.

    A reference is published once a version, also where what it names was there meanwhile, and is gone once more.
    """
    with store_errors():
        now = now_ms(redis)
    named = [
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
    event = cloud_event(
        CANNOT_FIRE,
        derived_id(CANNOT_FIRE, version, *names),
        subject="policy",
        data={"policy": version, "file": file, "rules": named[:MOST_NAMED], "rules_total": len(named)},
        deployment=deployment,
        now_ms=now,
    )
    keys = [redis_keys.POLICIES_UNMET.of(version), OPERATIONS]
    return bool(run_script_to_disk(redis, "tell_new", keys=keys, args=[REMEMBERED_SECONDS, event, *names]))
