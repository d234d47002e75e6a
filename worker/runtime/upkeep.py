"""What has to be done every few seconds, whoever does it: each step stands for itself."""

import logging
from collections.abc import Callable, Mapping

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.bank.people import forget_past
from worker.incidents.coverage_gaps import raise_coverage_gaps
from worker.incidents.hash_flood_record import tell_due
from worker.ingest.coverage.ledger import pay_owed
from worker.ingest.poll.origin_gaps import tell_gaps
from worker.ingest.poll.schedule import reconcile
from worker.ingest.poll.stream_poll import SendSegment
from worker.ingest.registry.registry import forget_gone
from worker.logs.exception_place import place_of
from worker.logs.failure_log import Troubles
from worker.lookback import jobs as look_back_jobs
from worker.queue.trimming import trim
from worker.runtime.event_log import log_published
from worker.runtime.key_retention import give_lives
from worker.runtime.worker_process import WorkerProcess
from worker.store.object_store import ObjectStore
from worker.verdictlog import outcomes, retention

_failures = Troubles(logging.getLogger(__name__))

_AWAY = (RedisConnectionError, RedisTimeoutError)

HOUSEKEEPING = {
    "look_back": look_back_jobs.is_due,
    "keep_log": retention.is_due,
    "record_outcomes": outcomes.is_due,
}
"""Tasks of their own, by name, and whether there is something for them to do."""


def look_after(process: WorkerProcess, *, send: SendSegment, send_housekeeping: Callable[[str], None]) -> None:
    """Sends overdue segments again, brings ledgers up to date, forgets what is over, publishes origins' gaps, those of
    single streams and which streams joined groups, logs what was published, trims what is old or acknowledged, and
    sends housekeeping that is due.

    A step that fails, over what one stream or somebody else left in Redis, is logged and costs no other step.

    Raises:
        StoreError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: Redis is away.
    """
    redis, deployment = process.redis, process.settings.deployment
    steps: dict[str, Callable[[], object]] = {
        "overdue segments": lambda: reconcile(redis, send),
        "ledgers": lambda: pay_owed(redis),
        "streams that are gone": lambda: forget_gone(redis),
        "lives of keys": lambda: give_lives(redis),
        "what was put forward": lambda: forget_past(redis),
        "gaps of origins": lambda: tell_gaps(redis, deployment=deployment),
        "coverage gaps": lambda: raise_coverage_gaps(redis, deployment=deployment, policy=process.policy),
        "groups of streams": lambda: tell_due(redis, deployment=deployment, policy=process.policy),
        "log of events": lambda: log_published(redis),
        "trimming": lambda: trim(redis, held_from=outcomes.unrecorded_from(redis)),
    }
    for name, is_due in HOUSEKEEPING.items():
        steps[name] = lambda name=name, is_due=is_due: send_housekeeping(name) if is_due(redis) else None  # type: ignore[misc]
    _take(steps)


def look_after_full(process: WorkerProcess) -> None:
    """Upkeep by a process that needs no message for it, while Redis is full and takes none: what makes room.

    What was raised and decided is copied into the store, for until then it is not trimmed; then what every reader has
    acknowledged is trimmed.

    Raises:
        StoreError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: Redis is away.
    """
    redis = process.redis

    def record() -> None:
        if outcomes.is_due(redis):
            outcomes.record_outcomes(redis, ObjectStore(process.settings.store_url))

    _take(
        {
            "outcomes": record,
            "ledgers": lambda: pay_owed(redis),
            "streams that are gone": lambda: forget_gone(redis),
            "log of events": lambda: log_published(redis),
            "trimming": lambda: trim(redis, held_from=outcomes.unrecorded_from(redis), full=True),
        }
    )


def _take(steps: Mapping[str, Callable[[], object]]) -> None:
    for name, step in steps.items():
        try:
            step()
        except Exception as error:
            if isinstance(error, _AWAY) or isinstance(error.__cause__, _AWAY):
                raise
            _failures.met(name, "upkeep: %s failed: %s in %s", name, type(error).__name__, place_of(error))
        else:
            _failures.over(name, "upkeep: %s works again", name)
