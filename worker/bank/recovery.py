"""Recovery of the hash bank after Redis lost its state, in a thread of each worker's main process.

Changes that are in no snapshot yet were in Redis and in the memory of the processes that follow it. One of these writes
its bank as a new snapshot. If none is left, operators import the lists again.
"""

import json
import logging
import threading
from dataclasses import replace
from typing import Final

from redis import Redis

from config.facts import SELFTEST
from models.bank.bank import Bank
from models.bank.entries import BUILT_IN
from worker.bank.changelog import START, read_update
from worker.bank.follower import BankFollower
from worker.bank.keys import REFRESHED
from worker.bank.publication import Contents, publish_snapshot
from worker.bank.shared_bank import SharedBank
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError
from worker.health.redis_epoch import BEHIND, EPOCH, Epoch, read_epoch
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic
from worker.store import redis_keys
from worker.store.lease import leased
from worker.store.redis_client import now_ms, run_script

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

CHECK_SECONDS: Final = 1.0
"""Between two reads of the bank: a change that is older is in this process's memory when Redis loses it."""

RESTORER: Final = redis_keys.BANK_RESTORER.name
"""Lease: one process at a time restores, and the others see when it is done."""

HOLDERS_MS: Final = 600_000
"""The time after a loss within which a process that lived before it may restore the bank that it held."""

REST_SECONDS: Final = 10.0
"""After a failure."""


def keep_restored(redis: Redis, bank: BankFollower, storage: SnapshotStorage, stopping: threading.Event) -> None:
    """Follows the bank, and restores it whenever Redis lost its state, until `stopping` is set."""

    def step() -> None:
        try:
            bank.refresh()
            restore(redis, bank, storage)
        except BankRequestError as error:
            _trouble.met("wait", "the hash bank is not restored yet: %s", error, level=logging.INFO)
            raise

    periodic(
        step,
        stopping,
        interval_seconds=CHECK_SECONDS,
        troubles=_trouble,
        failing="the hash bank is not restored, and tried again",
        well_again="the hash bank can be restored again",
        rest_seconds=REST_SECONDS,
        reported=(BankRequestError,),
    )


def restore(redis: Redis, bank: BankFollower, storage: SnapshotStorage) -> bool:
    """Restores the bank if Redis lost it and this process holds it; returns whether it is complete now.

    Raises as `worker.bank.publication.publish_snapshot`; try again.
    """
    held, now = bank.held, bank.shared
    if not now.lost:
        if held is not None and held.epoch != now.epoch:
            bank.held = None  # another process has restored it
        return True
    with leased(redis, RESTORER) as lease:
        epoch = read_epoch(redis)
        if lease is None or epoch is None or epoch.bank != BEHIND:
            return False
        if held is None or held.behind:
            if not _imported_again(now, epoch, now_ms(redis)):
                return False
        elif not _is_empty(held.bank):
            _publish(redis, storage, held, epoch)
        refreshed = json.dumps({} if held is None else held.refreshed_ms)
        restored = bool(run_script(redis, "bank_whole", keys=[EPOCH, REFRESHED], args=[epoch.id, refreshed]))
    if restored:
        bank.held = None
        _log.warning("the hash bank is restored after Redis lost its state")
    return restored


def _publish(redis: Redis, storage: SnapshotStorage, held: SharedBank, epoch: Epoch) -> None:
    # Changes since the loss go on top of the held bank.
    update = read_update(redis, held.position if epoch.found == "older_copy" else START)
    since = replace(held.bank, delta=held.bank.delta.applied(*update.changes))

    def contents(current: Bank) -> Contents:
        imported = {name for name, at_ms in update.refreshed_ms.items() if at_ms > held.refreshed_ms.get(name, 0)}
        for name in dict.fromkeys([*since.specs, *current.specs]):
            if name != SELFTEST:
                # A list that was imported since the loss stays as imported.
                source = current if name in imported or name not in since.specs else since
                yield source.specs[name], source.entries(name)

    publish_snapshot(redis, storage, contents, brings_more=True)


def _is_empty(bank: Bank) -> bool:
    return not set(bank.specs) - BUILT_IN and not any(size for name, size in bank.sizes.items() if name != SELFTEST)


def _imported_again(now: SharedBank, epoch: Epoch, at_ms: int) -> bool:
    """Returns whether operators have imported each list of the bank since the loss, and no process may restore it."""
    if epoch.since_ms is not None and 0 <= at_ms - epoch.begun_ms < HOLDERS_MS:
        return False
    names = [name for name, size in now.bank.sizes.items() if size and name not in BUILT_IN]
    return bool(names) and all(now.refreshed_ms.get(name, 0) >= epoch.begun_ms for name in names)
