"""Log formats: a line for people, or a JSON object on a line for programs. In neither can foreign text control a
terminal, forge another record, or reveal a URL's secrets."""

import copy
import json
import logging
from datetime import UTC, datetime
from typing import Any, Final, Literal

from worker.logs.fields import all_fields, given_fields
from worker.logs.printable import printable
from worker.logs.redaction import loggable

LogFormat = Literal["console", "json"]

MAX_TRACEBACK_LINES: Final = 200
"""The last lines are kept, which have the exception."""

_CONTINUED: Final = "  "
"""Indents each further line of a record, such as a traceback's, so that no text in it can look like a new record."""


class PrintableFormatter(logging.Formatter):
    """The escaped output of another formatter, followed by the record's fields."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line, and its traceback, if it has one, indented below."""
        line = _bare(record)
        shown = "".join(f" {name}={_shown(value)}" for name, value in given_fields(record).items())
        below = [f"{_CONTINUED}{text}" for text in _traceback(record, self._inner)]
        return "\n".join([f"{loggable(self._inner.format(line))}{shown}", *below])


class JsonFormatter(logging.Formatter):
    """Formats a record as one JSON object: `time` (RFC 3339, UTC), `level`, `logger`, `process`, `message`, its fields
    as further keys, and `exception` if it has a traceback."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The object on one line, in ASCII."""
        below = _traceback(record, self._inner)
        return as_json(
            record.created,
            level=record.levelname,
            logger=record.name,
            message=record.getMessage(),
            process=record.processName or "",
            **({"exception": "\n".join(below)} if below else {}),
            fields=all_fields(record),
        )


def as_json(
    at_seconds: float,
    *,
    level: str,
    logger: str,
    message: str,
    process: str = "",
    exception: str = "",
    fields: dict[str, Any] | None = None,
) -> str:
    """A line in the format of `JsonFormatter`. Fields do not override the standard keys."""
    standard: dict[str, Any] = {
        "time": datetime.fromtimestamp(at_seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": level.lower(),
        "logger": printable(logger),
        "process": printable(process),
        "message": loggable(message),
    }
    if exception:
        standard["exception"] = exception
    # DEL, which json does not escape; the text stays the same JSON.
    return printable(json.dumps({**standard, **(fields or {}), **standard}, allow_nan=False))


def _bare(record: logging.LogRecord) -> logging.LogRecord:
    line = copy.copy(record)
    line.exc_info = line.exc_text = line.stack_info = None
    return line


def _traceback(record: logging.LogRecord, inner: logging.Formatter) -> list[str]:
    """The escaped lines of the record's traceback."""
    below = []
    if record.exc_text:
        below.append(record.exc_text)
    elif record.exc_info:
        below.append(inner.formatException(record.exc_info))
    if record.stack_info:
        below.append(inner.formatStack(record.stack_info))
    lines = "\n".join(below).split("\n") if below else []
    return [loggable(line) for line in lines[-MAX_TRACEBACK_LINES:]]


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        return _quoted(",".join(f"{name}:{one}" for name, one in value.items()))
    if isinstance(value, list):
        return _quoted(",".join(value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return _quoted(value) if isinstance(value, str) else f"{value}"


def _quoted(text: str) -> str:
    """The text, in quotation marks if it is empty or contains a space, a quotation mark or an equals sign."""
    return json.dumps(text, ensure_ascii=False) if not text or set(text) & set(' "=') else text
