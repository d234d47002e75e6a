"""How a pool child ends its whole worker: one that cannot be judged with must not stay as half a worker."""

import os
import signal
from mmap import mmap
from typing import Final

STATUS: Final = 1
"""Of a worker that a child has ended; Celery's own warm shutdown gives 0, and nobody would start it again."""


class WorkerEnd:
    """Made in the worker's main process, before its children are forked."""

    def __init__(self) -> None:
        self._main = os.getpid()
        self._asked = mmap(-1, 1)  # shared with what is forked

    def ask(self) -> None:
        """Ends this process, and has the main one shut down: what other children work on is finished first.

        In the main process, where tasks run in it (pool `solo`), raises SystemExit.
        """
        self._asked[0] = 1
        if os.getpid() == self._main:
            raise SystemExit(STATUS)
        os.kill(self._main, signal.SIGTERM)
        os._exit(STATUS)  # its pool must not wait for it, nor give it work

    def exit_if_asked(self) -> None:
        """At the end of the main process: raises SystemExit if a child wanted it."""
        if self._asked[0]:
            raise SystemExit(STATUS)
