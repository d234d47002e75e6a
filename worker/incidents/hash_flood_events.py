"""Events of a group's incident after it was raised, made from its newest event."""

from collections.abc import Mapping
from typing import Any

from config.schemas import known_fields
from worker.events.cloudevent import derived_id, rfc3339
from worker.incidents.event_data import OF_ONE_STREAM, case_data, matches_data
from worker.incidents.events import Event, EventType, NamedStreams, checked_event, near_text, queue_stream
from worker.incidents.findings import Incident


def streams_joined(
    newest: Mapping[str, Any], incident: Incident, named: NamedStreams, *, deployment: str, now_ms: int
) -> Event:
    """More streams have joined a group's incident.

    Args:
        newest: the incident's newest escalation event; its fields that are not about the streams still hold.
    """
    kind = EventType.UPDATED
    finding = incident.finding
    data = known_fields(kind, newest["data"]) | named.to_data()
    data["previous_severity"] = data["severity"]
    data["hits"] = finding.hits
    data["matches"] = matches_data(incident)
    data["times"] = data["times"] | {
        "captured_first": rfc3339(finding.captured_first_ms),
        "captured_last": rfc3339(finding.captured_last_ms),
        "published": rfc3339(now_ms),
    }
    key = queue_stream(incident.purpose, finding.severity)
    event_id = derived_id(kind, incident.incident_id, named.total, near_text(incident))
    return checked_event(kind, key, event_id, deployment, data, now_ms)


def joined_since(
    newest: Mapping[str, Any], incident: Incident, named: NamedStreams, *, deployment: str, now_ms: int
) -> Event:
    """Streams that joined a group's incident after it was shown become a new incident when that one is decided.

    Args:
        newest: the decided incident's newest escalation event.
        incident: that of the streams that joined.
    """
    kind = EventType.RAISED
    left_out = ("incidents", "previous_severity", *OF_ONE_STREAM)  # its first stream is another one
    known = known_fields(kind, newest["data"])
    data = {name: value for name, value in known.items() if name not in left_out} | named.to_data()
    data |= {
        "incident_id": incident.incident_id,
        **case_data(incident),
        "stream_id": named.streams[0],
        "previous_severity": None,
        "hits": incident.finding.hits,
        "matches": matches_data(incident),
        "metadata": {},
    }
    data["times"] = data["times"] | {"raised": rfc3339(incident.raised_ms), "published": rfc3339(now_ms)}
    key = queue_stream(incident.purpose, incident.finding.severity)
    return checked_event(kind, key, derived_id(kind, incident.incident_id), deployment, data, now_ms)
