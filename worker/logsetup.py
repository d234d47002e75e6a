"""Logging of all processes: one record is one line, and nothing in it steers a terminal or forges another record.

Texts of streams come into records by URLs, names, task ids and exceptions. What formats a record, Celery's own
formatters included, is wrapped here, so that no call of a logger has to think of it.
"""

import copy
import logging
import sys
import threading
import traceback
from types import TracebackType

from worker.printable import printable

_CONTINUED = "  "
"""Before each further line of a record, those of a traceback: no text in it can begin a record of its own."""


class PrintableFormatter(logging.Formatter):
    """What another formatter makes of a record, escaped."""

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """The record on one line, and its traceback, if it has one, indented below."""
        line = copy.copy(record)
        line.exc_info = line.exc_text = line.stack_info = None
        below = []
        if record.exc_text:
            below.append(record.exc_text)
        elif record.exc_info:
            below.append(self._inner.formatException(record.exc_info))
        if record.stack_info:
            below.append(self._inner.formatStack(record.stack_info))
        return "\n".join([printable(self._inner.format(line)), *_indented("\n".join(below))])


def _indented(text: str) -> list[str]:
    return [f"{_CONTINUED}{printable(line)}" for line in text.split("\n")] if text else []


def escape_records(logger: logging.Logger) -> None:
    """Has all handlers of `logger` escape what they write; may be called again."""
    for handler in logger.handlers:
        if not isinstance(handler.formatter, PrintableFormatter):
            handler.setFormatter(PrintableFormatter(handler.formatter or logging.Formatter()))


def set_up_logging(level: int) -> None:
    """Logs to standard error, for processes that Celery does not set up; tracebacks of what nobody catches likewise."""
    logging.basicConfig(level=level, format="livewarden: %(message)s", stream=sys.stderr)
    escape_records(logging.getLogger())
    sys.excepthook = _write_uncaught
    threading.excepthook = lambda thrown: (
        None if thrown.exc_value is None else _write_uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)
    )


def _write_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if issubclass(kind, SystemExit):
        return
    text = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n")
    sys.stderr.write("\n".join(printable(line) for line in text.split("\n")) + "\n")
