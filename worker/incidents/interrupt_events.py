"""The event with which a person asks the platform to interrupt a stream."""

from collections.abc import Mapping
from typing import Any, Final

from worker.events.cloudevent import derived_id, rfc3339
from worker.incidents.event_data import decision_data
from worker.incidents.events import Event, EventType, NamedStreams, checked_event, identity
from worker.incidents.findings import Incident
from worker.incidents.keys import DECISIONS

_OF_THE_INCIDENT: Final = (
    "incident_id",
    "case_id",
    "predecessor",
    "stream_id",
    "generation",
    "rule",
    "severity",
    "drill",
    "purpose",
    "needs_role",
    "streams",
    "streams_total",
)


def interrupt_asked(
    decided: Mapping[str, Any],
    *,
    newest: Mapping[str, Any],
    by: str,
    verified: bool,
    deployment: str,
    now_ms: int,
) -> Event:
    """A person asks the platform to interrupt the stream; of a group, all its streams. Once an incident: its id does
    not depend on who asks.

    Args:
        decided: `data` of a decision on the incident, or what is known of it (`about_incident`).
        newest: the incident's newest escalation event.
        verified: the person proved to be `by`, by a token.
    """
    kind, shown = EventType.INTERRUPT_REQUESTED, newest["data"]
    data = {name: decided[name] for name in _OF_THE_INCIDENT if name in decided} | {
        "asked_by": "person",
        "person": by,
        "verified": verified,
        "principles": decided.get("principles", shown["principles"]),
        "matches": decided.get("matches", shown["matches"]),
        "metadata": decided.get("metadata", shown.get("metadata", {})),
        "versions": shown["versions"],
        "times": {"raised": decided["times"]["raised"], "published": rfc3339(now_ms)},
    }
    event_id = derived_id(kind, decided["incident_id"], "person")
    return checked_event(kind, DECISIONS, event_id, deployment, data, now_ms)


def about_incident(
    incident: Incident, *, newest: Mapping[str, Any], stream_id: str, named: NamedStreams | None
) -> dict[str, Any]:
    """Returns what a decision on an undecided incident would say of the incident itself."""
    data = identity(stream_id, incident) | decision_data(newest, incident)
    data["times"] = {"raised": rfc3339(incident.raised_ms)}
    return data if named is None else data | named.to_data()
