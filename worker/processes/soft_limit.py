"""The soft time limit of the task that this process works on: how it strikes, and what it may not be taken for.

Billiard raises an `Exception` from its signal handler, wherever the code happens to be: within a model's run or a
rule's condition it was taken for their failure, and the segment went on without its time. Ours is no `Exception`, so
that no `except Exception` takes it, ours or a library's. What calls back from C (CEL's functions), or collects garbage,
swallows even that; so it is remembered too, and nothing is committed after it.

Where a lock is taken or given back in Python, or a context manager begins or cleans up, it strikes a moment later: a
lock that stays taken stops the thread that waits for it (the fetcher's loop, a model's time limit) for good, and with
it every later task of the process.
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
"""Until it strikes again where it must not strike; what is done there takes microseconds."""

_CLEANING = frozenset(
    function.__code__ for function in (_GeneratorContextManager.__enter__, _GeneratorContextManager.__exit__)
)
"""They run a context manager's own code before and after the block."""

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
"""Functions that take what nobody else will give back, or give it back. `with` a lock made in C has no step between
taking it and its block; these do."""


class SoftLimit:
    """One a process, as signals are; of its main thread."""

    def __init__(self) -> None:
        self._working = False
        self._struck = False
        self._held = False
        self._postponed = False

    def install(self) -> None:
        """Takes the place of billiard's handler, which each pool child sets after Celery's last signal before tasks.

        Takes SIGALRM as well, for which nothing else in a pool child has a use.
        """
        if SIG_SOFT_TIMEOUT is not None and signal.getsignal(SIG_SOFT_TIMEOUT) is soft_timeout_sighandler:
            signal.signal(signal.SIGALRM, self._strike_again)
            signal.signal(SIG_SOFT_TIMEOUT, self.strike)

    def strike(self, _signal: int, frame: FrameType | None) -> None:
        """The signal handler. One that comes when its task has ended finds nothing to stop.

        Args:
            frame: that it interrupts.

        Raises:
            OutOfTimeError: a task is worked on, and it is not committing.
        """
        if not self._working:
            return
        self._struck = True
        if self._held:
            return
        self._postponed = _is_unbroken(frame)
        if self._postponed:
            # By a signal too, so that this thread alone decides whether it still strikes the task that it is for.
            signal.setitimer(signal.ITIMER_REAL, MOMENT_SECONDS)
            return
        raise OutOfTimeError

    def _strike_again(self, number: int, frame: FrameType | None) -> None:
        if self._postponed:
            self.strike(number, frame)

    @contextmanager
    def task(self) -> Iterator[None]:
        """The time of one task."""
        self._struck = self._held = self._postponed = False
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
            self._postponed = False
            raise OutOfTimeError
        self._held = True
        try:
            yield
        finally:
            self._held = False


def _is_unbroken(frame: FrameType | None) -> bool:
    """Whether that is one of `_UNBROKEN`, or a context manager's own code."""
    return frame is not None and (
        frame.f_code in _UNBROKEN or (frame.f_back is not None and frame.f_back.f_code in _CLEANING)
    )


soft_limit = SoftLimit()
