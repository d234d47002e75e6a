"""Gathers a case from Redis and the audit log, without opening a picture."""

from datetime import datetime
from typing import Any, Final

from redis import Redis

from worker.audit.entries import Act
from worker.audit.search import AuditSearch, EntryFilter
from worker.drafts.case_report import CasePicture, CaseReport
from worker.drafts.records import clear_views, incident_of, picture_of
from worker.errors import DraftError, QueueError
from worker.events.cloudevent import rfc3339
from worker.evidence.item_states import records_of
from worker.queue.record import describe_incident
from worker.retention.reports import find_case, reports_of
from worker.store.redis_client import now_ms, store_errors

BEFORE_MS: Final = 24 * 3_600_000
"""Time before the first incident of a case was raised from which on the audit log is searched: a picture of it may have
been seen in a look before, and Redis's clock may have gone back."""


def gather(redis: Redis, given: str, *, audit: AuditSearch, deployment: str) -> CaseReport:
    """Reads a case.

    Args:
        given: the case, or an incident of it, by its ID or the beginning of it.

    Raises:
        QueueError, RetentionError: there is no such case.
        DraftError: of none of its incidents a record is left.
        StoreError, ObjectStoreError: Redis or the store of the audit log failed.
    """
    case_id, incident_ids = find_case(redis, given)
    records: list[dict[str, Any]] = []
    unrecorded = []
    pictures: list[CasePicture] = []
    for incident_id in incident_ids:
        try:
            records.append(describe_incident(redis, incident_id))
        except QueueError:
            unrecorded.append(incident_id)
            continue
        pictures += [picture_of(incident_id, one) for one in records_of(redis, incident_id)]
    if not records:
        raise DraftError(f"case {case_id}: no record of its incidents is left, and nothing can be drafted from it")
    with store_errors():
        now = now_ms(redis)
    # A picture of two incidents is one file.
    known = {one.ref: one for one in reversed(pictures)}
    wanted = EntryFilter(act=Act.VIEW, since_ms=since_ms(records))
    unopened_before = audit.unopened
    views = clear_views(audit.find(wanted), known) if known else ()
    newest = max(records, key=lambda one: str(one["raised"] or ""))
    return CaseReport(
        case_id=case_id,
        deployment=deployment,
        drafted=rfc3339(now),
        stream_id=str(newest["stream_id"]),
        # One drill in it would make all of it one: an incident belongs to one purpose, and so does a case.
        purpose=str(newest["purpose"]),
        streams=tuple(map(str, newest.get("streams", ()))),
        metadata=_metadata(newest),
        incidents=tuple(map(incident_of, records)),
        pictures=tuple(one for one in pictures if known[one.ref] is one),
        views=views,
        reports=tuple(reports_of(redis, case_id)),
        unrecorded=tuple(unrecorded),
        unopened_segments=audit.unopened - unopened_before,
    )


def since_ms(records: list[dict[str, Any]]) -> int:
    """The time from which on acts on these incidents may be in the audit log."""
    raised = [str(one["raised"]) for one in records if one["raised"]]
    if len(raised) < len(records):
        return 0
    return max(0, int(datetime.fromisoformat(min(raised)).timestamp() * 1000) - BEFORE_MS)


def _metadata(record: dict[str, Any]) -> dict[str, Any]:
    event = record["event"]
    found = event["data"].get("metadata") if event is not None else None
    return found if isinstance(found, dict) else {}
