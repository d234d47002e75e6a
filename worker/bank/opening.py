"""The bank, opened once: for commands that look at it or compare with it and then end."""

from pathlib import Path

from redis import Redis

from config.settings import Settings
from models.bank.bank import Bank
from worker.bank.deployed import Deployed, follow, offline
from worker.bank.fetching import fetch_at_start
from worker.bank.folder_lists import load_folder
from worker.bank.follower import UNFOLLOWED, InForce, in_force
from worker.bank.place import SnapshotPlace
from worker.errors import StoreError
from worker.store.redis_client import connect


def open_bank(redis: Redis, settings: Settings) -> InForce:
    """What workers compare with, LIVEWARDEN_LISTS_DIR included.

    Raises:
        StoreError: Redis is away.
        HashListError, BankRequestError: nothing usable is there.
    """
    place = SnapshotPlace.of(settings)
    fetch_at_start(redis, place)
    return in_force(follow(redis, place), load_folder(settings.lists_dir))


def open_what_is_there(settings: Settings, *, lists_dir: Path | None = None) -> InForce:
    """What can be compared with, Redis or no Redis: for a scan.

    Args:
        lists_dir: a folder of lists that a person named: these alone, and the built-in ones.

    Raises:
        HashListError, BankRequestError: nothing usable is there.
    """
    if lists_dir is not None:
        return in_force(Deployed(), load_folder(lists_dir))
    place, folder = SnapshotPlace.of(settings), load_folder(settings.lists_dir)
    redis = connect(settings.redis_url.get_secret_value(), retries=0)
    try:
        fetch_at_start(redis, place)
        return in_force(follow(redis, place), folder)
    except StoreError:
        without: Bank = in_force(Deployed(bank=offline(place)), folder).bank
        # Nobody misses the deployed bank where there is no deployment.
        return InForce(bank=without, degraded=(UNFOLLOWED,) if "redis_url" in settings.model_fields_set else ())
    finally:
        redis.close()
