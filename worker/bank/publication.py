"""Putting a new snapshot in force: written beside the old one, named in Redis, and taken over by every process.

One process at a time writes, under a lease. A crash at any point leaves the old snapshot in force: what Redis does not
name is in force nowhere, and the next writer clears it away.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from redis import Redis

from config.errors import LivewardenError
from config.facts import ALLOW
from models.bank.bank import Bank
from models.bank.entries import Entry, ListSpec
from models.bank.snapshot import Snapshot, open_snapshot, snapshot_written, tidy
from models.errors import SnapshotError
from worker.bank.allowance import until_ms
from worker.bank.changelog import START, read_pointer
from worker.bank.deployed import Deployed, follow
from worker.bank.history import KEPT_ACTS, Act
from worker.bank.keys import CHANGES, HISTORY, REFRESHED, SNAPSHOT, WRITER
from worker.bank.place import SnapshotPlace
from worker.bank.remote import keep_only, upload
from worker.errors import BankRequestError, LeaseLostError, ObjectStoreError, StoreError
from worker.logs.failure_log import Troubles
from worker.store.lease import Lease, leased
from worker.store.redis_client import now_ms, run_script, run_script_to_disk, store_errors

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

COMPACT_CHANGES = 10_000
"""Changes since the snapshot from which (>=) a new one is written: they are kept by each process and searched flat, and
10^4 hashes take 0.01 ms a picture."""

Contents = Iterable[tuple[ListSpec, Iterable[Entry]]]


def publish(
    redis: Redis,
    place: SnapshotPlace,
    contents: Callable[[Bank], Contents],
    *,
    refreshed: str = "",
    act: Callable[[], Act] | None = None,
    wait_seconds: float = 0.0,
    brings_more: bool = False,
    due: Callable[[Deployed], bool] = lambda _: True,
) -> Snapshot | None:
    """Writes what `contents` makes of the bank as a new snapshot, and puts it in force. None: it is not `due` any more.

    Changes that others make meanwhile stay in force, on top of it.

    Args:
        refreshed: the list whose source was read whole thereby.
        act: asked, once all is written, what is to be recorded; None: nobody did anything.
        wait_seconds: for another writer to end.
        brings_more: `contents` has what no change tells, as where a list was read whole.

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
        with snapshot_written(
            folder, contents(deployed.bank), watermark=deployed.position, heartbeat=lease.check
        ) as path:
            try:
                snapshot = open_snapshot(path)
                digest = _store(redis, place, path, lease)
            except (LeaseLostError, SnapshotError, StoreError):
                shutil.rmtree(path, ignore_errors=True)
                raise
            published = run_script_to_disk(
                redis,
                "bank_publish",
                keys=[WRITER, SNAPSHOT, CHANGES, REFRESHED, HISTORY],
                args=[
                    lease.token,
                    path.name,
                    deployed.position or START,
                    refreshed,
                    deployed.changes,
                    int(brings_more or bool(refreshed)),
                    digest,
                    json.dumps([] if act is None else [act().to_json()]),
                    KEPT_ACTS,
                ],
            )
            if not published:
                shutil.rmtree(path, ignore_errors=True)
                raise LeaseLostError(f"{WRITER}: another process has taken over: nothing was changed, try again")
        _tidy(redis, folder)
        if digest:
            _tidy_store(redis, place, lease, {path.name, deployed.pointer.name})
        return snapshot


def store_again(redis: Redis, place: SnapshotPlace) -> bool:
    """Puts the snapshot in force into the store, if it is here and not in there; gives whether it did.

    Raises:
        LeaseLostError, ObjectStoreError, SnapshotError, StoreError: it did not; try again.
    """
    folder = place.find(redis)
    if folder is None or not place.store_url or read_pointer(redis).digest:
        return False
    with leased(redis, WRITER) as lease:
        pointer = read_pointer(redis)
        path = folder / pointer.name
        if lease is None or not pointer.name or pointer.digest or not path.is_dir():
            return False
        digest = _upload(redis, place, path, lease)
        with store_errors():
            return bool(run_script(redis, "bank_stored", keys=[SNAPSHOT], args=[path.name, digest]))


def _store(redis: Redis, place: SnapshotPlace, path: Path, lease: Lease) -> str:
    """Puts a snapshot into the store, and gives its digest; empty: there is none, or it is away.

    The bank is put in force all the same, for hashes must not wait for a disk that this host has no need of.
    """
    if not place.store_url:
        lease.check()
        return ""
    try:
        return _upload(redis, place, path, lease)
    except ObjectStoreError as error:
        _log.warning("other hosts cannot come by the new snapshot of the hash bank yet: %s", error)
        lease.check()
        return ""


def _upload(redis: Redis, place: SnapshotPlace, path: Path, lease: Lease) -> str:
    store = place.open_store()
    assert store is not None
    digest = upload(store, place.bank_id(redis), path, lease.check)
    lease.check()
    return digest


def _tidy_store(redis: Redis, place: SnapshotPlace, lease: Lease, names: set[str]) -> None:
    """The snapshot before stays too, for those who are fetching it."""

    def still_ours() -> bool:
        with store_errors():
            return str(redis.get(WRITER)) == lease.token

    try:
        if (store := place.open_store()) is not None:
            keep_only(store, place.bank_id(redis), names, still_ours=still_ours)
    except LivewardenError as error:
        _trouble.met("old", "old snapshots of the hash bank stay in the store: %s", error)


def _tidy(redis: Redis, folder: Path) -> None:
    """What a process finds that cannot ask Redis; it is in force already, so that nothing here may fail it."""
    try:
        tidy(folder, in_force=lambda: read_pointer(redis).name)
    except (SnapshotError, StoreError) as error:
        _log.warning("%s", error)


def compact(redis: Redis, place: SnapshotPlace, *, changes: int = COMPACT_CHANGES) -> bool:
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
