"""Names of the lists of a deployment, wherever they are: in its bank, or in files of one of its hosts."""

from redis import Redis

from config.settings import Settings
from models.bank.bank import Bank
from models.bank.delta import Delta
from models.bank.snapshot import open_snapshot
from worker.bank.changelog import NO_SNAPSHOT, START, read_news
from worker.bank.deployed import BEHIND
from worker.bank.folder import load_folder
from worker.bank.follower import UNFOLLOWED, Follower
from worker.bank.keys import FILES
from worker.bank.place import SnapshotPlace
from worker.errors import BankRequestError
from worker.health.redis_epoch import STATE_LOST
from worker.store.redis_client import now_ms, store_errors

_SEEN_MS = 60_000
"""For which a list of files counts that no worker sees any more; each looks every few seconds."""


def deployed_names(redis: Redis, settings: Settings) -> frozenset[str]:
    """Of a deployment that runs no process here; changes nothing, and fetches nothing.

    Raises:
        StoreError: Redis is away, or refuses this user.
        LivewardenError: the snapshot in force is not on this machine, or cannot be opened.
    """
    place = SnapshotPlace.of(settings)
    news = read_news(redis, START)
    pointer = news.pointer
    if pointer.damaged:
        raise BankRequestError(pointer.damaged)
    bank = Bank()
    if pointer is not NO_SNAPSHOT:
        folder = place.find(redis)
        if folder is None:
            raise BankRequestError(f"the bank's snapshot {pointer.name} is not on this machine")
        bank = Bank(snapshot=open_snapshot(folder / pointer.name))
        news = read_news(redis, pointer.watermark)
    bank = Bank(snapshot=bank.snapshot, delta=Delta().applied(*news.changes))
    return frozenset(bank.specs) | frozenset(load_folder(settings.lists_dir).lists) | _of_files(redis)


def followed_names(redis: Redis, follower: Follower) -> frozenset[str] | None:
    """Of the deployment that this process is part of; None: it does not have all that is in force.

    Raises:
        StoreError: Redis failed.
        LivewardenError: no list is usable.
    """
    in_force = follower.in_force()
    if not {BEHIND, STATE_LOST, UNFOLLOWED}.isdisjoint(in_force.degraded):
        return None
    return frozenset(in_force.bank.specs) | _of_files(redis)


def _of_files(redis: Redis) -> frozenset[str]:
    with store_errors():
        seen = redis.zrangebyscore(FILES, now_ms(redis) - _SEEN_MS, "+inf")
    return frozenset(str(one).rpartition(" ")[0] for one in seen)
