"""Incidents as Redis keeps them: reading what is remembered, and the records that scripts write."""

from collections.abc import Mapping
from typing import Any

from redis import Redis

from worker.incidents.deciding import StreamIncidents, decode
from worker.incidents.events import Event
from worker.incidents.findings import Incident
from worker.queue.keys import incidents_key

MAX_ROUNDS = 50
"""Each lost round means that another segment of the same stream settled; only a handful of them run at once."""

_RULE = "rule:"


def read_incidents(redis: Redis, owner: str) -> StreamIncidents:
    """What is remembered of a stream, or of what `worker.queue.keys.groups_owner` names."""
    return incidents_of(redis.hgetall(incidents_key(owner)))


def incidents_of(record: Mapping[Any, Any]) -> StreamIncidents:
    """What the hash says.

    Raises:
        StoreError: something else than livewarden writes.
    """
    fields = {str(name): str(value) for name, value in record.items()}
    rules = {name.removeprefix(_RULE): decode(text) for name, text in fields.items() if name.startswith(_RULE)}
    return StreamIncidents(version=int(fields.get("version", 0)), rules=rules)


def incident_record(stream_id: str, incident: Incident, **more: str) -> dict[str, object]:
    """An incident as the scripts take it; `more`: further fields of its hash."""
    finding = incident.finding
    return {
        "id": incident.incident_id,
        "severity": finding.severity,
        "queued": "no" if incident.purpose == "canary" else "yes",
        "fields": {
            "stream_id": stream_id,
            "rule": incident.rule,
            "severity": finding.severity,
            "purpose": incident.purpose,
            "raised_ms": str(incident.raised_ms),
            "captured_last_ms": str(finding.captured_last_ms),
            "hits": str(finding.hits),
            **more,
        },
    }


def event_record(event: Event) -> dict[str, str]:
    """An event as the scripts take it."""
    return {"stream": event.stream_key, "incident": event.incident_id, "text": event.text}
