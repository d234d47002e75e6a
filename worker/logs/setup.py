"""Sets up logging in all processes: the format of records, and the rate limit of each stream.

Text of streams gets into records through URLs, names, task IDs and exceptions. All formatters, Celery's included, are
wrapped here, so that no logging call has to escape it.
"""

import copy
import logging
import os
import sys
import threading
import time
import traceback
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Final

from worker.logs.fields import stream_of
from worker.logs.format import JsonFormatter, LogFormat, PrintableFormatter, as_json
from worker.logs.rate_limit import LineLimit
from worker.logs.redaction import loggable

STREAM_LINES_A_MINUTE = 20
"""Limit for one stream in one process. A stream may have 128 failing segments a second, each a line of up to 700
characters: 8 GB a day, on the disk that Redis writes to. The ledger counts all of them."""

_LIMITED_STREAMS = 4_096
"""Streams whose lines are counted, some 300 bytes each; the least recent is forgotten."""

_FORMATTERS: Final[Mapping[LogFormat, type[PrintableFormatter | JsonFormatter]]] = {
    "console": PrintableFormatter,
    "json": JsonFormatter,
}


def log_format_of(environment: Mapping[str, str]) -> LogFormat:
    """The format in an environment, for errors before its settings are parsed, which may be invalid."""
    return "json" if environment.get("LIVEWARDEN_LOG_FORMAT") == "json" else "console"


class StreamLines(logging.Filter):
    """Drops records of a stream beyond `STREAM_LINES_A_MINUTE`; the next one shows the number of dropped ones."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._limits: OrderedDict[str, LineLimit] = OrderedDict()
        self.renew_lock()

    def renew_lock(self) -> None:
        """Called in a forked process: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()

    def filter(self, record: logging.LogRecord) -> bool | logging.LogRecord:
        """The record, if it may be logged."""
        stream_id = stream_of(record)
        if stream_id is None or not isinstance(record.args, tuple):
            return True
        with self._lock:
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
"""Shared by all handlers: a record goes to one of them."""
os.register_at_fork(after_in_child=_stream_lines.renew_lock)


def format_records(logger: logging.Logger, log_format: LogFormat = "console") -> None:
    """Sets the format of all handlers of `logger`, and the rate limit of streams; may be called again."""
    wanted = _FORMATTERS[log_format]
    for handler in logger.handlers:
        handler.addFilter(_stream_lines)
        if not isinstance(handler.formatter, wanted):
            handler.setFormatter(wanted(handler.formatter or logging.Formatter()))


def log_to_stderr(level: int, log_format: LogFormat) -> None:
    """Logs to standard error, unless logging was set up already."""
    logging.basicConfig(level=level, format="livewarden: %(message)s", stream=sys.stderr)
    format_records(logging.getLogger(), log_format)


def set_up_logging(level: int, log_format: LogFormat = "console") -> None:
    """Logs to standard error, for processes that Celery does not set up, and formats uncaught exceptions too."""
    log_to_stderr(level, log_format)

    def write_uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, SystemExit):
            return
        lines = "".join(traceback.format_exception(kind, error, trace)).rstrip("\n").split("\n")
        sys.stderr.write(last_words(lines[-1], log_format, exception=lines, level="critical") + "\n")

    sys.excepthook = write_uncaught
    threading.excepthook = lambda thrown: (
        None if thrown.exc_value is None else write_uncaught(thrown.exc_type, thrown.exc_value, thrown.exc_traceback)
    )


def last_words(message: str, log_format: LogFormat, *, exception: Sequence[str] = (), level: str = "error") -> str:
    """The message of a process about its end, for when no logger is available any more, or none yet."""
    shown = [loggable(line) for line in exception]
    if log_format == "console":
        return "\n".join(shown) if shown else "\n".join(f"livewarden: {loggable(line)}" for line in message.split("\n"))
    return as_json(time.time(), level=level, logger="livewarden", message=message, exception="\n".join(shown))
