"""The shutdown of a worker from within: one of its pool children cannot moderate and must not leave half a worker, or
its event loop asks for no work."""

import logging
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from mmap import mmap
from pathlib import Path
from typing import Final

from worker.processes.periodic import start_thread
from worker.runtime.timed_task import HARD_LIMIT_SECONDS

_log = logging.getLogger(__name__)

STATUS: Final = 1
"""Exit status of a worker that a child has ended; Celery's own warm shutdown gives 0, and no supervisor would restart
it."""

WARM_SECONDS: Final = HARD_LIMIT_SECONDS + 7.0
"""For a warm shutdown: tasks in hand end within their hard limit."""

MOMENT_SECONDS: Final = 1.0

COLD_SECONDS: Final = 5.0
"""For a cold shutdown, in which nothing is waited for."""


class WorkerEnd:
    """Ends a worker; made in its main process, before its children are forked."""

    def __init__(self) -> None:
        self._main = os.getpid()
        self._requested = mmap(-1, 1)  # shared with forked processes

    def request(self) -> None:
        """Ends this process, and shuts the main one down: tasks of other children are finished first.

        In the main process, where tasks run in it (pool `solo`), raises SystemExit.
        """
        self._requested[0] = 1
        if os.getpid() == self._main:
            raise SystemExit(STATUS)
        os.kill(self._main, signal.SIGTERM)
        os._exit(STATUS)  # its pool must not wait for it, nor give it work

    def force(self) -> None:
        """Ends the main process, from another thread of it, whatever its event loop does: by a warm shutdown, then a
        cold one, then at once with its children. What is not finished is delivered again. Does not return."""
        self._requested[0] = 1
        for number, seconds in ((signal.SIGTERM, WARM_SECONDS), (signal.SIGQUIT, COLD_SECONDS)):
            # To that thread: a call that blocks it is interrupted only by a signal of its own.
            signal.pthread_kill(threading.main_thread().ident or 0, number)
            threading.Event().wait(seconds)
        text = "this worker ends at once, with its processes: its event loop does not take part in a shutdown"
        try_for_a_moment(partial(_log.error, text))
        for pid in _children():
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        try_for_a_moment(logging.shutdown)
        os._exit(STATUS)

    def exit_if_requested(self) -> None:
        """Raises SystemExit at the end of the main process, if a child requested it."""
        if self._requested[0]:
            raise SystemExit(STATUS)


def try_for_a_moment(work: Callable[[], object]) -> None:
    """Does what may never return, such as logging: the event loop may be stuck in a line that nobody reads."""
    start_thread("moment", work).join(MOMENT_SECONDS)


def _children() -> Iterator[int]:
    """Process IDs of this process's children: one that stayed would be nobody's. The kernel's own list of them leaves
    some out while others end."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # one that has ended meanwhile
            pid, _, after_name = stat.read_text().partition(" ")
            if int(after_name.rpartition(")")[2].split()[1]) == os.getpid():
                yield int(pid)
