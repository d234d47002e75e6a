"""Raises an incident of rule `imminent-danger` for each report of a platform that somebody on a stream is in imminent
danger: at once, without any finding, also on a stream whose playlist was never read.

Each worker looks twice a second, and upkeep does too. A report waits in a set until the script that writes its incident
removes it: whoever is killed in between, another raises it, once.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from config.errors import LivewardenError
from config.facts import IMMINENT_DANGER_RULE, Severity, StreamFacts
from config.policy.judging import Judging
from config.policy.policy import Policy
from worker.errors import StoreError
from worker.incidents.builtin_rules import Occurrence, advance_occurrence
from worker.incidents.event_data import DANGER_CONDITION
from worker.incidents.keys import incidents_key
from worker.incidents.segment_context import SegmentContext, Versions
from worker.incidents.store import is_wrong_type, read_incidents, rounds, set_aside
from worker.ingest.registry.danger_reports import DangerReport, any_waits, waiting_reports
from worker.ingest.registry.registry import DUE_DANGER
from worker.ingest.registry.signals import stream_facts
from worker.logs.exception_place import place_of
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)
_failed = FailureLog(_log)
"""By stream."""

INTERVAL_SECONDS: Final = (0.3, 0.5)
"""Between two looks of a worker, drawn so that workers do not look in step: a report is raised within a second."""

MOST_AT_ONCE: Final = 100
"""Reports raised by one call, some 5 ms each; the next call raises more."""


def keep_raising(redis: Redis, policy: Callable[[], Policy], deployment: str, stopping: threading.Event) -> None:
    """Raises reports until `stopping` is set."""

    def step() -> None:
        with store_errors():
            waits = any_waits(redis)
        if waits:
            raise_reported_dangers(redis, deployment=deployment, policy=policy())

    periodic(
        step,
        stopping,
        interval_seconds=INTERVAL_SECONDS,
        troubles=_trouble,
        failing="reports of imminent danger are not raised",
        well_again="reports of imminent danger are raised again",
    )


def raise_reported_dangers(redis: Redis, *, deployment: str, policy: Policy) -> int:
    """Raises the reports that wait; returns how many were written. One that fails, over data that its stream or a
    foreign program left in Redis, is logged, and costs no other.

    Raises:
        StoreError: Redis is away; the next call raises the rest.
    """
    written = 0
    with store_errors():
        reports = list(waiting_reports(redis))
    for report in reports:
        try:
            written += _raise_whatever_is_damaged(redis, report, deployment=deployment, policy=policy)
        except LivewardenError as error:
            if isinstance(error.__cause__, RedisConnectionError | RedisTimeoutError):
                raise
            text = "stream %s: a report of imminent danger is not raised: %s in %s"
            name = type(error).__name__
            _failed.met(report.stream_id, text, report.stream_id, name, place_of(error), level=logging.ERROR)
        else:
            _failed.over(report.stream_id, "stream %s: its reports of danger are raised again", report.stream_id)
        if written >= MOST_AT_ONCE:
            break
    return written


def _raise_whatever_is_damaged(redis: Redis, report: DangerReport, *, deployment: str, policy: Policy) -> bool:
    try:
        return _raise(redis, report, deployment=deployment, policy=policy)
    except StoreError as error:
        if not is_wrong_type(error) or not set_aside(redis, report.stream_id):
            raise
        return _raise(redis, report, deployment=deployment, policy=policy)


def _raise(redis: Redis, report: DangerReport, *, deployment: str, policy: Policy) -> bool:
    """Returns whether it was written. One that another worker has raised meanwhile is not."""
    stream_id = report.stream_id
    with store_errors():
        # Of many reports another worker has raised most by now, for all begin with the oldest.
        if redis.zscore(DUE_DANGER, report.member) is None:
            return False
    facts = _facts(redis, report, policy)
    context = SegmentContext(
        stream=facts,
        generation=report.generation,
        segment_key=f"danger.{report.generation}.{report.reported_ms}",
        deployment=deployment,
        versions=Versions(policy=policy.version),
    )
    for _ in rounds():
        with store_errors():
            now, incidents = now_ms(redis), read_incidents(redis, stream_id, report.purpose)
        step = advance_occurrence(
            redis,
            incidents,
            _occurrence(report, policy.judging(), now_ms=now),
            context,
            update_seconds=policy.update_seconds,
            now_ms=now,
        )
        answer = run_script_to_disk(
            redis,
            "raise_danger",
            keys=[DUE_DANGER, incidents_key(stream_id)],
            args=[report.member, report.reported_ms, incidents.version, *step.records(stream_id)],
        )
        if answer != "clash":
            return bool(answer == "written")
    return False


def _occurrence(report: DangerReport, judging: Judging, *, now_ms: int) -> Occurrence:
    """The report. No decision silences it: that it is here means that it was in no incident that anybody has
    decided."""
    reported_ms = min(report.reported_ms, now_ms)
    return Occurrence(
        rule=IMMINENT_DANGER_RULE,
        cause=report,
        severity=Severity.CRITICAL,
        first_ms=reported_ms,
        last_ms=reported_ms,
        condition=DANGER_CONDITION,
        evidence_none="signal",
        cooldown_ms=0,
        judging=judging,
        decided_with_others=False,
    )


def _facts(redis: Redis, report: DangerReport, policy: Policy) -> StreamFacts:
    """The facts of the stream; no more than its ID where they are damaged, for the report must be raised."""
    try:
        with store_errors():
            return stream_facts(
                redis, report.stream_id, purpose=report.purpose, generation=report.generation, risk=policy.risk
            )
    except StoreError as error:
        if not isinstance(error.__cause__, ResponseError):
            raise
        return StreamFacts(stream_id=report.stream_id, purpose=report.purpose)
