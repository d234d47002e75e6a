"""The shutdown of a worker by one of its pool children: one that cannot moderate must not leave half a worker."""

import os
import signal
from mmap import mmap
from typing import Final

STATUS: Final = 1
"""Exit status of a worker that a child has ended; Celery's own warm shutdown gives 0, and no supervisor would restart
it."""


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

    def exit_if_requested(self) -> None:
        """Raises SystemExit at the end of the main process, if a child requested it."""
        if self._requested[0]:
            raise SystemExit(STATUS)
