"""Structured fields of log records, for searches: `name=value` after the message, or keys of JSON.

_log.info("incident raised", extra=fields(incident_id=…, stream_id=…, rule=…))
"""

import logging
import re
from collections.abc import Collection, Mapping
from math import isfinite
from typing import Any, Final

from worker.logs.redaction import loggable

MAX_VALUE_CHARACTERS: Final = 300
MAX_ITEMS: Final = 50
"""Limit for a list or mapping, such as the active lists; the number of the others is shown."""

OF_A_STREAM: Final = "stream %s"
"""Prefix of messages about one stream, whose ID is their first argument."""

_OF_A_SEGMENT: Final = f"{OF_A_STREAM} segment %s"
_ATTRIBUTE: Final = "livewarden_fields"
_SEQUENCE = re.compile(r"\.(\d+)\.[^.]*$")
"""The media sequence number in a segment's key (`worker.ingest.playlist.hls.segment_key`)."""

Value = str | int | float | bool | None | Collection[str] | Mapping[str, str]


def fields(**values: Value) -> dict[str, Any]:
    """The value for a logger's `extra`, without empty fields and None."""
    return {_ATTRIBUTE: {name: value for name, value in values.items() if value not in (None, "", (), [], {})}}


def media_sequence(segment_key: str) -> int | None:
    """The media sequence number in a segment's key; None: the key has another form."""
    found = _SEQUENCE.search(segment_key)
    return None if found is None else int(found[1][:20])


def given_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The explicit fields of a record, redacted and bounded."""
    given: dict[str, Value] = getattr(record, _ATTRIBUTE, {})
    return {name: _value(value) for name, value in given.items()}


def all_fields(record: logging.LogRecord) -> dict[str, Any]:
    """The explicit fields of a record, and those that its message contains."""
    found: dict[str, Value] = {}
    if stream_of(record) is not None and isinstance(record.args, tuple):
        found["stream_id"] = stream_of(record)
        if str(record.msg).startswith(_OF_A_SEGMENT) and len(record.args) > 1:
            key = str(record.args[1])
            found |= {"segment": key, "media_sequence": media_sequence(key)}
    return {name: _value(value) for name, value in found.items() if value is not None} | given_fields(record)


def stream_of(record: logging.LogRecord) -> str | None:
    """ID of the stream that a record is about; None: it is about none, or several."""
    about_one = isinstance(record.msg, str) and record.msg.startswith(OF_A_STREAM)
    return str(record.args[0]) if about_one and isinstance(record.args, tuple) and record.args else None


def _value(value: Value) -> Any:
    if isinstance(value, float) and not isfinite(value):
        return str(value)  # JSON has no such numbers
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, Mapping):
        shown: Any = {_text(str(name)): _text(str(one)) for name, one in list(value.items())[:MAX_ITEMS]}
        return shown | ({"…": f"{len(value) - MAX_ITEMS} more"} if len(value) > MAX_ITEMS else {})
    shown = [_text(str(one)) for one in list(value)[:MAX_ITEMS]]
    return shown + ([f"… {len(value) - MAX_ITEMS} more"] if len(value) > MAX_ITEMS else [])


def _text(value: str) -> str:
    return loggable(value, MAX_VALUE_CHARACTERS)
