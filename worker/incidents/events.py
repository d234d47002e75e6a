"""The events of incidents: CloudEvents 1.0 in JSON, checked against their schemas before they are published."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from config.facts import Hit, Severity
from config.schemas import known_fields
from worker.events.cloudevent import cloud_event, derived_id, rfc3339
from worker.events.operations import OPERATIONS
from worker.incidents.event_data import (
    EarlierDecision,
    case_data,
    cause_data,
    cause_times,
    matches_data,
    stream_data,
    versions_data,
)
from worker.incidents.findings import Extent, Incident, IncidentEnd, NearestMatch, near_of
from worker.incidents.keys import DECISIONS, escalations_key
from worker.incidents.segment_context import SegmentContext
from worker.ingest.poll.stream_gaps import Gap
from worker.ingest.registry.danger_reports import DangerReport

MAX_NAMED = 10_000
"""Streams named in one event: some 200 kB. `streams_total` shows if there are more."""


UNDECIDED = "undecided"
"""Outcome of an incident that was closed, and on which a person has yet to decide."""


NO_PICTURES: Mapping[str, Any] = MappingProxyType({})


class EventType(StrEnum):
    """Types of events; each has its schema in config/schemas."""

    RAISED = "livewarden.escalation.raised.v1"
    UPDATED = "livewarden.escalation.updated.v1"
    CLOSED = "livewarden.escalation.closed.v1"
    DECISION_MADE = "livewarden.decision.made.v1"
    DECISION_REVISED = "livewarden.decision.revised.v1"
    INTERRUPT_REQUESTED = "livewarden.interrupt.requested.v1"


@dataclass(frozen=True, kw_only=True)
class Event:
    """An event that may be published: it fits its schema."""

    stream_key: str
    """The Redis stream that it goes to."""
    incident_id: str
    type: EventType
    text: str
    """The CloudEvent as JSON, on one line."""


@dataclass(frozen=True, kw_only=True)
class NamedStreams:
    """The streams of a group's incident."""

    streams: tuple[str, ...]
    """The first `MAX_NAMED` of them, the first to match first."""
    total: int
    incidents: tuple[str, ...] = ()
    """Incidents of its first streams alone, raised by the same hash before it was on many streams."""

    @classmethod
    def of(cls, streams: Sequence[str]) -> "NamedStreams":
        """All of them, the first to match first."""
        return cls(streams=tuple(streams[:MAX_NAMED]), total=len(streams))

    def to_data(self) -> dict[str, Any]:
        """Returns them as events carry them."""
        data = {"streams": list(self.streams), "streams_total": self.total}
        return data | {"incidents": list(self.incidents)} if self.incidents else data


def escalation(
    context: SegmentContext,
    incident: Incident,
    cause: Hit | Gap | DangerReport,
    *,
    previous_severity: Severity | None,
    now_ms: int,
    condition: Mapping[str, Any] | None = None,
    earlier: Sequence[EarlierDecision] = (),
    named: NamedStreams | None = None,
    evidence: Mapping[str, Any] = NO_PICTURES,
) -> Event:
    """The incident was raised (`previous_severity` is None), or has changed.

    Its id does not depend on what may differ when the same work is done again: times, state of the stream, signals,
    decisions of people, pictures.

    Args:
        cause: the sample, the gap, or the report that caused this event.
        condition: that its rule requires (`worker.incidents.event_data`).
        earlier: decisions on the stream, the newest first.
        named: of a group of streams.
        evidence: `evidence`, and where there is none `evidence_none`.

    Raises:
        SchemaError: it does not fit its schema.
    """
    kind = EventType.RAISED if previous_severity is None else EventType.UPDATED
    finding = incident.finding
    data = identity(context.stream.stream_id, incident) | {
        "previous_severity": previous_severity,
        "degraded": list(context.degraded),
        "principles": list(finding.principles),
        "hits": finding.hits,
        **cause_data(cause, context),
        "times": {
            "captured_first": rfc3339(finding.captured_first_ms),
            "captured_last": rfc3339(finding.captured_last_ms),
            **cause_times(context),
            "raised": rfc3339(incident.raised_ms),
            "published": rfc3339(now_ms),
        },
        "matches": matches_data(incident),
        "scores": dict(finding.scores),
        "versions": versions_data(context.versions),
        **stream_data(context),
        "earlier_decisions": [decision.to_data() for decision in earlier],
        **evidence,
    }
    if condition is not None:
        data["condition"] = dict(condition)
    if named is not None:
        data |= named.to_data()
    return checked_event(
        kind,
        queue_stream(incident.purpose, finding.severity),
        derived_id(kind, incident.incident_id, context.segment_key, finding.severity, near_text(incident)),
        context.deployment,
        data,
        now_ms,
    )


def interrupt_request(context: SegmentContext, incident: Incident, lists: tuple[str, ...], now_ms: int) -> Event:
    """The policy asks the platform to interrupt the stream."""
    kind = EventType.INTERRUPT_REQUESTED
    data = identity(context.stream.stream_id, incident) | {
        "asked_by": "policy",
        "principles": list(incident.finding.principles),
        "lists": list(lists),
        "frames": [rfc3339(capture_ms) for capture_ms in incident.finding.interrupt_frames_ms],
        "matches": matches_data(incident),
        "versions": versions_data(context.versions),
        "metadata": dict(context.stream.metadata),
        "times": {"raised": rfc3339(incident.raised_ms), "published": rfc3339(now_ms)},
    }
    return checked_event(kind, DECISIONS, derived_id(kind, incident.incident_id), context.deployment, data, now_ms)


def escalation_closed(
    newest: Mapping[str, Any],
    *,
    outcome: str,
    deployment: str,
    now_ms: int,
    named: NamedStreams | None = None,
    taken_ms: int | None = None,
) -> Event:
    """The incident was closed by a decision: readers other than Livewarden need not treat it any more.

    Args:
        newest: the incident's newest escalation event, whose fields still hold.
        taken_ms: when the person who decided took it; None: unknown.
    """
    times = {"decided": now_ms} if taken_ms is None else {"taken": taken_ms, "decided": now_ms}
    return _closed(newest, "decision", outcome, deployment, now_ms, times, named)


def escalation_ended(newest: Mapping[str, Any], end: IncidentEnd, *, deployment: str, now_ms: int) -> Event:
    """The incident takes no further hits, for its stream has ended or was silent; a person has yet to decide.

    Args:
        newest: the incident's newest escalation event, whose fields still hold.
    """
    return _closed(newest, end, UNDECIDED, deployment, now_ms, {"ended": now_ms}, None)


def _closed(
    newest: Mapping[str, Any],
    reason: str,
    outcome: str,
    deployment: str,
    now_ms: int,
    times: Mapping[str, int],
    named: NamedStreams | None,
) -> Event:
    kind = EventType.CLOSED
    data = known_fields(kind, newest["data"])
    data["previous_severity"] = data["severity"]
    more = {name: rfc3339(at_ms) for name, at_ms in times.items()}
    data["times"] = data["times"] | {"published": rfc3339(now_ms)} | more
    data["outcome"] = outcome
    data["reason"] = reason
    data.pop("stream_state", None)  # it held when the incident was found
    if named is not None:
        data |= named.to_data()
    key = queue_stream(data["purpose"], Severity(data["severity"]))
    # The id of a decision's is that of older versions; an incident that has ended is decided later.
    event_id = derived_id(kind, data["incident_id"], *([reason] if outcome == UNDECIDED else []))
    return checked_event(kind, key, event_id, deployment, data, now_ms)


def queue_stream(purpose: str, severity: Severity) -> str:
    """The Redis stream of an escalation. A canary proves the way up to an escalation, and calls no person."""
    return OPERATIONS if purpose == "canary" else escalations_key(severity)


def identity(stream_id: str, incident: Incident) -> dict[str, Any]:
    """Returns the fields of every event of an incident by which it is known."""
    return {
        "incident_id": incident.incident_id,
        "stream_id": stream_id,
        "generation": incident.generation,
        "rule": incident.rule,
        "severity": incident.finding.severity,
        "drill": incident.purpose in ("drill", "canary"),
        "purpose": incident.purpose,
        **case_data(incident),
    }


def near_text(incident: Incident) -> str:
    """The matches of an incident, for an event's id: another match, or a nearer one, makes another event."""
    return json.dumps(near_of(incident.finding.matches))


def extent_of(data: Mapping[str, Any]) -> Extent:
    """The extent of an incident as the `data` of an escalation event shows it."""
    near = tuple(NearestMatch(match["list"], match["entry"], match["distance"]) for match in data["matches"])
    return Extent(severity=Severity(data["severity"]), nearest=near)


def checked_event(
    kind: EventType, stream_key: str, event_id: str, deployment: str, data: dict[str, Any], now_ms: int
) -> Event:
    """An event, checked against its schema.

    Raises:
        SchemaError: it does not fit.
    """
    text = cloud_event(kind, event_id, subject=str(data["stream_id"]), data=data, deployment=deployment, now_ms=now_ms)
    return Event(stream_key=stream_key, incident_id=str(data["incident_id"]), type=kind, text=text)
