"""Logging of all processes: one record is one line, and nothing in it steers a terminal or forges another record.

Texts of streams come into records by URLs, names, task ids and exceptions. What formats a record, Celery's own
formatters included, is wrapped here, so that no call of a logger has to think of it.
"""

import copy
import logging
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable
from types import TracebackType

from worker.linelimit import LineLimit
from worker.printable import printable

STREAM_LINES_A_MINUTE = 20
"""Of one stream in one process. A stream may have 128 segments a second that fail, each a line of up to 700 characters:
8 GB a day, on the disk that Redis writes to. The ledger counts them all."""

_LIMITED_STREAMS = 4_096
"""Whose lines are counted, some 300 bytes each; the one that logged longest ago is forgotten."""

_OF_A_STREAM = "stream %s"
"""How the texts of records begin that are about one stream, which is their first argument."""

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


class StreamLines(logging.Filter):
    """Leaves out records of a stream beyond `STREAM_LINES_A_MINUTE`; the next one has the number of those left out."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._limits: OrderedDict[str, LineLimit] = OrderedDict()
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:
        """The record, where it may be logged."""
        if not (isinstance(record.msg, str) and record.msg.startswith(_OF_A_STREAM) and isinstance(record.args, tuple)):
            return True
        with self._lock:
            stream_id = str(record.args[0])
            limit = self._limits.setdefault(stream_id, LineLimit(STREAM_LINES_A_MINUTE))
            self._limits.move_to_end(stream_id)
            while len(self._limits) > _LIMITED_STREAMS:
                self._limits.popitem(last=False)
            left_out = limit.next(self._clock())
        if not left_out:
            return left_out is not None
        line = copy.copy(record)
        line.msg, line.args = (
            f"{record.msg} (after %d lines of this stream that were left out)",
            (*record.args, left_out),
        )
        return line


_stream_lines = StreamLines()
"""One for all handlers: a record goes to one of them."""


def _indented(text: str) -> list[str]:
    return [f"{_CONTINUED}{printable(line)}" for line in text.split("\n")] if text else []


def escape_records(logger: logging.Logger) -> None:
    """Has all handlers of `logger` escape what they write, and bound it by stream; may be called again."""
    for handler in logger.handlers:
        handler.addFilter(_stream_lines)
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
