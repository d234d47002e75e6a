"""A CloudEvent 1.0 as JSON text, checked against the schema of its type before it goes anywhere."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

from config.schemas import check_event


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
        "time": datetime.fromtimestamp(now_ms / 1000, UTC),
        "datacontenttype": "application/json",
    }
    if subject is not None:
        attributes["subject"] = subject
    text: str = JSONFormat().write(CloudEvent(attributes, dict(data))).decode()
    # What was written is what is checked, so that the check holds for whatever the writing makes of a value.
    check_event(json.loads(text))
    return text


def rfc3339(milliseconds: int) -> str:
    """UTC, to the millisecond: 2026-11-25T12:34:56.789Z."""
    instant = datetime.fromtimestamp(milliseconds / 1000, UTC)
    return instant.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
