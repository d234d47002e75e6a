"""A host's own copy of the snapshot in force: fetched from the store where it is not there, while moderation goes on.

Of all processes of a host one fetches, and every follower takes over what it finds in the folder. What dies over it
leaves nothing that counts, and the next one begins anew.
"""

import fcntl
import logging
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from config.errors import LivewardenError
from models.bank.snapshot import current_snapshot, is_whole, make_current, tidy
from models.bank.writing import PREFIX
from models.errors import SnapshotError
from worker.bank.changelog import read_pointer
from worker.bank.place import SnapshotPlace
from worker.bank.remote import fetch
from worker.errors import BankRequestError, ObjectStoreError, StoreError
from worker.logs.failure_log import Troubles

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

LOCK: Final = ".fetching"
"""In the folder: locked by the process that fetches."""

LOOK_SECONDS = (0.5, 1.5)
"""Between two looks at what is in force: at random, so that hosts do not all begin at once."""

REST_SECONDS = 10.0
"""After a try that failed."""

START_SECONDS = 30.0
"""For which a starting process waits for a store that is away, if it has nothing else to go by."""


def fetch_missing(
    redis: Redis, place: SnapshotPlace, *, stopping: threading.Event | None = None, waits: bool = False
) -> bool:
    """Fetches the snapshot in force into this host's folder, if it is not there; gives whether it did.

    Args:
        stopping: gives up once it is set.
        waits: for another process of this host that is fetching it.

    Raises:
        ObjectStoreError, SnapshotError, StoreError: it could not be had; try again.
    """
    pointer, folder = read_pointer(redis), place.find(redis)
    if not pointer.digest or folder is None or not place.store_url or is_whole(folder / pointer.name):
        return False
    store = place.open_store()
    assert store is not None
    with _alone(folder, waits=waits) as alone:
        if not alone or is_whole(folder / pointer.name):
            return False

        def heartbeat() -> None:
            if stopping is not None and stopping.is_set():
                raise ObjectStoreError("store: fetching a snapshot of the hash bank: this process ends")

        tidy(folder, in_force=lambda: read_pointer(redis).name)  # what died over an earlier try takes room
        began = monotonic()
        _log.info("fetching snapshot %s of the hash bank", pointer.name)
        path = fetch(
            store, place.bank_id(redis), pointer.name, digest=pointer.digest, folder=folder, heartbeat=heartbeat
        )
        _log.info("snapshot %s of the hash bank is here, after %.1f s", pointer.name, monotonic() - began)
        if not _points_anywhere(folder):
            make_current(folder, path)  # it may be out of force by now, and is better than none
        tidy(folder, in_force=lambda: read_pointer(redis).name)
    return True


def _points_anywhere(folder: Path) -> bool:
    try:
        return current_snapshot(folder) is not None
    except SnapshotError:
        return False


def fetch_at_start(redis: Redis, place: SnapshotPlace) -> None:
    """Fetches the snapshot in force before anything is opened. Where that fails, whoever opens the bank tells what is
    missing; a store that is away, or another process that fetches, is waited for only where the folder has nothing.
    """
    until, waiting = monotonic() + START_SECONDS, threading.Event()
    has_any = any(map(is_whole, place.root.glob(f"{PREFIX}*")))
    while True:
        try:
            fetch_missing(redis, place, waits=not has_any)
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


def keep_fetched(redis: Redis, place: SnapshotPlace, stopping: threading.Event) -> None:
    """Fetches whatever comes into force, until `stopping` is set: a thread of each worker's main process."""
    while not stopping.wait(random.uniform(*LOOK_SECONDS)):  # noqa: S311 - jitter, no secret
        try:
            fetch_missing(redis, place, stopping=stopping)
            _trouble.over("fetch", "the hash bank is fetched again")
        except StoreError:
            continue  # told by those who follow
        except (LivewardenError, RedisError, OSError) as error:
            _trouble.met("fetch", "the hash bank is not fetched, and tried again: %s", error)
            stopping.wait(REST_SECONDS)


@contextmanager
def _alone(folder: Path, *, waits: bool) -> Iterator[bool]:
    """Whether no other process of this host fetches; a dead one holds nobody up."""
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
