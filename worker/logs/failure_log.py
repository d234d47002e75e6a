"""Throttled logging of repeated failures: logged when they begin, every ten minutes while they last, and when they end.

    _away = FailureLog(_log)
    _away.met("redis", "intake is not read: %s", error)     # at each failure
    _away.over("redis", "intake is read again")             # at each success; logs only after a failure

Other occurrences are logged at debug level. If there are more names than are remembered, their number is logged every
ten minutes.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakSet

from worker.logs.failure_memory import REPEAT_SECONDS, FailureMemory, FailureRun
from worker.logs.fields import fields
from worker.logs.rate_limit import LineLimit

BEGINNINGS_A_MINUTE: Final = 60
"""First lines of all failures of one kind: if thousands of streams fail together, these show it."""

OTHERS_A_MINUTE: Final = 60
"""Lines of one kind about failures that last or have ended."""


class FailureLog:
    """Failures of one kind in one process, by name."""

    def __init__(self, log: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Forgets all failures: those of a parent process are not this process's."""
        self._memory = FailureMemory()
        self._beginnings = LineLimit(BEGINNINGS_A_MINUTE)
        self._others = LineLimit(OTHERS_A_MINUTE)

    def met(
        self, name: str, text: str, *args: object, level: int = logging.WARNING, exc_info: bool = False, **more: Any
    ) -> None:
        """Records a failure. One that did not occur for `REPEAT_SECONDS` begins anew, even without `over`.

        Args:
            name: identifies the failure among those of its kind.
            text: the log message; it may differ from one occurrence to the next.
            exc_info: logs the traceback of the current exception, once.
            more: fields of the record.
        """
        with _Lock.held:
            now = self._clock()
            met = self._memory.met(name, now)
            beyond = self._memory.beyond.ended(now) if met is None else 0
            run, began = met or (FailureRun(began_at=now, logged_at=now, met_at=now, window_at=now, times=1), True)
            if met is None:
                run.logged = self._memory.beyond.add(name, now) and not beyond
            left_out = self._beginnings.next(now) if began and run.logged else 0
            if left_out is None:
                run.logged, left_out = False, 0
            logged = (began and run.logged) or now - run.logged_at >= REPEAT_SECONDS
            if logged:
                run.logged, run.logged_at = True, now
            times, lasted_seconds = run.times, now - run.began_at
            others = self._others.next(now) if logged and (not began or times > 1) else 0
            logged = logged and others is not None
        if beyond:
            text, args = f"{text} (one of about %d more that fail, not all of which are logged)", (*args, beyond)
            self._log.log(level, text, *args, extra=fields(trouble="more", names=beyond, **more))
        elif not logged:
            self._log.debug(text, *args, extra=fields(**more))
        elif not began or times > 1:
            text, args = _with_left_out(text, args, others)
            self._log.log(
                level,
                f"{text} (for %d s, %s)",
                *(*args, lasted_seconds, _counted(times)),
                extra=fields(trouble="lasts", lasts_seconds=round(lasted_seconds), times=times, **more),
            )
        else:
            if left_out:
                text, args = f"{text} (%d more that began are left out)", (*args, left_out)
            self._log.log(level, text, *args, exc_info=exc_info or None, extra=fields(trouble="begins", **more))

    def over(self, name: str, text: str, *args: object, level: int = logging.WARNING, **more: Any) -> None:
        """Records a success. Cheap if there was no failure."""
        if name not in self._memory:
            return
        with _Lock.held:
            run = self._memory.over(name)
            if run is None:
                return
            now = self._clock()
            times, lasted_seconds = run.times, now - run.began_at
            others = self._others.next(now) if run.logged else None
        if others is not None:
            text, args = _with_left_out(text, args, others)
            self._log.log(
                level,
                f"{text} (after %d s, %s)",
                *(*args, lasted_seconds, _counted(times)),
                extra=fields(trouble="over", lasts_seconds=round(lasted_seconds), times=times, **more),
            )


def _with_left_out(text: str, args: tuple[object, ...], left_out: int | None) -> tuple[str, tuple[object, ...]]:
    return (f"{text} (%d more lines are left out)", (*args, left_out)) if left_out else (text, args)


def _counted(times: int) -> str:
    return "once" if times == 1 else f"{times} times"


class _Lock:
    """One lock for all logs: it is held for microseconds."""

    held = threading.Lock()


_all: WeakSet[FailureLog] = WeakSet()


def forget_all() -> None:
    """Resets all logs in a forked process."""
    # Another thread of the parent process may have held the lock.
    _Lock.held = threading.Lock()
    for log in list(_all):
        log.forget()


os.register_at_fork(after_in_child=forget_all)
