"""The event with which a person asks the platform to interrupt a stream."""

from collections.abc import Mapping
from typing import Any

from worker.events.cloudevent import derived_id, rfc3339
from worker.incidents.event_data import matches_data
from worker.incidents.events import Event, EventType, NamedStreams, checked_event, identity
from worker.incidents.findings import Incident
from worker.incidents.keys import DECISIONS


def asked_by_person(
    incident: Incident,
    *,
    newest: Mapping[str, Any],
    stream_id: str,
    by: str,
    verified: bool,
    deployment: str,
    now_ms: int,
    named: NamedStreams | None = None,
) -> Event:
    """A person asks the platform to interrupt the stream; of a group, all its streams. Once an incident: its id does
    not depend on who asks.

    Args:
        newest: the incident's newest escalation event.
        verified: the person proved to be `by`, by a token.
    """
    kind = EventType.INTERRUPT_REQUESTED
    data = identity(stream_id, incident) | {
        "asked_by": "person",
        "person": by,
        "verified": verified,
        "principles": list(incident.finding.principles),
        "matches": matches_data(incident),
        "versions": newest["data"]["versions"],
        "metadata": newest["data"].get("metadata", {}),
        "times": {"raised": rfc3339(incident.raised_ms), "published": rfc3339(now_ms)},
    }
    if named is not None:
        data |= {"streams": list(named.streams), "streams_total": named.total}
    event_id = derived_id(kind, incident.incident_id, "person")
    return checked_event(kind, DECISIONS, event_id, deployment, data, now_ms)
