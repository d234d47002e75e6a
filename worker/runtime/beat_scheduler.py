"""Beat's scheduler: Celery's, with one log line where a tick cannot be sent, and an end at the first signal."""

import logging
import signal
import threading
from typing import Any, NoReturn

from celery.beat import Scheduler

from worker.logs.failure_log import FailureLog

_trouble = FailureLog(logging.getLogger(__name__))


class QuietScheduler(Scheduler):
    """Logs failed ticks as other failures: Celery logs 10 kB for each, a gigabyte a day. Redis is away or full then,
    which workers and `doctor` show too.

    A signal ends it while a tick is sent, too. Celery's handler raises SystemExit there; closing the connection, in a
    read of which it struck, raises a ValueError in its place, which is taken for a tick that failed.
    """

    _ending = False

    def end_on_signals(self) -> None:
        """Ends this process at SIGTERM and SIGINT; in place of Celery's handler, once that is there. A beat within a
        worker's threads has no signals of its own."""
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, self._end)

    def _end(self, *_: object) -> NoReturn:
        self._ending = True
        raise SystemExit

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Sends a due entry."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            if not self._ending:
                _trouble.met("ticks", "%s", error)
        else:
            _trouble.over("ticks", "ticks are sent again")
        if self._ending:
            raise SystemExit
