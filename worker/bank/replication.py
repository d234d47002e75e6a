"""Snapshots in the store, through which hosts that do not share a disk get the bank.

The writer of a snapshot uploads it before it is in force, and Redis names its digest: a host that lacks it fetches it
into a folder of its own while moderation goes on, and checks every byte. Only the holder of the writer's lease changes
the store. One process of a host fetches, and every follower takes over what it finds in the folder. If that process
dies, what it left does not count, and the next one begins anew.
"""

import fcntl
import logging
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from redis import Redis

from models.bank.snapshot import (
    copy_snapshot,
    current_snapshot,
    file_names,
    is_whole,
    make_current,
    manifest_digest,
    tidy,
)
from models.bank.writing import PREFIX
from models.errors import SnapshotError
from worker.bank.changelog import read_pointer
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError, ObjectStoreError, StoreError
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic
from worker.store.object_store import ObjectStore

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

FOLDER: Final = "bank"
"""In the store: it has a folder for each bank (`lw:bank:id`), with one for each snapshot."""

LOCK: Final = ".fetching"
"""File in the host's folder: locked by the process that fetches."""

CHECK_SECONDS = (0.5, 1.5)
"""Between two checks of the snapshot in force: at random, so that hosts do not all begin together."""

REST_SECONDS = 10.0
"""After a failure."""

START_SECONDS = 30.0
"""For which a starting process waits for a store that is away, if its host has no snapshot at all."""


def upload(store: ObjectStore, bank_id: str, path: Path, heartbeat: Callable[[], None]) -> str:
    """Uploads a snapshot, the manifest last; returns its digest.

    Raises:
        ObjectStoreError: the store is away or full.
        SnapshotError: the snapshot cannot be read.
        Any error of `heartbeat`.
    """
    for name in file_names(path):
        store.put(f"{_folder(bank_id, path.name)}/{name}", path / name, heartbeat)
    return manifest_digest(path)


def keep_only(store: ObjectStore, bank_id: str, names: Collection[str], *, is_held: Callable[[], bool]) -> None:
    """Removes all other snapshots from the store.

    Args:
        is_held: returns whether this process still holds the writer's lease; else nothing is removed.

    Raises:
        ObjectStoreError: the store failed; some may have been removed.
        Any error of `is_held`.
    """
    found = store.all_names(f"{FOLDER}/{bank_id}")
    # In this order: what the next holder of the lease uploads is not among the names found before.
    if not is_held():
        return
    for name in found:
        if name in names:
            continue
        folder = _folder(bank_id, name)
        for file in sorted(store.all_names(folder)):
            store.remove(f"{folder}/{file}")
        store.remove_folder(folder)


def _folder(bank_id: str, name: str) -> str:
    return f"{FOLDER}/{bank_id}/{name}"


def fetch_missing(
    redis: Redis, storage: SnapshotStorage, *, stopping: threading.Event | None = None, waits: bool = False
) -> bool:
    """Fetches the snapshot in force into this host's folder, if it is not there; returns whether it did.

    Args:
        stopping: the fetch is given up once it is set.
        waits: if another process of this host is fetching, waits for it.

    Raises:
        ObjectStoreError: the store is away; `missing`: it has no such snapshot. Or `stopping` is set.
        SnapshotError: it does not have that digest, or cannot be written.
        StoreError: Redis failed.
    """
    pointer, folder = read_pointer(redis), storage.find(redis)
    if not pointer.digest or folder is None or not storage.store_url or is_whole(folder / pointer.name):
        return False
    store = storage.open_store()
    assert store is not None
    with _alone(folder, waits=waits) as alone:
        if not alone or is_whole(folder / pointer.name):
            return False

        def heartbeat() -> None:
            if stopping is not None and stopping.is_set():
                raise ObjectStoreError("store: a snapshot of the hash bank is not fetched: this process ends")

        tidy(folder, in_force=lambda: read_pointer(redis).name)  # what an earlier fetch that was killed left takes room
        began = monotonic()
        _log.info("fetching snapshot %s of the hash bank", pointer.name)
        there = _folder(storage.bank_id(redis), pointer.name)
        path = copy_snapshot(
            folder,
            pointer.name,
            digest=pointer.digest,
            read=lambda file: store.chunks(f"{there}/{file}"),
            heartbeat=heartbeat,
        )
        _log.info("snapshot %s of the hash bank is here, after %.1f s", pointer.name, monotonic() - began)
        if not _points_anywhere(folder):
            make_current(folder, path)  # it may not be in force any more, but is better than none
        tidy(folder, in_force=lambda: read_pointer(redis).name)
    return True


def _points_anywhere(folder: Path) -> bool:
    try:
        return current_snapshot(folder) is not None
    except SnapshotError:
        return False


def fetch_at_start(redis: Redis, storage: SnapshotStorage) -> None:
    """Fetches the snapshot in force before the bank is opened. If it fails, opening the bank reports what is missing.
    Waits for a store that is away, or for another process that fetches, only if the folder has no snapshot.
    """
    until, waiting = monotonic() + START_SECONDS, threading.Event()
    has_any = any(map(is_whole, storage.root.glob(f"{PREFIX}*")))
    while True:
        try:
            fetch_missing(redis, storage, waits=not has_any)
            _trouble.over("start", "the hash bank is fetched")
            return
        except StoreError:
            return
        except (SnapshotError, BankRequestError) as error:
            _log.warning("the hash bank is not fetched: %s", error)
            return
        except ObjectStoreError as error:
            _trouble.met("start", "the hash bank is not fetched: %s", error)
            if error.missing or monotonic() >= until or has_any:
                return
        waiting.wait(1.0)


def keep_fetched(redis: Redis, storage: SnapshotStorage, stopping: threading.Event) -> None:
    """Fetches each snapshot that comes into force, until `stopping` is set: a thread of each worker's main process."""

    def step() -> None:
        fetch_missing(redis, storage, stopping=stopping)

    periodic(
        step,
        stopping,
        interval_seconds=CHECK_SECONDS,
        troubles=_trouble,
        failing="the hash bank is not fetched, and tried again",
        well_again="the hash bank is fetched again",
        rest_seconds=REST_SECONDS,
        reported=(StoreError,),  # by the followers
    )


@contextmanager
def _alone(folder: Path, *, waits: bool) -> Iterator[bool]:
    """Yields whether no other process of this host fetches; the lock of a dead one is free."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / LOCK).open("wb")
    except OSError as error:
        raise SnapshotError(f"{folder}: cannot be written: {error.strerror}") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX if waits else fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
