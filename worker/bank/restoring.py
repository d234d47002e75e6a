"""Makes the hash bank whole again after Redis lost its state: a thread of each worker's main process.

Changes that are in no snapshot yet were in Redis alone, and in the memory of those who follow them. Whoever was there
writes its bank as a new snapshot, one of all; where nobody was there, operators bring the lists in anew.
"""

import json
import logging
import threading
from dataclasses import replace
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from config.errors import LivewardenError
from config.facts import SELFTEST
from models.bank.bank import Bank
from models.bank.entries import BUILT_IN
from worker.bank.changelog import START, read_news
from worker.bank.deployed import Deployed
from worker.bank.follower import Follower
from worker.bank.keys import REFRESHED
from worker.bank.place import SnapshotPlace
from worker.bank.publication import Contents, publish
from worker.errors import BankRequestError
from worker.health.redis_epoch import BEHIND, EPOCH, Epoch, read_epoch
from worker.logs.failure_log import Troubles
from worker.store import redis_keys
from worker.store.lease import leased
from worker.store.redis_client import now_ms, run_script

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

LOOK_SECONDS: Final = 1.0
"""Between two looks at the bank: a change that is older is in this process's memory when Redis loses it."""

RESTORER: Final = redis_keys.BANK_RESTORER.name
"""Lease: one process at a time restores, and the others see that it is done."""

HOLDERS_MS: Final = 600_000
"""After a loss for which a process that lived before it is waited for to restore what it held."""

REST_SECONDS: Final = 10.0
"""After a try that failed."""


def keep_whole(redis: Redis, bank: Follower, place: SnapshotPlace, stopping: threading.Event) -> None:
    """Follows the bank, and makes it whole again whenever state was lost, until `stopping` is set."""
    while not stopping.wait(LOOK_SECONDS):
        try:
            bank.look()
            make_whole(redis, bank, place)
            _trouble.over("restore", "the hash bank can be restored again")
        except BankRequestError as error:
            _trouble.met("wait", "the hash bank is not restored yet: %s", error, level=logging.INFO)
        except (LivewardenError, RedisError, OSError) as error:
            _trouble.met("restore", "the hash bank is not restored, and tried again: %s", error)
            stopping.wait(REST_SECONDS)


def make_whole(redis: Redis, bank: Follower, place: SnapshotPlace) -> bool:
    """Restores what Redis lost of the bank, if it did and this process holds it; gives whether the bank is whole now.

    Raises:
        As `worker.bank.publication.publish`; it is tried again.
    """
    held, now = bank.held, bank.deployed
    if not now.lost:
        if held is not None and held.epoch != now.epoch:
            bank.held = None  # another process has restored it
        return True
    with leased(redis, RESTORER) as lease:
        epoch = read_epoch(redis)
        if lease is None or epoch is None or epoch.bank != BEHIND:
            return False
        if held is None or held.behind:
            if not _brought_in_anew(now, epoch, now_ms(redis)):
                return False
        elif not _is_empty(held.bank):
            _publish(redis, place, held, epoch)
        refreshed = json.dumps({} if held is None else held.refreshed_ms)
        whole = bool(run_script(redis, "bank_whole", keys=[EPOCH, REFRESHED], args=[epoch.id, refreshed]))
    if whole:
        bank.held = None
        _log.warning("the hash bank is whole again after Redis lost its state")
    return whole


def _publish(redis: Redis, place: SnapshotPlace, held: Deployed, epoch: Epoch) -> None:
    # What was changed since the loss goes on top of what was held.
    news = read_news(redis, held.position if epoch.found == "older_copy" else START)
    since = held.bank
    if news.changes:
        since = replace(since, delta=since.delta.applied(*news.changes))

    def contents(current: Bank) -> Contents:
        imported = {name for name, at_ms in news.refreshed_ms.items() if at_ms > held.refreshed_ms.get(name, 0)}
        for name in dict.fromkeys([*since.specs, *current.specs]):
            if name != SELFTEST:
                # A list that somebody read in whole since then is as that one has it.
                source = current if name in imported or name not in since.specs else since
                yield source.specs[name], source.entries(name)

    publish(redis, place, contents, brings_more=True)


def _is_empty(bank: Bank) -> bool:
    return not set(bank.specs) - BUILT_IN and not any(size for name, size in bank.sizes.items() if name != SELFTEST)


def _brought_in_anew(now: Deployed, epoch: Epoch, at_ms: int) -> bool:
    """Whether operators have brought each list of the bank in since the loss, and nobody else will."""
    if epoch.since_ms is not None and 0 <= at_ms - epoch.begun_ms < HOLDERS_MS:
        return False
    names = [name for name, size in now.bank.sizes.items() if size and name not in BUILT_IN]
    return bool(names) and all(now.refreshed_ms.get(name, 0) >= epoch.begun_ms for name in names)
