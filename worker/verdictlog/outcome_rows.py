"""Rows of outcomes of verdicts: one for each event that raised or changed an incident, ended it without a decision, or
decided it.

Rows are made from the published events, so that they have what any process raised and any person decided. They do not
have a person's name.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import pyarrow as pa

from worker.incidents.events import UNDECIDED, EventType, extent_of

RAISED, UPDATED, ENDED, DECIDED, REVISED = "raised", "updated", "ended", "decided", "revised"
"""Kinds of rows."""

_KINDS = {
    EventType.RAISED: RAISED,
    EventType.UPDATED: UPDATED,
    EventType.DECISION_MADE: DECIDED,
    EventType.DECISION_REVISED: REVISED,
}

_AT = {ENDED: "ended", DECIDED: "decided", REVISED: "decided"}
"""Kind of a row to the time of its event that counts."""

_NEAR = pa.struct([("list", pa.string()), ("entry", pa.string()), ("distance", pa.int32())])

SCHEMA = pa.schema(
    [
        ("id", pa.string()),  # of the event: the same event may be here twice
        ("kind", pa.string()),
        ("at_ms", pa.int64()),  # when it was published, ended or decided; Redis's clock, as all times here
        ("incident_id", pa.string()),
        ("stream_id", pa.string()),  # of a flood's incident, the first of them
        ("generation", pa.int32()),
        ("rule", pa.string()),
        ("severity", pa.string()),
        ("purpose", pa.string()),
        ("raised_ms", pa.int64()),
        ("captured_first_ms", pa.int64()),
        ("captured_last_ms", pa.int64()),
        ("outcome", pa.string()),  # of a decision, or the revised one
        ("decided_ms", pa.int64()),  # of a revision: when the incident was first decided
        # Of an incident that was raised or changed:
        ("segment_key", pa.string()),  # in which the cause was found; with "~" if a look-back found it
        ("captured_ms", pa.int64()),  # of the picture that is the cause
        ("hits", pa.int32()),
        ("streams", pa.int32()),  # of a flood's incident; else null
        ("policy_version", pa.string()),
        ("model_versions", pa.map_(pa.string(), pa.string())),
        ("list_versions", pa.map_(pa.string(), pa.string())),
        ("nearest", pa.list_(_NEAR)),  # matches that the event names, each entry once
    ]
)
"""Fields may be added; a reader gets null for those that an older file lacks."""


def outcome_row(text: str) -> Mapping[str, Any] | None:
    """Converts an event, given as JSON, into its row; None: it is of another kind, or unknown to this version."""
    try:
        event = json.loads(text)
        kind = _KINDS.get(event["type"])
        if event["type"] == EventType.CLOSED and event["data"]["outcome"] == UNDECIDED:
            kind = ENDED  # the closing event of a decision says no more than the decision's own
        if kind == REVISED and event["data"]["outcome"] == event["data"]["previous_outcome"]:
            kind = None  # it asks more of the platform, and changes no silence
        return None if kind is None else _row(event, kind)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _row(event: Mapping[str, Any], kind: str) -> dict[str, Any]:
    data = event["data"]
    times = data["times"]
    row = {
        "id": event["id"],
        "kind": kind,
        "at_ms": milliseconds(times[_AT.get(kind, "published")]),
        "incident_id": data["incident_id"],
        "stream_id": data["stream_id"],
        "generation": data["generation"],
        "rule": data["rule"],
        "severity": data["severity"],
        "purpose": data["purpose"],
        "raised_ms": milliseconds(times["raised"]),
        "captured_first_ms": milliseconds(times["captured_first"]),
        "captured_last_ms": milliseconds(times["captured_last"]),
        "streams": data.get("streams_total"),
    }
    if kind == ENDED:
        return row
    if kind == DECIDED:
        return row | {"outcome": data["outcome"]}
    if kind == REVISED:
        return row | {"outcome": data["outcome"], "decided_ms": milliseconds(times["first_decided"])}
    versions = data["versions"]
    # An incident of a coverage gap has no picture.
    cause = data.get("sample") or {"segment": "", "captured": data.get("gap", {}).get("since", times["captured_first"])}
    return row | {
        "segment_key": cause["segment"],
        "captured_ms": milliseconds(cause["captured"]),
        "hits": data.get("hits"),
        "policy_version": versions["policy"],
        "model_versions": list(versions["models"].items()),
        "list_versions": list(versions["lists"].items()),
        "nearest": [near._asdict() for near in extent_of(data).nearest or ()],
    }


def milliseconds(time: str) -> int:
    """Converts a time of an event, RFC 3339, into milliseconds since 1970."""
    return round(datetime.fromisoformat(time).timestamp() * 1000)
