"""Upkeep of the bank, in a thread of each worker's main process: compaction, uploads, and notices of stale lists.

A compaction writes the changes since the snapshot into a new one, in a process of its own: it takes minutes on a large
bank, and a task would be redelivered before. The lease lets one of all workers write; one that is killed leaves nothing
behind, and another begins anew.
"""

import logging
import sys
import threading
from collections.abc import Iterable, Iterator

from redis import Redis

from config.errors import LivewardenError
from config.facts import ALLOW
from models.bank.bank import Bank
from models.bank.entries import Entry
from worker.bank.allowance import allowed_until_ms
from worker.bank.follower import BankFollower
from worker.bank.keys import SNAPSHOT, WRITER
from worker.bank.publication import Contents, publish_snapshot, store_again
from worker.bank.replication import fetch_at_start
from worker.bank.shared_bank import SharedBank
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError
from worker.events.cloudevent import derived_id, rfc3339
from worker.events.operations import alert_operators
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic
from worker.processes.subprocess_job import begin_job, run_subprocess_job
from worker.store.redis_client import connect, now_ms, store_errors

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

COMPACT_CHANGES = 10_000
"""Changes since the snapshot from which (>=) a new one is written: each process keeps them in memory and searches them
flat, and 10^4 hashes take 0.01 ms a picture."""

LIST_STALE = "livewarden.operations.list_stale.v1"

CHECK_SECONDS = (5.0, 15.0)
"""Between two checks; at random, so that workers do not all start a compaction."""

REST_SECONDS = 300.0
"""After a failed compaction: a full disk stays full for more than seconds."""


def keep_in_order(
    redis: Redis, bank: BankFollower, storage: SnapshotStorage, deployment: str, stopping: threading.Event
) -> None:
    """Publishes stale lists, uploads the snapshot if the store lacks it, and compacts when it is due and no other
    process does, until `stopping` is set."""

    def step() -> float | None:
        bank.refresh()
        store_again(redis, storage)
        publish_stale(redis, bank.shared, deployment=deployment)
        due = pending_changes(redis) >= COMPACT_CHANGES and not redis.exists(WRITER)
        return REST_SECONDS if due and not run_subprocess_job("worker.bank.compaction", stopping) else None

    periodic(
        step,
        stopping,
        interval_seconds=CHECK_SECONDS,
        troubles=_trouble,
        failing="the hash bank is not kept in order",
        well_again="the hash bank is kept in order again",
    )


def publish_stale(redis: Redis, shared: SharedBank, *, deployment: str) -> int:
    """Publishes an event to operators for each stale list, once after each refresh, whichever worker sees it first;
    returns the number of new ones.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; some may have been published.
    """
    if not shared.stale:
        return 0
    with store_errors():
        now = now_ms(redis)
    published = 0
    for name in shared.stale:
        spec, refreshed_ms = shared.bank.specs[name], shared.refreshed_ms.get(name) or None
        event_id = derived_id(LIST_STALE, name, refreshed_ms or spec.created_ms or 0)
        data = {
            "list": spec.name,
            "source": spec.source,
            "owner": spec.owner,
            "refreshed": None if refreshed_ms is None else rfc3339(refreshed_ms),
            "refresh_seconds": spec.refresh_seconds,
        }
        published += alert_operators(
            redis, LIST_STALE, event_id, subject=spec.name, data=data, deployment=deployment, now_ms=now
        )
    return published


def compact(redis: Redis, storage: SnapshotStorage, *, changes: int = COMPACT_CHANGES) -> bool:
    """Writes the changes since the snapshot into a new one, if there are so many; returns whether it did.

    Raises as `publish_snapshot`.
    """
    with store_errors():
        now = now_ms(redis)
    written = publish_snapshot(
        redis, storage, lambda bank: _without_expired(bank, now), due=lambda shared: shared.changes >= changes
    )
    return written is not None


def pending_changes(redis: Redis) -> int:
    """Number of changes since the snapshot."""
    with store_errors():
        return int(redis.hget(SNAPSHOT, "changes") or 0)


def _without_expired(bank: Bank, now: int) -> Contents:
    """All lists, but for entries of `allow` whose time is over."""
    for spec, entries in bank.contents():
        yield spec, (_unexpired(entries, now) if spec.name == ALLOW else entries)


def _unexpired(entries: Iterable[Entry], now: int) -> Iterator[Entry]:
    for entry in entries:
        until = allowed_until_ms(entry.tags)
        if until is not None and now < until:
            yield entry


def main() -> None:
    """Compacts once, by the environment's settings."""
    settings = begin_job()
    try:
        with connect(settings.redis_url.get_secret_value()) as redis:
            storage = SnapshotStorage.of(settings)
            fetch_at_start(redis, storage)
            if compact(redis, storage):
                _log.info("the hash bank was compacted into a new snapshot")
    except BankRequestError as error:
        _log.info("no compaction now: %s", error)
    except LivewardenError as error:
        _log.warning("no compaction of the hash bank: %s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
