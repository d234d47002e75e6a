"""Parses records of incidents, pictures and the audit log into the parts of a case report."""

from collections.abc import Iterable, Mapping
from typing import Any

from worker.audit.entries import WORKER, Act, Shown
from worker.drafts.case_report import CaseIncident, CaseJudgement, CasePicture, ClearView, ReportedMatch
from worker.events.cloudevent import rfc3339
from worker.evidence.record import EvidenceRecord


def incident_of(record: Mapping[str, Any]) -> CaseIncident:
    """Returns an incident from what `worker.queue.record.describe_incident` gives; damaged parts are left out."""
    event = record.get("event")
    data = event["data"] if isinstance(event, dict) else {}
    times = _object(data.get("times"))
    return CaseIncident(
        incident_id=str(record["incident_id"]),
        rule=str(record["rule"]),
        severity=str(record["severity"]),
        raised=str(record["raised"] or ""),
        captured_first=str(times.get("captured_first", "")),
        captured_last=str(times.get("captured_last", "")),
        hits=int(record["hits"]),
        degraded=tuple(map(str, _list(data.get("degraded")))),
        matches=tuple(_match(one) for one in _list(data.get("matches")) if isinstance(one, dict)),
        scores={
            str(name): float(score)
            for name, score in _object(data.get("scores")).items()
            if isinstance(score, int | float)
        },
        versions=_object(data.get("versions")),
        judgements=tuple(
            CaseJudgement(
                outcome=str(one["outcome"]),
                by=str(one["decided_by"]),
                verified=one["verified"] is True,
                at=str(one["decided"] or ""),
                note=str(one["note"] or ""),
                category=str(one.get("category") or ""),
            )
            for one in record["decisions"]
        ),
        record=record,
    )


def picture_of(incident_id: str, record: EvidenceRecord) -> CasePicture:
    """Returns a picture from its record."""
    return CasePicture(
        ref=record.ref,
        incident_id=incident_id,
        kind=str(record.kind),
        captured=rfc3339(record.capture_ms),
        picture_sha256=record.picture_sha256,
        sealed_sha256=record.sha256,
        pdq=record.pdq,
        rule=record.rule,
        distance=record.distance,
        known=record.known,
    )


def clear_views(entries: Iterable[Mapping[str, Any]], refs: Iterable[str]) -> tuple[ClearView, ...]:
    """Returns the clear views of these pictures, the first one first.

    A view counts if the entry says in so many words that a person saw this picture clear: no beginning of a reference
    suffices, nor a view of a reduced picture, nor an act of a worker.

    Args:
        entries: records of `worker.audit.search`, in any order.
    """
    wanted = set(refs)
    found = [
        ClearView(
            ref=str(entry["subject"]),
            by=str(entry["by"]),
            verified=entry["verified"] is True,
            at=str(entry["at"]),
            reason=str(_object(entry["details"]).get("reason", "")),
        )
        for entry in entries
        if entry["act"] == Act.VIEW
        and entry["subject"] in wanted
        and entry["by"] not in ("", WORKER)
        and _object(entry["details"]).get("shown") == Shown.CLEAR
    ]
    return tuple(sorted(found, key=lambda view: (view.at, view.ref, view.by)))


def _match(found: Mapping[str, Any]) -> ReportedMatch:
    return ReportedMatch(
        list=str(found.get("list", "")),
        entry=str(found.get("entry", "")),
        distance=distance if isinstance(distance := found.get("distance"), int) else None,
        category=str(found.get("category", "")),
        source=str(found.get("source", "")),
        tags=tuple(map(str, _list(found.get("tags")))),
    )


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
