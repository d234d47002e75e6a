"""The soft time limit of the current task, raised as an exception that no handler takes for another failure.

Billiard raises an `Exception` from its signal handler, wherever the code happens to be: within a model's run or a
rule's condition it was taken for their failure, and the segment continued beyond its limit. `OutOfTimeError` is no
`Exception`, so no `except Exception`, here or in a library, catches it. Callbacks from C (CEL's functions) and garbage
collection swallow even that; so it is remembered too, and nothing is committed after it.

While Python code acquires or releases a lock, or a context manager enters or exits, it is postponed a moment: a lock
that stays locked would block the thread that waits for it (the fetcher's loop, a model's time limit) indefinitely, and
with it every later task of the process.
"""

import logging
import signal
from collections.abc import Iterator
from contextlib import _GeneratorContextManager, contextmanager
from threading import Condition
from types import FrameType

from billiard.pool import SIG_SOFT_TIMEOUT, soft_timeout_sighandler

from worker.errors import OutOfTimeError

MOMENT_SECONDS = 0.001
"""Delay of a postponed strike; the code that it waits for takes microseconds."""

_CLEANING = frozenset({_GeneratorContextManager.__enter__.__code__, _GeneratorContextManager.__exit__.__code__})
"""Functions that run a context manager's own code before and after the block."""

_UNBROKEN = _CLEANING | frozenset(
    function.__code__
    for function in (
        Condition.__enter__,
        Condition.__exit__,
        # Before Python 3.13, which takes a handler's lock by `with`.
        logging.Handler.acquire,
        logging.Handler.release,
    )
)
"""Functions that acquire or release a lock in several steps. `with` on a lock implemented in C has no step between
acquiring it and its block; these do."""


class SoftLimit:
    """The soft limit of a process, for its main thread. One a process, as signals are."""

    def __init__(self) -> None:
        self._working = self._struck = self._held = self._postponed = False

    def install(self) -> None:
        """Replaces billiard's handler, which each pool child sets after Celery's last signal before tasks.

        Handles SIGALRM as well, which nothing else in a pool child uses.
        """
        if SIG_SOFT_TIMEOUT is not None and signal.getsignal(SIG_SOFT_TIMEOUT) is soft_timeout_sighandler:
            signal.signal(signal.SIGALRM, self._strike_again)
            signal.signal(SIG_SOFT_TIMEOUT, self.strike)

    def strike(self, _signal: int, frame: FrameType | None) -> None:
        """The signal handler. After the end of its task it does nothing.

        Args:
            frame: the interrupted frame.

        Raises:
            OutOfTimeError: a task is running, and it is not committing.
        """
        if not self._working:
            return
        self._struck = True
        if self._held:
            return
        self._postponed = _is_unbroken(frame)
        if self._postponed:
            # By a signal too, so that this thread alone decides whether the same task is still running.
            signal.setitimer(signal.ITIMER_REAL, MOMENT_SECONDS)
            return
        raise OutOfTimeError

    def _strike_again(self, number: int, frame: FrameType | None) -> None:
        if self._postponed:
            self.strike(number, frame)

    @contextmanager
    def task(self) -> Iterator[None]:
        """The duration of one task."""
        self._struck = self._held = self._postponed = False
        self._working = True
        try:
            yield
        finally:
            self._working = False

    @contextmanager
    def commit(self) -> Iterator[None]:
        """An atomic step: a limit reached within it has no effect.

        Raises:
            OutOfTimeError: at the beginning, if the limit was reached before, even if that was swallowed.
        """
        if self._struck:
            self._postponed = False
            raise OutOfTimeError
        self._held = True
        try:
            yield
        finally:
            self._held = False


def _is_unbroken(frame: FrameType | None) -> bool:
    """Returns whether the frame is in one of `_UNBROKEN`, or in a context manager's own code."""
    return frame is not None and (
        frame.f_code in _UNBROKEN or (frame.f_back is not None and frame.f_back.f_code in _CLEANING)
    )


soft_limit = SoftLimit()
