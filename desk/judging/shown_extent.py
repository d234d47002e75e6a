"""Marks of how bad an incident was when a page showed it: an older page decides nothing that it did not show."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

_HEX: Final = 16


def extent_mark(record: Mapping[str, Any]) -> str:
    """A mark that changes when a worse event of the incident is published: another severity, a match on another entry,
    a nearer one. More hits of the same leave it as it is.

    Args:
        record: from `describe_incident`.
    """
    event = record.get("event")
    data = event["data"] if isinstance(event, dict) else {}
    nearest: dict[str, int] = {}
    matches = data.get("matches")
    for match in matches if isinstance(matches, list) else ():
        if isinstance(match, dict) and isinstance(distance := match.get("distance"), int):
            key = json.dumps([match.get("list"), match.get("entry")])
            nearest[key] = min(distance, nearest.get(key, distance))
    text = json.dumps([data.get("severity"), sorted(nearest.items())])
    return hashlib.sha256(text.encode()).hexdigest()[:_HEX]


def shown_text(records: Sequence[Mapping[str, Any]]) -> str:
    """The value of the form's field: each incident and its mark."""
    return " ".join(f"{one['incident_id']}:{extent_mark(one)}" for one in records)


def listed_in(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Hash lists that an incident matches, but for `allow`: `harmless` needs a note there, as in the queue."""
    event = record.get("event")
    matches = event["data"].get("matches") if isinstance(event, dict) else None
    found = {str(one.get("list")) for one in matches if isinstance(one, dict)} if isinstance(matches, list) else set()
    return tuple(sorted(found - {"allow"}))
