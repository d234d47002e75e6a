"""Trouble that comes again and again: logged when it begins, each ten minutes while it lasts, and when it is over.

    _away = Troubles(_log)
    _away.met("redis", "intake is not read: %s", error)     # at each failure
    _away.over("redis", "intake is read again")             # at each success; says something after a failure only

What is not said so is logged at debug.
"""

import logging
import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from weakref import WeakSet

from worker.linelimit import LineLimit
from worker.logfields import fields

REPEAT_SECONDS: Final = 600.0
"""Between two lines about a trouble that lasts."""

MOST_TURNS: Final = 3
"""How often within `REPEAT_SECONDS` the same trouble is logged as new: one that comes and goes each second is not
logged each second."""

MOST_NAMES: Final = 1_024
"""Troubles that are remembered, some 400 bytes each: names of streams are hostile and many. The one that was met
longest ago is forgotten."""

BEGINNINGS_A_MINUTE: Final = 60
"""Of all troubles of one kind: where thousands of streams fail at once, these say so."""

OTHERS_A_MINUTE: Final = 60
"""Likewise of lines that trouble lasts or is over."""


@dataclass(kw_only=True)
class _Course:
    """Of one trouble."""

    began_at: float
    logged_at: float
    met_at: float
    window_at: float
    """When the first of `turns` was."""
    turns: int = 1
    times: int = 0
    """Met since it began."""
    lasts: bool = True
    said: bool = True
    """That it began was logged, so its end is."""


class Troubles:
    """Of one kind, in one process."""

    def __init__(self, log: logging.Logger, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._log = log
        self._clock = clock
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Begins anew; a process that was forked from one in trouble has had none yet."""
        self._courses: OrderedDict[str, _Course] = OrderedDict()
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
            now, course, began = self._clock(), self._courses.get(name), False
            if course is None or not course.lasts or now - course.met_at >= REPEAT_SECONDS:
                began, course = True, self._begin(name, course, now)
            self._courses.move_to_end(name)
            course.times, course.met_at = course.times + 1, now
            left_out = self._beginnings.next(now) if began and course.said else 0
            if left_out is None:
                course.said, left_out = False, 0
            told = (began and course.said) or now - course.logged_at >= REPEAT_SECONDS
            if told:
                course.said, course.logged_at = True, now
            times, lasted_seconds = course.times, now - course.began_at
            others = self._others.next(now) if told and (not began or times > 1) else 0
            told = told and others is not None
        if not told:
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
            course = self._courses.get(name)
            if course is None or not course.lasts:
                return
            course.lasts = False
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

    def _begin(self, name: str, before: _Course | None, now: float) -> _Course:
        if before is None:
            course = self._courses[name] = _Course(began_at=now, logged_at=now, met_at=now, window_at=now)
            while len(self._courses) > MOST_NAMES:
                self._courses.popitem(last=False)
            return course
        if now - before.window_at >= REPEAT_SECONDS:
            before.window_at, before.turns = now, 0
        before.turns += 1
        before.began_at, before.times, before.lasts = now, 0, True
        before.said = before.turns <= MOST_TURNS
        return before


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
