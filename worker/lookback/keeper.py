"""The keeper of look-backs for complete lists: a thread of each worker's main process."""

import logging
import threading

from redis import Redis

from worker.bank.folder_lists import FolderLists
from worker.bank.follower import Follower
from worker.bank.keys import FILES
from worker.logs.trouble import Troubles
from worker.lookback.bulk import enqueue
from worker.lookback.jobs import is_bulk_due
from worker.processes.periodic import periodic
from worker.processes.subprocess_job import run_apart
from worker.store.age_clock import age_ms
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, store_errors

_trouble = Troubles(logging.getLogger(__name__))

LOOK_SECONDS = (2.0, 6.0)
"""Between two checks: at random, so that workers do not all start a search."""

REST_SECONDS = 60.0
"""After a failed search."""


def keep_looking_back(redis: Redis, bank: Follower, store_url: str, hours: float, stopping: threading.Event) -> None:
    """Enqueues new lists of files, and starts a search for complete lists when one is due and no other worker does,
    until `stopping` is set."""
    store: ObjectStore | None = None

    def step() -> float | None:
        nonlocal store
        store = ObjectStore(store_url) if store is None else store
        look_back_for_files(redis, store, bank.folder, hours=hours)
        return REST_SECONDS if is_bulk_due(redis) and not run_apart("worker.lookback.bulk", stopping) else None

    periodic(
        step,
        stopping,
        interval_seconds=LOOK_SECONDS,
        troubles=_trouble,
        failing="complete lists are not looked back for",
        well_again="complete lists are looked back for again",
    )


def look_back_for_files(redis: Redis, store: ObjectStore, folder: FolderLists, *, hours: float) -> int:
    """Enqueues those lists of files that the log was not searched for in their present version; returns the number of
    hashes.

    Every worker sees the files. If two enqueue a list at the same time, the log is searched twice, and a match is
    raised once. A changed list is searched for completely: matches that were raised before are not raised again.

    Raises:
        ObjectStoreError, StoreError: it is tried again at the next check.
    """
    enqueued = 0
    with store_errors():
        now = now_ms(redis)
        for name, (version, entries) in folder.lists.items():
            seen = f"{name} {version}"
            if redis.zscore(FILES, seen) is None:
                enqueued += enqueue(redis, store, name, entries)
            redis.zadd(FILES, {seen: now})
        redis.zremrangebyscore(FILES, "-inf", age_ms(redis) - round(hours * 3_600_000))
    return enqueued
