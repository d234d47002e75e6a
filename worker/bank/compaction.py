"""What keeps the bank in order while workers run: a thread of each worker's main process.

It tells operators of stale lists, and starts a compaction where one is due, in a process of its own. A task could not
do that: it takes minutes on a large bank, and tasks are redelivered soon. The lease lets one of all workers write; one
that is killed leaves nothing, and another begins anew.
"""

import logging
import os
import random
import sys
import threading

from redis import Redis
from redis.exceptions import RedisError

from config.environment import load_settings
from config.errors import LivewardenError
from worker.bank.alerts import tell_stale
from worker.bank.fetching import fetch_at_start
from worker.bank.follower import Follower
from worker.bank.keys import WRITER
from worker.bank.place import SnapshotPlace
from worker.bank.publication import COMPACT_CHANGES, compact, pending_changes, store_again
from worker.errors import BankRequestError
from worker.logs.failure_log import Troubles
from worker.logs.setup import log_format_of, set_up_logging
from worker.processes.core_dumps import forbid_dumps
from worker.processes.subprocess_job import give_way, run_apart
from worker.store.redis_client import connect

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

LOOK_SECONDS = (5.0, 15.0)
"""Between two looks at how much has changed; at random, so that workers do not all start one."""

REST_SECONDS = 300.0
"""After one that failed: a full disk does not mend itself within seconds."""


def keep_in_order(
    redis: Redis, bank: Follower, place: SnapshotPlace, deployment: str, stopping: threading.Event
) -> None:
    """Tells of stale lists, puts into the store what is not there, and compacts whenever it is due and nobody is at it,
    until `stopping` is set."""
    while not stopping.wait(random.uniform(*LOOK_SECONDS)):  # noqa: S311 - jitter, no secret
        try:
            bank.look()
            store_again(redis, place)
            tell_stale(redis, bank.deployed, deployment=deployment)
            due = pending_changes(redis) >= COMPACT_CHANGES and not redis.exists(WRITER)
            if due and not run_apart("worker.bank.compaction", stopping):
                stopping.wait(REST_SECONDS)
            _trouble.over("order", "the hash bank is kept in order again")
        except (LivewardenError, RedisError, OSError) as error:
            _trouble.met("order", "the hash bank is not kept in order: %s", error)


def main() -> None:
    """Compacts once, as the environment says."""
    forbid_dumps()
    set_up_logging(logging.INFO, log_format_of(os.environ))
    give_way()
    settings = load_settings(os.environ)
    try:
        with connect(settings.redis_url.get_secret_value()) as redis:
            place = SnapshotPlace.of(settings)
            fetch_at_start(redis, place)
            if compact(redis, place):
                _log.info("the hash bank was compacted into a new snapshot")
    except BankRequestError as error:
        _log.info("no compaction now: %s", error)
    except LivewardenError as error:
        _log.warning("no compaction of the hash bank: %s", error)
        sys.exit(1)


if __name__ == "__main__":
    main()
