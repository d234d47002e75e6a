"""Celery's own lines: in Livewarden's format, lines about single tasks at debug, failed connections now and then.

Of 1,600 lines of a minute at info 1,540 were about a task that was received or succeeded.
"""

import logging
import os
import time
import warnings
from typing import Any, Final

from celery.apps import worker as celery_worker
from celery.utils.log import get_multiprocessing_logger

from worker.logs.failure_memory import REPEAT_SECONDS
from worker.logs.format import LogFormat
from worker.logs.setup import format_records, last_words

_OF_TASKS: Final = ("celery.worker.strategy", "celery.app.trace", "celery.worker.request")
"""Loggers whose lines at info are each about one task."""

_OF_BEAT: Final = "celery.beat"
_OF_A_TICK: Final = "Scheduler: Sending due task"

_TRIES_WITHIN_SECONDS: Final = 90.0
"""Longest time between two tries to connect; Celery's longest pause is 32 s, and a try may take as long as a
connection."""


class _AtDebug(logging.Filter):
    """Turns records at info that begin so into records at debug."""

    def __init__(self, begins: str) -> None:
        super().__init__()
        self._begins = begins

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno != logging.INFO or not str(record.msg).startswith(self._begins):
            return True
        record.levelno, record.levelname = logging.DEBUG, logging.getLevelName(logging.DEBUG)
        return logging.getLogger(record.name).isEnabledFor(logging.DEBUG)


class _OnceInAWhile(logging.Filter):
    """Leaves out records that begin so, but for the first and one each `REPEAT_SECONDS`. Celery logs itself that it is
    connected again."""

    def __init__(self, begins: str) -> None:
        super().__init__()
        self._begins = begins
        self._met_at = self._logged_at = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        if not str(record.msg).startswith(self._begins):
            return True
        now = time.monotonic()
        goes_on, self._met_at = now - self._met_at < _TRIES_WITHIN_SECONDS, now
        if goes_on and now - self._logged_at < REPEAT_SECONDS:
            return False
        self._logged_at = now
        return True


_FILTERS: Final = {
    **dict.fromkeys(_OF_TASKS, _AtDebug("")),
    _OF_BEAT: _AtDebug(_OF_A_TICK),
    "celery.worker.consumer.consumer": _OnceInAWhile("consumer: Cannot connect to"),
}
"""Made once: a logger that is set up again gets none twice."""


def format_celery(logger: logging.Logger, log_format: LogFormat) -> None:
    """Makes a logger that Celery has just set up write in Livewarden's format."""
    for name, of_tasks in _FILTERS.items():
        logging.getLogger(name).addFilter(of_tasks)
    # Celery gives it a handler of its own, and sends no signal.
    of_processes = get_multiprocessing_logger()
    for one in (logger, of_processes) if of_processes is not None else (logger,):
        format_records(one, log_format)


def keep_to_lines(app: Any) -> None:
    """Leaves out the banners, and writes what Celery prints without a logger as lines of JSON: for that format only."""

    def beat(*args: Any, **options: Any) -> Any:
        return app.subclass_with_self("celery.apps.beat:Beat")(*args, **{**options, "quiet": True})

    def say(message: object, *_: Any) -> None:
        # From signal handlers too, which may take no lock.
        os.write(2, f"{last_words(str(message).strip(), 'json', level='info')}\n".encode())

    def show(warning: Warning | str, *_: Any, **__: Any) -> None:
        # Until Celery sets logging up, which takes them from there.
        os.write(2, f"{last_words(str(warning), 'json', level='warning')}\n".encode())

    app.Beat = beat
    vars(warnings)["showwarning"] = show
    vars(celery_worker)["safe_say"] = say
