"""The soft time limit of the task that this process works on: how it strikes, and what it may not be taken for.

Billiard raises an `Exception` from its signal handler, wherever the code happens to be: within a model's run or a
rule's condition it was taken for their failure, and the segment went on without its time. Ours is no `Exception`, so
that no `except Exception` takes it, ours or a library's. What calls back from C (CEL's functions), or collects garbage,
swallows even that; so it is remembered too, and nothing is committed after it.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from billiard.pool import SIG_SOFT_TIMEOUT, soft_timeout_sighandler

from worker.errors import OutOfTimeError


class SoftLimit:
    """One a process, as signals are; of its main thread."""

    def __init__(self) -> None:
        self._working = False
        self._struck = False
        self._held = False

    def install(self) -> None:
        """Takes the place of billiard's handler, which each pool child sets after Celery's last signal before tasks."""
        if SIG_SOFT_TIMEOUT is not None and signal.getsignal(SIG_SOFT_TIMEOUT) is soft_timeout_sighandler:
            signal.signal(SIG_SOFT_TIMEOUT, self.strike)

    def strike(self, _signal: int, _frame: FrameType | None) -> None:
        """The signal handler. One that comes when its task has ended finds nothing to stop.

        Raises:
            OutOfTimeError: a task is worked on, and it is not committing.
        """
        if not self._working:
            return
        self._struck = True
        if not self._held:
            raise OutOfTimeError

    @contextmanager
    def task(self) -> Iterator[None]:
        """The time of one task."""
        self._struck = self._held = False
        self._working = True
        try:
            yield
        finally:
            self._working = False

    @contextmanager
    def commit(self) -> Iterator[None]:
        """A step that is done whole or not at all: what strikes in it comes too late.

        Raises:
            OutOfTimeError: at the beginning; it has struck before, whatever has swallowed it.
        """
        if self._struck:
            raise OutOfTimeError
        self._held = True
        try:
            yield
        finally:
            self._held = False


soft_limit = SoftLimit()
