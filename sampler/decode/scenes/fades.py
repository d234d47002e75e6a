"""Finds the first clear picture after a fade: a blend of two pictures matches no list. Runs in the decoder child."""

from collections import deque
from typing import NamedTuple

from sampler.decode.scenes.cells import Cells, Lumas, luma_change

RESTING_SECONDS = 0.15
"""A fade is over once nothing has changed for longer (>) than a picture of a slow camera lasts."""
FADE_SECONDS = 0.5
"""Pictures so far apart are compared for changes that build up, and a fade is over so long after the last."""
SHORTEST_SECONDS, SHORTEST_PICTURES = 0.1, 3
"""Changes over less than both (<) are no fade: between two pictures every change is straight."""
FADE_LEVELS, FADE_SHARE = 10.0, 0.35
"""Levels by which a cell must differ (>) over that time, and share of such cells over which (>) it is one."""
STRAIGHT = 0.75
"""In a fade cells change (>) by so much of the sum of all their changes from picture to picture: motion goes to and
fro. With 0.85 a restless camera hid dissolves by blocks over half a second; on seven contents without cuts 0.75 takes
no more samples."""
SETTLED = 0.5
"""A fade has settled where pictures change by this share (<=) of what they did at most in it."""
FASTEST_SECONDS = 1 / 50
"""Pictures nearer than this to the last one that was kept for fades are not kept."""


class _Past(NamedTuple):
    """A picture of the last moments."""

    seconds: float
    cells: Cells
    path: Lumas
    """Sum of each cell's changes up to it."""


class FadeWatch:
    """Is shown the cells of pictures in the order of a player."""

    def __init__(self) -> None:
        self._past: deque[_Past] = deque()
        self._path: Lumas | None = None
        self._until: float | None = None
        """A fade goes on, at the longest until then."""
        self._pace = 0.0
        """Mean change of its pictures."""
        self._changed_seconds = 0.0

    def forget(self) -> None:
        """Begins anew."""
        self._path = self._until = None
        self._past.clear()

    @property
    def goes_on(self) -> bool:
        """True while a change builds up."""
        return self._until is not None

    def rests(self, seconds: float) -> bool:
        """True if a picture that repeats the one before ends a fade."""
        if self._until is None or seconds - self._changed_seconds <= RESTING_SECONDS:
            return False
        self._until = None
        return True

    def has_settled(self, cells: Cells, change: Lumas, seconds: float, *, is_cut: bool) -> bool:
        """True for the first clear picture after a change that built up.

        Args:
            cells: of the next picture.
            change: its `luma_change` from the one before.
            seconds: its time.
            is_cut: whether it begins another scene at once.
        """
        self._changed_seconds = seconds
        self._path = change if self._path is None else self._path + change
        if is_cut:
            self._past.clear()
            self._until = None
        while self._past and self._past[0].seconds < seconds - FADE_SECONDS:
            self._past.popleft()
        pictures, earlier = len(self._past), self._past[0] if self._past else None
        if not self._past or seconds - self._past[-1].seconds >= FASTEST_SECONDS:
            self._past.append(_Past(seconds, cells, self._path))
        if earlier is None:
            return False
        if self._until is not None:
            settled = float(change.mean()) <= SETTLED * self._pace
            if settled or seconds >= self._until:
                # What goes on as it began is no fade, but a picture that moves evenly.
                self._until = None
                self._past.clear()
                return settled
        if seconds - earlier.seconds < SHORTEST_SECONDS or pictures < SHORTEST_PICTURES:
            return False
        over = luma_change(earlier.cells, cells)
        if (over > FADE_LEVELS).mean() > FADE_SHARE and over.sum() > STRAIGHT * (self._path - earlier.path).sum():
            pace = float(over.mean()) / pictures
            self._pace = pace if self._until is None else max(pace, self._pace)
            self._until = seconds + FADE_SECONDS
        return False
