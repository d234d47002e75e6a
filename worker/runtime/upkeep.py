"""Upkeep every few seconds, by any worker: each step fails alone."""

import logging
from collections.abc import Callable, Mapping

from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from worker.audit import copies
from worker.audit.chainer import link_waiting
from worker.audit.published_heads import publish_head
from worker.bank.own_lists import forget_past
from worker.evidence import altered
from worker.incidents.coverage_gaps import raise_coverage_gaps
from worker.incidents.decided_risk import note_decisions
from worker.incidents.due_ends import end_incidents
from worker.incidents.hash_flood_record import publish_due
from worker.incidents.imminent_danger import raise_reported_dangers
from worker.ingest.coverage.ledger import pay_owed
from worker.ingest.poll.origin_gaps import publish_origin_gaps
from worker.ingest.poll.schedule import reconcile
from worker.ingest.poll.stream_poll import SendSegment
from worker.ingest.registry.registry import forget_gone
from worker.logs.exception_place import place_of
from worker.logs.failure_log import FailureLog
from worker.lookback import jobs as look_back_jobs
from worker.queue.trimming import trim
from worker.retention import forget
from worker.retention import purge as evidence_purge
from worker.runtime.audit_copy import copy_audit
from worker.runtime.event_log import log_published
from worker.runtime.key_retention import give_lives
from worker.runtime.worker_process import WorkerProcess
from worker.store.object_store import ObjectStore
from worker.verdictlog import outcomes, retention

_failures = FailureLog(logging.getLogger(__name__))

_AWAY = (RedisConnectionError, RedisTimeoutError)

HOUSEKEEPING = {
    "look_back": look_back_jobs.is_due,
    "keep_log": retention.is_due,
    "record_outcomes": outcomes.is_due,
    "purge_evidence": evidence_purge.is_due,
    "forget_streams": forget.is_due,
    "copy_audit": copies.is_due,
}
"""Separate tasks, by name, and the check that one has something to do."""


def look_after(process: WorkerProcess, *, send: SendSegment, send_housekeeping: Callable[[str], None]) -> None:
    """Sends overdue segments again, brings ledgers up to date, forgets streams that are over, publishes gaps of origins
    and of single streams, ends of incidents and the streams that joined groups, raises reported dangers, notes
    decisions for the risk of their streams, links the audit log, publishes altered pictures, logs published events,
    trims old and acknowledged entries, and sends housekeeping that is due.

    A step that fails, over data that one stream or a foreign program left in Redis, is logged and costs no other step.

    Raises:
        StoreError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: Redis is away.
    """
    redis, deployment = process.redis, process.settings.deployment
    steps: dict[str, Callable[[], object]] = {
        "overdue segments": lambda: reconcile(redis, send, risk=process.policy.risk),
        "ledgers": lambda: pay_owed(redis),
        "streams that are gone": lambda: forget_gone(redis),
        "lives of keys": lambda: give_lives(redis),
        "proposals": lambda: forget_past(redis),
        "gaps of origins": lambda: publish_origin_gaps(redis, deployment=deployment),
        "coverage gaps": lambda: raise_coverage_gaps(redis, deployment=deployment, policy=process.policy),
        "ends of incidents": lambda: end_incidents(redis, deployment=deployment),
        "groups of streams": lambda: publish_due(redis, deployment=deployment, policy=process.policy),
        "imminent danger": lambda: raise_reported_dangers(redis, deployment=deployment, policy=process.policy),
        "decisions": lambda: note_decisions(redis),
        "audit log": lambda: link_waiting(redis),
        "audit head": lambda: publish_head(redis, deployment=deployment),
        "altered pictures": lambda: altered.publish_found(redis, deployment=deployment),
        "log of events": lambda: log_published(redis),
        "trimming": lambda: trim(redis, held_from=outcomes.unrecorded_from(redis)),
    }
    for name, is_due in HOUSEKEEPING.items():
        steps[name] = lambda name=name, is_due=is_due: send_housekeeping(name) if is_due(redis) else None  # type: ignore[misc]
    _run_each(steps)


def look_after_full(process: WorkerProcess) -> None:
    """Makes room while Redis is full, by a process that needs no message for it, since Redis takes none.

    Raised and decided incidents are copied into the store, for until then they are not trimmed; then entries that every
    reader has acknowledged are trimmed.

    Raises:
        StoreError, redis.exceptions.ConnectionError, redis.exceptions.TimeoutError: Redis is away.
    """
    redis = process.redis

    def record() -> None:
        if outcomes.is_due(redis):
            outcomes.record_outcomes(redis, ObjectStore(process.settings.store_url))

    _run_each(
        {
            "outcomes": record,
            "ledgers": lambda: pay_owed(redis),
            "streams that are gone": lambda: forget_gone(redis),
            "audit log": lambda: link_waiting(redis),
            "copy of the audit log": lambda: copy_audit(process) if copies.is_due(redis) else None,
            "log of events": lambda: log_published(redis),
            "trimming": lambda: trim(redis, held_from=outcomes.unrecorded_from(redis), full=True),
        }
    )


def _run_each(steps: Mapping[str, Callable[[], object]]) -> None:
    for name, step in steps.items():
        try:
            step()
        except Exception as error:
            if isinstance(error, _AWAY) or isinstance(error.__cause__, _AWAY):
                raise
            _failures.met(name, "upkeep: %s failed: %s in %s", name, type(error).__name__, place_of(error))
        else:
            _failures.over(name, "upkeep: %s works again", name)
