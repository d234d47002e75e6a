"""What sees to look-backs for whole lists: a thread of each worker's main process."""

import logging
import random
import threading
from collections.abc import Callable

from redis import Redis
from redis.exceptions import RedisError

from config.errors import LivewardenError
from worker.bank.folder import FolderLists
from worker.bank.follower import Follower
from worker.bank.keys import FILES
from worker.logs.failure_log import Troubles
from worker.lookback.bulk import enqueue
from worker.lookback.jobs import is_bulk_due
from worker.store.age_clock import age_ms
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, store_errors

_trouble = Troubles(logging.getLogger(__name__))

LOOK_SECONDS = (2.0, 6.0)
"""Between two looks: at random, so that workers do not all start one."""

REST_SECONDS = 60.0
"""After a search that failed."""


def keep_looking_back(
    redis: Redis,
    bank: Follower,
    store_url: str,
    stopping: threading.Event,
    *,
    hours: float,
    search: Callable[[threading.Event], bool],
) -> None:
    """Looks back for what lists of files bring, and has whole lists searched for wherever nobody is at it, until
    `stopping` is set.

    Args:
        search: searches for whole lists until it is done or the event is set; gives whether it succeeded.
    """
    store: ObjectStore | None = None
    while not stopping.wait(random.uniform(*LOOK_SECONDS)):  # noqa: S311 - jitter, no secret
        try:
            store = ObjectStore(store_url) if store is None else store
            look_back_for_files(redis, store, bank.folder, hours=hours)
            if is_bulk_due(redis) and not search(stopping):
                stopping.wait(REST_SECONDS)
            _trouble.over("lists", "whole lists are looked back for again")
        except (LivewardenError, RedisError, OSError) as error:
            _trouble.met("lists", "whole lists are not looked back for: %s", error)


def look_back_for_files(redis: Redis, store: ObjectStore, folder: FolderLists, *, hours: float) -> int:
    """Has the log searched for lists of files that it was not searched for as they are now; gives for how many hashes.

    Every worker sees the files. Where two are first at once the log is searched twice, and what is found is told once.
    What was known of a list before is of no account: what a match told already is no news.

    Raises:
        ObjectStoreError, StoreError: it is tried again at the next look.
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
