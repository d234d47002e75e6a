"""Detects that Redis lost its state: it may come back empty, or with an older copy of its data.

An epoch lasts as long as nothing is lost. Each worker's main process and beat reads it with its sign of life, and sends
the epoch that it saw before: a Redis that does not know that one has lost it. Pool children learn of it where they
follow the hash bank.
"""

import logging
import os
import secrets
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Self

from redis import Redis

from worker.events.cloudevent import derived_id, rfc3339
from worker.events.operations import alert_operators
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

_log = logging.getLogger(__name__)

EPOCH: Final = redis_keys.EPOCH.name
"""Hash: id, begun_ms, alive_ms (newest sign of any process); after a loss: lost (the epoch before; `unknown` if no live
process saw it), since_ms (last time at which a live process saw that one), found (`nothing` or `older_copy`), bank
(`behind`, later `whole`)."""

SEED: Final = redis_keys.SEED.name
"""Secret of this deployment for drawing audits. It is in Redis so that a segment that is sent again, to another worker,
has the same plan."""

STATE_LOST: Final = "state-lost"
"""Slug in `degraded`: Redis lost its state, and the hash bank may be incomplete."""

EVENT: Final = "livewarden.operations.state_lost.v1"

BEHIND: Final = "behind"

FORGIVEN_MS: Final = 5_000
"""Last writes that Redis may lose without a loss of state: `appendfsync everysec` loses up to 2 s."""

PUBLISH_AFTER_MS: Final = 2_000
"""After an epoch's beginning: by the next sign every live process has reported when it saw the one before."""

PUBLISHED_FOR_MS: Final = 24 * 3600 * 1000
"""After this a loss is old, and processes that start later do not publish it again."""


@dataclass(frozen=True, kw_only=True)
class Epoch:
    """Redis's epoch. Times are in milliseconds of Redis's clock."""

    id: str
    begun_ms: int
    alive_ms: int
    """Newest sign of any process; never goes back."""
    lost: str = ""
    """The epoch before, if it was lost; `unknown`: no live process saw it."""
    since_ms: int | None = None
    """Last time at which a live process saw the one before; None: none did."""
    found: str = ""
    """State that was left: `nothing` or `older_copy`."""
    bank: str = ""
    """`behind`, or `whole`; empty: nothing was lost."""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """Parses the hash."""
        return cls(
            id=fields["id"],
            begun_ms=int(fields.get("begun_ms") or 0),
            alive_ms=int(fields.get("alive_ms") or 0),
            lost=fields.get("lost", ""),
            since_ms=int(fields["since_ms"]) if fields.get("since_ms") else None,
            found=fields.get("found", ""),
            bank=fields.get("bank", ""),
        )


def read_epoch(redis: Redis) -> Epoch | None:
    """The current epoch; None: none has begun.

    Raises:
        RedisError: Redis failed.
    """
    fields = {str(name): str(value) for name, value in redis.hgetall(EPOCH).items()}
    return Epoch.of(fields) if "id" in fields else None


def plant_seed(redis: Redis) -> str:
    """Returns the deployment's seed, and creates it if there is none.

    Raises:
        RedisError: Redis failed.
    """
    redis.set(SEED, os.urandom(32).hex(), nx=True)
    return str(redis.get(SEED))


class EpochWatch:
    """One process's view of Redis's epochs."""

    def __init__(self, *, deployment: str, begin: Callable[[Redis], object] = lambda _: None) -> None:
        """`begin` is called in each epoch that this process has not seen before."""
        self._deployment = deployment
        self._begin = begin
        self._epoch: Epoch | None = None
        self._answers: deque[int] = deque()
        """`alive_ms` of the newest answers: one that is older than the last by `FORGIVEN_MS`, and those after it."""
        self._published = ""

    def check(self, redis: Redis, snapshot_key: str) -> Epoch:
        """Gives a sign, begins an epoch if there is none or state was lost, and publishes a loss once.

        Raises:
            RedisError, StoreError: Redis failed.
        """
        before = self._epoch
        epoch = self._read(redis, snapshot_key)
        if before is None or before.id != epoch.id:
            plant_seed(redis)
            self._begin(redis)
            self._answers.clear()
        if before is not None and before.id != epoch.id:
            _log.warning("Redis lost its state (%s is left of it): epoch %s begins", epoch.found or "?", epoch.id)
        self._epoch = epoch
        self._answers.append(epoch.alive_ms)
        while len(self._answers) > 1 and self._answers[1] <= epoch.alive_ms - FORGIVEN_MS:
            self._answers.popleft()
        self._publish(redis, epoch)
        return epoch

    def _read(self, redis: Redis, snapshot_key: str) -> Epoch:
        seen, firm_ms = self._epoch, 0
        if seen is not None and self._answers[0] <= seen.alive_ms - FORGIVEN_MS:
            firm_ms = self._answers[0]
        args: list[str | int] = ["", 0, 0] if seen is None else [seen.id, seen.alive_ms, firm_ms]
        args.insert(0, secrets.token_hex(8))
        answer = run_script(redis, "epoch", keys=[EPOCH, snapshot_key], args=args)
        names = ("id", "begun_ms", "alive_ms", "lost", "since_ms", "found", "bank")
        return Epoch.of({name: str(value) for name, value in zip(names, answer, strict=True)})

    def _publish(self, redis: Redis, epoch: Epoch) -> None:
        if not epoch.lost or self._published == epoch.id:
            return
        now = now_ms(redis)
        if 0 <= now - epoch.begun_ms < PUBLISH_AFTER_MS:
            return
        if now - epoch.begun_ms < PUBLISHED_FOR_MS:
            data = {
                "since": None if epoch.since_ms is None else rfc3339(epoch.since_ms),
                "noticed": rfc3339(epoch.begun_ms),
                "found": epoch.found or "nothing",
            }
            event_id = derived_id(EVENT, epoch.id)
            alert_operators(redis, EVENT, event_id, subject="redis", data=data, deployment=self._deployment, now_ms=now)
        self._published = epoch.id
