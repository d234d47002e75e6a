"""Pictures as means of luma by cells, compared in all and window by window. Runs in the decoder child."""

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

Cells = NDArray[np.float32]


def differ(before: Cells, after: Cells) -> bool:
    """True if a picture shows something else than the one before it, in all or in a window."""
    return is_other(np.abs(after - before))


def is_other(change: Cells, usual: Cells | float = 0.0) -> bool:
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
