"""Builds CloudEvents 1.0 as JSON text, validated against the schema of their type."""

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from config.schemas import check_event, data_schema

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def cloud_event(
    kind: str, event_id: str, *, subject: str | None, data: Mapping[str, Any], deployment: str, now_ms: int
) -> str:
    """The event on one line.

    Raises:
        SchemaError: it does not fit its schema.
    """
    attributes: dict[str, Any] = {
        "specversion": "1.0",
        "id": event_id,
        "source": f"/livewarden/{deployment}",
        "type": str(kind),
        "time": _instant(now_ms),
        "datacontenttype": "application/json",
        "dataschema": data_schema(kind),
    }
    if subject is not None:
        attributes["subject"] = subject
    text: str = JSONFormat().write(CloudEvent(attributes, dict(data))).decode()
    # The serialized text is validated, so that the check covers what serialization makes of each value.
    check_event(json.loads(text))
    return text


def rfc3339(milliseconds: int) -> str:
    """The time in UTC, to the millisecond: 2026-11-25T12:34:56.789Z."""
    return _instant(milliseconds).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def derived_id(*parts: str | int) -> str:
    """ID of an event or an incident: the SHA-256, hex, of its identity, so that repeated work gives the same ID."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _instant(milliseconds: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=milliseconds)
