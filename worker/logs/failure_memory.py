"""Troubles by name (`worker.logs.failure_log`): as many as there is room for, and how many there are beyond."""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from worker.logs.distinct_names import ManyNames

REPEAT_SECONDS: Final = 600.0
"""Between two lines about a trouble that lasts."""

MOST_TURNS: Final = 3
"""How often within `REPEAT_SECONDS` the same trouble is logged as new: one that comes and goes each second is not
logged each second."""

MOST_NAMES: Final = 4_096
"""Troubles that are remembered, some 400 bytes each: names of streams are hostile and many."""


@dataclass(kw_only=True)
class Course:
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

    def is_past(self, now: float) -> bool:
        """Whether it is over, or was not met for so long that it begins anew."""
        return not self.lasts or now - self.met_at >= REPEAT_SECONDS

    def begin_again(self, now: float) -> None:
        """It was past, and is met once more."""
        if now - self.window_at >= REPEAT_SECONDS:
            self.window_at, self.turns = now, 0
        self.turns += 1
        self.began_at, self.times, self.lasts = now, 0, True
        self.said = self.turns <= MOST_TURNS


class Courses:
    """Of troubles of one kind.

    Where there is no room those that are past make some, the ones that are over first. One that lasts stays: else each
    of those that fail in turn would seem to begin.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[str, Course] = OrderedDict()
        """What is over, then the others by when they were met."""
        self._forgotten = ManyNames(REPEAT_SECONDS)
        self.beyond = ManyNames(REPEAT_SECONDS)
        """Those for which there was no room."""

    def __len__(self) -> int:
        return len(self._known)

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def met(self, name: str, now: float) -> tuple[Course, bool] | None:
        """Its course, and whether that begins; None: there is no room for another."""
        course = self._known.get(name)
        began = course is None or course.is_past(now)
        if course is None:
            if len(self._known) >= MOST_NAMES and not self._makes_room(now):
                return None
            course = self._known[name] = Course(began_at=now, logged_at=now, met_at=now, window_at=now)
            course.said = not self._forgotten.has(name, now)
        elif began:
            course.begin_again(now)
        self._known.move_to_end(name)
        course.times, course.met_at = course.times + 1, now
        return course, began

    def over(self, name: str) -> Course | None:
        """The course that ends; None: none lasts."""
        course = self._known.get(name)
        if course is None or not course.lasts:
            return None
        course.lasts = False
        self._known.move_to_end(name, last=False)
        return course

    def _makes_room(self, now: float) -> bool:
        name, first = next(iter(self._known.items()))
        if not first.is_past(now):
            return False
        del self._known[name]
        if now - first.met_at < REPEAT_SECONDS:  # should it come again at once, it is no news
            self._forgotten.add(name, now)
        return True
