"""Publication of a snapshot: it is written beside the old one, named in Redis, and opened by every process.

One process at a time writes, under a lease. A crash at any point leaves the old snapshot in force: one that Redis does
not name is in force nowhere, and the next writer removes it.
"""

import json
import logging
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis

from config.errors import LivewardenError
from models.bank.bank import Bank
from models.bank.entries import Entry, ListSpec
from models.bank.snapshot import Snapshot, open_snapshot, snapshot_written, tidy
from models.errors import SnapshotError
from worker.bank.changelog import START, read_pointer
from worker.bank.history import KEPT_ACTS, BankAct, ChangeAuthor, texts_of
from worker.bank.keys import CHANGES, HISTORY, REFRESHED, SNAPSHOT, WRITER
from worker.bank.replication import keep_only, upload
from worker.bank.shared_bank import SharedBank, follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError, LeaseLostError, ObjectStoreError, PeopleError, StoreError
from worker.logs.failure_log import FailureLog
from worker.store.lease import Lease, leased
from worker.store.redis_client import run_script, run_script_to_disk, store_errors

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

Contents = Iterable[tuple[ListSpec, Iterable[Entry]]]


@dataclass(frozen=True, kw_only=True)
class PreparedLookBack:
    """A search of the verdict log that begins once the list is in force."""

    jobs: Mapping[str, str] = field(default_factory=dict)
    """Records of `worker.lookback.jobs` by id."""
    hashes: int = 0
    missing: str = ""
    """Reason why the log is not searched; empty: it is."""


def publish_snapshot(
    redis: Redis,
    storage: SnapshotStorage,
    contents: Callable[[Bank], Contents],
    *,
    refreshed: str = "",
    author: ChangeAuthor | None = None,
    act: Callable[[], BankAct | None] = lambda: None,
    wait_seconds: float = 0.0,
    brings_more: bool = False,
    look_backs: Callable[[Snapshot], Mapping[str, str]] = lambda _: {},
    due: Callable[[SharedBank], bool] = lambda _: True,
) -> Snapshot | None:
    """Writes the contents that `contents` returns for the bank as a new snapshot, and publishes it. None: it is not
    `due` any more.

    Changes that are made meanwhile stay in force, on top of it.

    Args:
        refreshed: the list whose source was read completely with it.
        author: who does it; None: no person.
        act: returns the act to be recorded, once all is written, or None: nothing is recorded.
        wait_seconds: how long to wait for another writer.
        brings_more: `contents` has entries that no change brought, as from an import.
        look_backs: returns jobs of look-back (`worker.lookback.jobs`), records by id, for the snapshot that is written.
            They begin in the step that publishes it: what is in force already is no news to another import.

    Raises:
        BankRequestError: another writer is at work, or the bank in force cannot be read completely.
        LeaseLostError, SnapshotError, StoreError: nothing of it is in force (StoreError: it may be).
        PeopleError: there is a roster, and the author is not in it, any more: nothing of it is in force.
        Any error of `contents`: nothing of it is in force.
    """
    with leased(redis, WRITER, wait_seconds=wait_seconds) as lease:
        if lease is None:
            raise BankRequestError("another process is writing a snapshot of the bank: try again when it is done")
        shared = follow(redis, storage)
        if not due(shared):
            return None
        if shared.behind:
            raise BankRequestError(
                f"no snapshot can be written, since the bank cannot be read completely: {shared.behind}"
            )
        folder = storage.assigned_folder(redis)
        with snapshot_written(folder, contents(shared.bank), watermark=shared.position, heartbeat=lease.check) as path:
            try:
                snapshot = open_snapshot(path)
                digest = _store(redis, storage, path, lease)
                jobs = look_backs(snapshot)
                done = act()
                lease.check()
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
                    shared.position or START,
                    refreshed,
                    shared.changes,
                    int(brings_more or bool(refreshed)),
                    digest,
                    texts_of([] if done is None else [done]),
                    KEPT_ACTS,
                    *(("", "", 0) if author is None else (author.by, author.proof, int(author.person))),
                    json.dumps(dict(jobs)),
                ],
            )
            if published < 0:
                shutil.rmtree(path, ignore_errors=True)
                raise PeopleError(f"{author.by if author else ''} is not in the roster, any more, or has a new token")
            if not published:
                shutil.rmtree(path, ignore_errors=True)
                raise LeaseLostError(f"{WRITER}: another process holds the lease now: nothing was changed, try again")
        _tidy(redis, folder)
        if digest:
            _tidy_store(redis, storage, lease, {path.name, shared.pointer.name})
        return snapshot


def store_again(redis: Redis, storage: SnapshotStorage) -> bool:
    """Uploads the snapshot in force if it is on this host and not in the store yet; returns whether it did.

    Raises:
        LeaseLostError, ObjectStoreError, SnapshotError, StoreError: it failed; try again.
    """
    folder = storage.find(redis)
    if folder is None or not storage.store_url or read_pointer(redis).digest:
        return False
    with leased(redis, WRITER) as lease:
        pointer = read_pointer(redis)
        path = folder / pointer.name
        if lease is None or not pointer.name or pointer.digest or not path.is_dir():
            return False
        digest = _upload(redis, storage, path, lease)
        with store_errors():
            return bool(run_script(redis, "bank_stored", keys=[SNAPSHOT], args=[path.name, digest]))


def _store(redis: Redis, storage: SnapshotStorage, path: Path, lease: Lease) -> str:
    """Uploads a snapshot, and returns its digest; empty: there is no store, or it is away.

    The snapshot is published anyway: hashes must not wait for a store that this host does not need.
    """
    if not storage.store_url:
        lease.check()
        return ""
    try:
        return _upload(redis, storage, path, lease)
    except ObjectStoreError as error:
        _log.warning("other hosts cannot fetch the new snapshot of the hash bank yet: %s", error)
        lease.check()
        return ""


def _upload(redis: Redis, storage: SnapshotStorage, path: Path, lease: Lease) -> str:
    store = storage.open_store()
    assert store is not None
    digest = upload(store, storage.bank_id(redis), path, lease.check)
    lease.check()
    return digest


def _tidy_store(redis: Redis, storage: SnapshotStorage, lease: Lease, names: set[str]) -> None:
    """Removes old snapshots from the store. The previous one stays, for hosts that are fetching it."""

    def is_held() -> bool:
        with store_errors():
            return str(redis.get(WRITER)) == lease.token

    try:
        if (store := storage.open_store()) is not None:
            keep_only(store, storage.bank_id(redis), names, is_held=is_held)
    except LivewardenError as error:
        _trouble.met("old", "old snapshots of the hash bank stay in the store: %s", error)


def _tidy(redis: Redis, folder: Path) -> None:
    """Removes old snapshots from the folder, and lets it name the new one, for processes without Redis. The snapshot is
    in force already, so errors are only logged."""
    try:
        tidy(folder, in_force=lambda: read_pointer(redis).name)
    except (SnapshotError, StoreError) as error:
        _log.warning("%s", error)
