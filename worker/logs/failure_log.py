"""Trouble that comes again and again: logged when it begins, each ten minutes while it lasts, and when it is over.

    _away = Troubles(_log)
    _away.met("redis", "intake is not read: %s", error)     # at each failure
    _away.over("redis", "intake is read again")             # at each success; says something after a failure only

What is not said so is logged at debug. Of more names than are remembered each ten minutes' number is logged.
"""

import logging
import os
import threading
import time
from collections.abc import Callable
from typing import Any, Final
from weakref import WeakSet

from worker.logs.failure_memory import REPEAT_SECONDS, Course, Courses
from worker.logs.fields import fields
from worker.logs.rate_limit import LineLimit

BEGINNINGS_A_MINUTE: Final = 60
"""Of all troubles of one kind: where thousands of streams fail at once, these say so."""

OTHERS_A_MINUTE: Final = 60
"""Likewise of lines that trouble lasts or is over."""


class Troubles:
    """Of one kind, in one process."""

    def __init__(self, log: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Begins anew; a process that was forked from one in trouble has had none yet."""
        self._courses = Courses()
        self._beginnings = LineLimit(BEGINNINGS_A_MINUTE)
        self._others = LineLimit(OTHERS_A_MINUTE)

    def met(
        self, name: str, text: str, *args: object, level: int = logging.WARNING, exc_info: bool = False, **more: Any
    ) -> None:
        """It happened, now or again. What was not met for `REPEAT_SECONDS` begins anew, whether `over` said so or not.

        Args:
            name: tells one trouble from others of the kind.
            text: for this time; what it quotes may differ from one to the next.
            exc_info: shows the traceback of the exception at hand, once.
            more: fields.
        """
        with _Lock.held:
            now = self._clock()
            met = self._courses.met(name, now)
            beyond = self._courses.beyond.ended(now) if met is None else 0
            course, began = met or (Course(began_at=now, logged_at=now, met_at=now, window_at=now, times=1), True)
            if met is None:
                course.said = self._courses.beyond.add(name, now) and not beyond
            left_out = self._beginnings.next(now) if began and course.said else 0
            if left_out is None:
                course.said, left_out = False, 0
            told = (began and course.said) or now - course.logged_at >= REPEAT_SECONDS
            if told:
                course.said, course.logged_at = True, now
            times, lasted_seconds = course.times, now - course.began_at
            others = self._others.next(now) if told and (not began or times > 1) else 0
            told = told and others is not None
        if beyond:
            text, args = f"{text} (one of about %d more in trouble, not all of which are logged)", (*args, beyond)
            self._log.log(level, text, *args, extra=fields(trouble="more", names=beyond, **more))
        elif not told:
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
        """It went well. Cheap where there was no trouble."""
        if name not in self._courses:
            return
        with _Lock.held:
            course = self._courses.over(name)
            if course is None:
                return
            now = self._clock()
            said, times, lasted_seconds = course.said, course.times, now - course.began_at
            others = self._others.next(now) if said else None
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
    """One for all: what is done under it takes microseconds."""

    held = threading.Lock()


_all: WeakSet[Troubles] = WeakSet()


def forget_all() -> None:
    """As in a process that has just begun."""
    # Another thread may have held it in the process that was forked.
    _Lock.held = threading.Lock()
    for troubles in list(_all):
        troubles.forget()


os.register_at_fork(after_in_child=forget_all)
