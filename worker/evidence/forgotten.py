"""Items whose incidents Redis has forgotten: purged ones leave the spool, those that it lost with its data are kept."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from redis import Redis

from worker.evidence.record import ItemState
from worker.health.redis_epoch import read_epoch

NOTICED_SECONDS: Final = 30.0
"""For which (<) an item without its incident stays as it is: a loss of Redis's data is noticed within ten seconds."""


@dataclass(frozen=True, kw_only=True)
class _Missed:
    incident: str
    at: float
    epoch: str
    """Redis's epoch when the item had its incident last; empty: none had begun."""


@dataclass(frozen=True, kw_only=True)
class ForgottenItems:
    """Items that had an incident, and have none."""

    held: frozenset[str]
    """Nobody knows yet why."""
    lost: Mapping[str, str]
    """Redis has lost its data: their incidents, by reference."""


class ForgottenWatch:
    """One process's view of the items in its spool that waited for the store."""

    def __init__(self, redis: Redis, clock: Callable[[], float]) -> None:
        self._redis = redis
        self._clock = clock
        self._epoch = ""
        self._missed: dict[str, _Missed] = {}

    def check(
        self, refs: Collection[str], states: Mapping[str, ItemState], waited: Mapping[str, str]
    ) -> ForgottenItems:
        """Returns those of the spool's items.

        Args:
            refs: of the items in the spool.
            states: of those that have an incident.
            waited: incidents of those that waited at the last check.

        Raises:
            redis.exceptions.RedisError: Redis failed.
        """
        now, epoch = self._clock(), read_epoch(self._redis)
        for ref, incident in waited.items():
            self._missed.setdefault(ref, _Missed(incident=incident, at=now, epoch=self._epoch))
        self._missed = {ref: one for ref, one in self._missed.items() if ref in refs and ref not in states}
        self._epoch = self._epoch if epoch is None else epoch.id
        lost = {ref: one.incident for ref, one in self._missed.items() if epoch and one.epoch not in ("", epoch.id)}
        # An empty Redis has no epoch until the first process has given a sign of life.
        unsure = {ref for ref, one in self._missed.items() if one.epoch and epoch is None}
        recent = {ref for ref, one in self._missed.items() if now - one.at < NOTICED_SECONDS}
        return ForgottenItems(held=frozenset((unsure | recent) - lost.keys()), lost=lost)
