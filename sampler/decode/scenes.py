"""Finds cuts in decoded pictures, where packets do not show them. Runs in the decoder child.

AV1 and VP9 code pictures in a rhythm that looks like cuts all the time, and code what is shown later with what is shown
now: on 561 inserts sizes pointed at 96 %, and at most other pictures as well. So all of them are decoded and compared.
"""

import cv2
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

COLUMNS, ROWS = 32, 18
"""Cells whose mean luma is compared: coarse enough for the motion and coding noise of one picture's time."""
LOOKED_AT_ROWS = 4 * ROWS
"""Rows of a picture that are read, at least: all of them would take five times as long at 360p."""
CHANGED_LEVELS = 8
"""Levels of 256 by which a cell's mean must differ (>) to count as changed."""
CHANGED_SHARE = 0.2
"""Share of changed cells over which (>) the scene is another."""
UNUSUAL = 2.0
"""A cut changes (>) so many times as much as pictures did just before: else it is fast motion."""
RECENT = 0.25
"""Weight of the latest change among those: two pictures later another cut counts as usual no more."""
BURST_CUTS = 8
"""So many cuts may follow one another at once; then there are no more than the profile's `cuts_per_second`. A flicker
would have every picture taken."""


class SceneWatch:
    """Is shown the pictures of one input in the order of a player."""

    def __init__(self, *, cuts_per_second: float) -> None:
        """See `BURST_CUTS`."""
        self._rate = cuts_per_second
        self._allowance = float(BURST_CUTS)
        self._seconds: float | None = None
        self._cells: NDArray[np.floating] | None = None
        self._usual_change: float | None = None

    def is_cut(self, frame: VideoFrame, seconds: float) -> bool:
        """True if the picture shows another scene than the one before it; never for the first."""
        before, self._cells = self._cells, _cells(frame)
        if self._seconds is not None:
            self._allowance = min(self._allowance + self._rate * max(seconds - self._seconds, 0.0), BURST_CUTS)
        self._seconds = seconds
        if before is None:
            return False
        changes = np.abs(self._cells - before)
        change = float(changes.mean())
        unusual = self._usual_change is None or change > UNUSUAL * self._usual_change
        usual = change if self._usual_change is None else self._usual_change
        self._usual_change = usual + RECENT * (change - usual)
        if not unusual or (changes > CHANGED_LEVELS).mean() <= CHANGED_SHARE or self._allowance < 1:
            return False
        self._allowance -= 1
        return True


def _cells(frame: VideoFrame) -> NDArray[np.floating]:
    """Mean of each cell's first component (luma, or green), (ROWS, COLUMNS), 0 to 255."""
    component = frame.format.components[0]
    plane = frame.planes[component.plane]
    samples = np.frombuffer(memoryview(plane), np.dtype(np.uint16 if component.bits > 8 else np.uint8))
    step = max(plane.height // LOOKED_AT_ROWS, 1)
    picture = samples.reshape(plane.height, -1)[::step, : plane.width]
    cells = cv2.resize(picture, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)
    return cells / np.float32(1 << (component.bits - 8))
