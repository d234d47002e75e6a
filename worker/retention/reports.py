"""Reports of cases to authorities, as people record them. Livewarden reports nothing by itself.

A recorded report starts the terms that the policy has for its authority: evidence and basis are kept for so long, and
the reference of the report for its own time. It binds all incidents of the case, also those that join it later.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from config.policy.retention import DAY_MS, RecordedReport, Retention, authority_name
from worker.audit.entries import Act, audit_entry
from worker.errors import RetentionError
from worker.events.cloudevent import rfc3339
from worker.incidents.keys import incident_key
from worker.people.actor import Actor, Role
from worker.people.roster import unproven
from worker.queue.lookup import find_incident
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

reports_key: Final = redis_keys.REPORTS.of
case_key: Final = redis_keys.CASE.of

MOST_REPORTS: Final = 50
"""Limit for one case: it may go to several authorities, and have later supplements."""

MAX_ID: Final = 200
"""Characters of an authority's reference."""

MAY_REPORT: Final = (Role.MODERATOR, Role.LEAD)

CASE_MARK: Final = "case-"
_CASE: Final = re.compile(r"case-[A-Za-z0-9_-]{1,100}")


@dataclass(frozen=True, kw_only=True)
class AuthorityReport:
    """A report of a case to an authority, as it was recorded."""

    case_id: str
    authority: str
    report_id: str
    """The authority's reference."""
    by: str
    verified: bool
    recorded_ms: int
    """Redis's clock: the terms count from it on."""
    incidents: tuple[str, ...] = ()
    """Incidents that the case had then."""

    def to_json(self) -> str:
        """Returns the record on one line."""
        return json.dumps({**vars(self), "incidents": list(self.incidents)})

    @classmethod
    def read(cls, case_id: str, text: str) -> "AuthorityReport":
        """Reads a record; of a damaged one its existence, with the time that keeps longest."""
        try:
            found: dict[str, Any] = json.loads(text)
            return cls(
                case_id=case_id,
                authority=str(found["authority"]),
                report_id=str(found["report_id"]),
                by=str(found.get("by", "")),
                verified=bool(found.get("verified", False)),
                recorded_ms=int(found["recorded_ms"]),
                incidents=tuple(map(str, found.get("incidents", ()))),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            return cls(case_id=case_id, authority="", report_id="", by="", verified=False, recorded_ms=FAR_MS)

    def as_terms(self) -> RecordedReport:
        """Returns the part that retention sees."""
        return RecordedReport(authority=self.authority, recorded_ms=self.recorded_ms)

    def described(self) -> dict[str, Any]:
        """Returns the report as `--json` prints it."""
        return {
            "case_id": self.case_id,
            "authority": self.authority,
            "id": self.report_id,
            "by": self.by,
            "verified": self.verified,
            "recorded": rfc3339(self.recorded_ms),
            "incidents": list(self.incidents),
        }


FAR_MS: Final = 9_000_000_000_000
"""A time in 2255: what was reported by a damaged record is kept until a person repairs it."""


@dataclass(frozen=True, kw_only=True)
class ReportOutcome:
    """A recorded report, with its terms."""

    report: AuthorityReport
    again: bool
    """It was on record already; nothing has changed."""
    content_until_ms: int
    reference_until_ms: int


def record_report(
    redis: Redis, given: str, actor: Actor, *, authority: str, report_id: str, retention: Retention
) -> ReportOutcome:
    """Records that a case was reported, and starts the terms of that authority; it is then on Redis's disk.

    The same authority and ID of a case are one report, however often they are recorded: its terms begin once.

    Args:
        given: the case, or an incident of it, by its ID or the beginning of it.

    Raises:
        QueueError, RetentionError: there is no such case or incident, or an argument is malformed.
        BankRequestError, PeopleError: the person may not.
        StoreError: Redis failed; the report may have been recorded.
    """
    actor.must_be(*MAY_REPORT, to="record a report")
    try:
        name = authority_name(authority)
    except ValueError as error:
        raise RetentionError(f"--authority: {error}") from None
    reference = report_id.strip()
    if not reference or len(reference) > MAX_ID or not reference.isprintable():
        raise RetentionError(f"--id: {report_id[:80]!r}: expected 1 to {MAX_ID} printable characters")
    case_id, incidents = find_case(redis, given)
    content_days, reference_days = retention.report_days(name)
    with store_errors():
        report = AuthorityReport(
            case_id=case_id,
            authority=name,
            report_id=reference,
            by=actor.name,
            verified=actor.verified,
            recorded_ms=now_ms(redis),
            incidents=tuple(incidents),
        )
    entry = audit_entry(
        Act.REPORT,
        by=actor.name,
        verified=actor.verified,
        subject=case_id,
        authority=name,
        report_id=reference,
        incidents=list(incidents),
    )
    answer = run_script_to_disk(
        redis,
        "report_record",
        keys=[reports_key(case_id)],
        args=[
            f"{name.casefold()} {reference}",
            report.to_json(),
            actor.name,
            actor.role,
            actor.proof,
            reference_days * DAY_MS // 1000,
            MOST_REPORTS,
            entry,
            *incidents,
        ],
    )
    if answer[0] == "unproven":
        raise unproven(actor)
    if answer[0] == "full":
        raise RetentionError(f"case {case_id}: it has {MOST_REPORTS} reports, which is the limit")
    if answer[0] == "already":
        report = AuthorityReport.read(case_id, str(answer[1]))
    return ReportOutcome(
        report=report,
        again=answer[0] == "already",
        content_until_ms=report.recorded_ms + content_days * DAY_MS,
        reference_until_ms=report.recorded_ms + reference_days * DAY_MS,
    )


def find_case(redis: Redis, given: str) -> tuple[str, Sequence[str]]:
    """Returns a case and its incidents, ascending, by its ID or one of its incidents. An incident without a case, as
    earlier versions raised it, is a case of its own, with its own ID.

    Raises:
        QueueError, RetentionError: there is none.
        StoreError: Redis failed.
    """
    case_id = given.strip()
    if not case_id.startswith(CASE_MARK):
        incident_id = find_incident(redis, given)
        with store_errors():
            stream_id, found = redis.hmget(incident_key(incident_id), ["stream_id", "case"])
        if stream_id is None:
            raise RetentionError(f"incident {incident_id}: no such incident is on record")
        case_id = str(found or incident_id)
        if case_id == incident_id:
            return case_id, [incident_id]
    if not _CASE.fullmatch(case_id):
        raise RetentionError(f"case {given[:100]!r}: expected data.case_id of an incident's events, or an incident")
    incidents = incidents_of(redis, case_id)
    if not incidents:
        raise RetentionError(f"case {case_id}: no incident of it is on record")
    return case_id, incidents


def find_reported(redis: Redis, given: str) -> str:
    """Returns the id of a case, also of one whose incidents are not on record any more, if a report of it is.

    Raises:
        QueueError, RetentionError: there is none.
        StoreError: Redis failed.
    """
    case_id = given.strip()
    if _CASE.fullmatch(case_id) and reports_of(redis, case_id):
        return case_id
    return find_case(redis, given)[0]


def incidents_of(redis: Redis, case_id: str) -> list[str]:
    """The incidents of a case, ascending.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        return sorted(str(one) for one in redis.zrange(case_key(case_id), 0, -1))


def reports_of(redis: Redis, case_id: str) -> list[AuthorityReport]:
    """The reports of a case, the first one first.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        found = redis.hgetall(reports_key(case_id)).values()
    reports = [AuthorityReport.read(case_id, str(text)) for text in found]
    return sorted(reports, key=lambda one: (one.recorded_ms, one.authority, one.report_id))
