"""Finds cuts and fades in decoded pictures, where packets do not show them. Runs in the decoder child.

AV1 and VP9 code pictures in a rhythm that looks like cuts all the time, and code what is shown later with what is shown
now: on 561 inserts sizes pointed at 96 %, and at most other pictures as well. Grain, strobes and flicker do the same to
other codecs. There all pictures are decoded and compared.
"""

from collections import deque
from enum import Enum
from typing import NamedTuple

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

COLUMNS, ROWS = 32, 18
"""Cells whose mean luma is compared: coarse enough for the motion and coding noise of one picture's time."""
LOOKED_AT_ROWS = 4 * ROWS
"""Rows of a picture that are read, at least: all of them would take five times as long at 360p."""
CHANGED_LEVELS = 8.0
"""Levels of 256 by which a cell's mean must differ (>) to count as changed."""
FLASH_LEVELS, FLASH_SHARE = 24.0, 0.4
"""Levels by which a cell must change (>), and share of such cells over which (>) a picture has nothing in common with
the one before it, however usual that is there: no motion does that."""
RESTING_SECONDS = 0.15
"""A fade is over once nothing has changed for longer (>) than a picture of a slow camera lasts."""
REPEATED_LEVELS = 1.5
"""A picture of which no cell changes by so much (<) repeats the one before: a camera of 10 pictures a second sent as 30
would have its every third look like a cut."""
CHANGED_SHARE = 0.4
"""Share of changed cells over which (>) the scene is another. From one picture of the film `carphone` to the next up to
0.21 changed, at 15 pictures a second 0.31; of others half as many."""
WINDOW_COLUMNS, WINDOW_ROWS = 8, 4
"""Cells of the smallest window that is another scene within a picture: an eighteenth of its area, so that one of a
ninth holds one wherever it lies."""
WINDOW_LEVELS, WINDOW_SHARE = 16.0, 0.7
"""Levels by which a cell of such a window must change (>), and share of such cells over which (>) it is one: what moves
changes at its edges only. Of films without cuts no window had over 0.56, at 15 pictures a second 0.66; of 24 in which
another film began or ended in a window of a ninth or a fourth none had under 0.78."""
UNUSUAL = 2.0
"""A cell changes (>) so many times as much as those around it did just before: else it is fast motion."""
FADING = 0.75
"""Share of a change that counts as usual a picture later: after a cut another one is seen a quarter of a second
later."""
KNOWN = 8
"""So many of the latest samples are remembered: a picture like one of them shows nothing new, however it is cut."""
FADE_SECONDS = 0.5
"""Pictures so far apart are compared for changes that build up, and a fade is over after as long again."""
FADE_LEVELS, FADE_SHARE = 10.0, 0.35
"""Levels by which a cell must differ (>) over that time, and share of such cells over which (>) it is one."""
STRAIGHT = 0.85
"""In a fade cells change (>) by so much of the sum of all their changes from picture to picture: motion goes to and
fro."""
CALM = 0.25
"""The same (<) after pictures that all differed without a cut among them: motion goes on more evenly."""
SETTLED = 0.5
"""A fade has settled where pictures change by this share (<=) of what they did at most in it."""
FASTEST_SECONDS = 1 / 50
"""Pictures nearer than this to the last one that was kept for fades are not kept."""

AROUND = np.ones((3, 3), np.uint8)
"""A cell and those beside it."""

Cells = NDArray[np.float32]


class Change(Enum):
    """Change that a picture brings."""

    CUT = "cut"
    """It shows another scene than the picture before it."""
    SETTLED = "settled"
    """It is the first clear picture after a change that built up over several, or after pictures that all differ."""

    FLASH = "flash"
    """It is one of many pictures that have nothing in common, as in a strobe."""


class Novelty(NamedTuple):
    """News of a picture."""

    change: Change
    known: bool
    """One of the latest samples shows the same: A, B and A again are two pictures."""


class _Past(NamedTuple):
    """A picture of the last moments."""

    seconds: float
    cells: Cells
    path: Cells
    """Sum of each cell's changes up to it."""


class SceneWatch:
    """Is shown the pictures of one input in the order of a player."""

    def __init__(self) -> None:
        self._cells: Cells | None = None
        self._usual: Cells | None = None
        self._known: deque[Cells] = deque(maxlen=KNOWN)
        self._past: deque[_Past] = deque()
        self._path: Cells | None = None
        self._fading_until: float | None = None
        self._peak = 0.0
        self._changed_seconds = 0.0
        self._stirred = 0.0

    def forget(self) -> None:
        """Begins anew after pictures that were not shown."""
        self._cells = self._usual = self._path = self._fading_until = None
        self._stirred = 0.0
        self._past.clear()

    def look(self, frame: VideoFrame, seconds: float) -> Novelty | None:
        """Looks at the next picture; returns what is new in it, None: nothing."""
        before, cells = self._cells, cells_of(frame)
        if before is None:
            self._cells = cells
            return None
        change = np.abs(cells - before)
        if change.max() < REPEATED_LEVELS:
            rests = self._fading_until is not None and seconds - self._changed_seconds > RESTING_SECONDS
            if not rests and not self._has_calmed(change, stirs=False):
                return None
            self._fading_until = None
            self._stirred = 0.0
            return Novelty(Change.SETTLED, self._is_known(cells))
        self._cells = cells
        self._changed_seconds = seconds
        stirs = _is_other(change)
        is_cut = stirs and self._is_unusual(change)
        # Motion moves on to the cells beside it.
        around = np.asarray(cv2.dilate(change, AROUND), np.float32)
        self._usual = around if self._usual is None else np.maximum(around, FADING * self._usual)
        settled = self._has_settled(change, seconds, is_cut=is_cut) or self._has_calmed(change, stirs=stirs)
        if is_cut or settled:
            self._stirred = 0.0
        flashes = stirs and (change > FLASH_LEVELS).mean() > FLASH_SHARE
        if not is_cut and not settled and not flashes:
            return None
        change_of = Change.CUT if is_cut else Change.SETTLED if settled else Change.FLASH
        return Novelty(change_of, self._is_known(cells))

    def remember(self, frame: VideoFrame) -> None:
        """Remembers a picture that was taken as a sample."""
        self._known.append(cells_of(frame))

    def has_shown(self, frame: VideoFrame) -> bool:
        """True if the latest sample shows what a picture does."""
        return bool(self._known) and not differ(self._known[-1], cells_of(frame))

    def _is_known(self, cells: Cells) -> bool:
        return any(not _is_other(np.abs(cells - one)) for one in self._known)

    @property
    def shown(self) -> Cells | None:
        """Cells of the latest picture."""
        return self._cells

    def still_shows(self, earlier: Cells) -> bool:
        """True if the latest picture shows the same as an earlier one."""
        return self._cells is not None and not _is_other(np.abs(self._cells - earlier))

    def _is_unusual(self, change: Cells) -> bool:
        """True if enough changes more than it did just before: else it is fast motion."""
        return self._usual is None or _is_other(change, UNUSUAL * self._usual)

    def _has_calmed(self, change: Cells, *, stirs: bool) -> bool:
        """True for the first picture that stays after some that all differed, as in a strobe."""
        now = float(change.mean())
        if stirs:
            self._stirred = max(self._stirred, now)
        return now < CALM * self._stirred

    def _has_settled(self, change: Cells, seconds: float, *, is_cut: bool) -> bool:
        """True for the first clear picture after a change that built up."""
        cells = self._cells
        assert cells is not None
        now = float(change.mean())
        self._path = change if self._path is None else self._path + change
        if is_cut:
            self._past.clear()
            self._fading_until = None
        while self._past and self._past[0].seconds < seconds - FADE_SECONDS:
            self._past.popleft()
        earlier = self._past[0] if self._past else None
        if not self._past or seconds - self._past[-1].seconds >= FASTEST_SECONDS:
            self._past.append(_Past(seconds, cells, self._path))
        if earlier is None:
            return False
        if self._fading_until is not None:
            self._peak = max(self._peak, now)
            if now > SETTLED * self._peak and seconds < self._fading_until:
                return False
            settled = now <= SETTLED * self._peak
            self._fading_until = None
            self._past.clear()
            # What goes on as it began is no fade, but a picture that moves evenly.
            return settled
        over = np.abs(cells - earlier.cells)
        way = float((self._path - earlier.path).sum())
        if (over > FADE_LEVELS).mean() > FADE_SHARE and float(over.sum()) > STRAIGHT * way:
            self._fading_until = seconds + FADE_SECONDS
            self._peak = now
        return False


def differ(before: Cells, after: Cells) -> bool:
    """True if a picture shows something else than the one before it, in all or in a window."""
    return _is_other(np.abs(after - before))


def _is_other(change: Cells, usual: Cells | float = 0.0) -> bool:
    """True if so many cells changed by more than is usual, in all or in one window, that it shows something else."""
    if (change > np.maximum(CHANGED_LEVELS, usual)).mean() > CHANGED_SHARE:
        return True
    changed = (change > np.maximum(WINDOW_LEVELS, usual)).astype(np.float32)
    if changed.sum() <= WINDOW_SHARE * WINDOW_COLUMNS * WINDOW_ROWS:
        return False
    return bool(cv2.blur(changed, (WINDOW_COLUMNS, WINDOW_ROWS), borderType=cv2.BORDER_CONSTANT).max() > WINDOW_SHARE)


def cells_of(frame: VideoFrame) -> Cells:
    """Mean of each cell's first component (luma, or green), (ROWS, COLUMNS), 0 to 255."""
    component = frame.format.components[0]
    plane = frame.planes[component.plane]
    samples = np.frombuffer(memoryview(plane), np.dtype(np.uint16 if component.bits > 8 else np.uint8))
    step = max(plane.height // LOOKED_AT_ROWS, 1)
    picture = samples.reshape(plane.height, -1)[::step, : plane.width]
    cells = cv2.resize(picture, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    return cells.astype(np.float32) / np.float32(1 << (component.bits - 8))
