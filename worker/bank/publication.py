"""Putting a new snapshot in force: written beside the old one, named in Redis, and taken over by every process.

One process at a time writes, under a lease. A crash at any point leaves the old snapshot in force: what Redis does not
name is in force nowhere, and the next writer clears it away.
"""

import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from redis import Redis

from config.facts import ALLOW
from models.bank.bank import Bank
from models.bank.entries import Entry, ListSpec
from models.bank.snapshot import Snapshot, make_current, open_snapshot, prune, write_snapshot
from models.errors import SnapshotError
from worker.bank.allowance import until_ms
from worker.bank.changelog import START
from worker.bank.deployed import Deployed, follow
from worker.bank.keys import CHANGES, REFRESHED, SNAPSHOT, WRITER
from worker.bank.lease import leased
from worker.bank.place import Place
from worker.errors import BankRequestError, LeaseLostError
from worker.redisdb import now_ms, run_script_to_disk, store_errors

_log = logging.getLogger(__name__)

COMPACT_CHANGES = 10_000
"""Changes since the snapshot from which (>=) a new one is written: they are kept by each process and searched flat, and
10^4 hashes take 0.01 ms a picture."""

Contents = Iterable[tuple[ListSpec, Iterable[Entry]]]


def publish(
    redis: Redis,
    place: Place,
    contents: Callable[[Bank], Contents],
    *,
    refreshed: str = "",
    wait_seconds: float = 0.0,
    due: Callable[[Deployed], bool] = lambda _: True,
) -> Snapshot | None:
    """Writes what `contents` makes of the bank as a new snapshot, and puts it in force. None: it is not `due` any more.

    Changes that others make meanwhile stay in force, on top of it.

    Args:
        refreshed: the list whose source was read whole thereby.
        wait_seconds: for another writer to end.

    Raises:
        BankRequestError: another writer is at work, or the bank in force cannot be read whole.
        LeaseLostError, SnapshotError, StoreError: nothing of it is in force (StoreError: it may be).
        Whatever `contents` raises: nothing of it is in force.
    """
    with leased(redis, WRITER, wait_seconds=wait_seconds) as lease:
        if lease is None:
            raise BankRequestError("another process is writing a snapshot of the bank: try again when it is done")
        deployed = follow(redis, place)
        if not due(deployed):
            return None
        if deployed.behind:
            raise BankRequestError(f"the bank cannot be written anew, for it cannot be read whole: {deployed.behind}")
        folder = place.settle(redis)
        path = write_snapshot(folder, contents(deployed.bank), watermark=deployed.position, heartbeat=lease.check)
        try:
            snapshot = open_snapshot(path)
            lease.check()
        except (LeaseLostError, SnapshotError):
            shutil.rmtree(path, ignore_errors=True)
            raise
        published = run_script_to_disk(
            redis,
            "bank_publish",
            keys=[WRITER, SNAPSHOT, CHANGES, REFRESHED],
            args=[lease.token, path.name, deployed.position or START, refreshed, deployed.changes],
        )
        if not published:
            shutil.rmtree(path, ignore_errors=True)
            raise LeaseLostError(f"{WRITER}: another process has taken over: nothing was changed, try again")
        _tidy(folder, path)
        return snapshot


def _tidy(folder: Path, path: Path) -> None:
    """What a process finds that cannot ask Redis; it is in force already, so that nothing here may fail it."""
    try:
        make_current(folder, path)
        prune(folder)
    except SnapshotError as error:
        _log.warning("%s", error)


def compact(redis: Redis, place: Place, *, changes: int = COMPACT_CHANGES) -> bool:
    """Writes the changes since the snapshot into a new one, if there are that many; gives whether it did.

    Raises:
        As `publish`.
    """
    with store_errors():
        now = now_ms(redis)
    written = publish(
        redis, place, lambda bank: _without_expired(bank, now), due=lambda deployed: deployed.changes >= changes
    )
    return written is not None


def pending_changes(redis: Redis) -> int:
    """How many changes there are since the snapshot."""
    with store_errors():
        return int(redis.hget(SNAPSHOT, "changes") or 0)


def _without_expired(bank: Bank, now: int) -> Contents:
    """What a lead allowed for a while that is over goes."""
    for spec, entries in bank.contents():
        yield spec, (_unexpired(entries, now) if spec.name == ALLOW else entries)


def _unexpired(entries: Iterable[Entry], now: int) -> Iterator[Entry]:
    for entry in entries:
        until = until_ms(entry.tags)
        if until is not None and now < until:
            yield entry
