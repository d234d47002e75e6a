"""Black bars around a picture: above and below (letterbox), left and right (pillarbox), or all around.

A picture with bars hashes to something else than the one in the list, so what is between the bars is hashed too. One
bar is enough, and two may differ: a broadcaster who hides a picture need not centre it.
"""

import cv2
import numpy as np
import numpy.typing as npt

from models.pdq.pdq import Picture

MEAN_IN_BAR = 20
"""A row is black if its mean is at most (<=) this, of 255. Black of limited range taken for full range is 16."""

PEAK_IN_BAR = 48
"""And its brightest pixel at most (<=) this: a codec rings by some 30 levels beside a bright edge."""

MEAN_BETWEEN = 64
"""Beside a bar, a row up to (<=) this mean still belongs to it, if it is darker than the next: a scaled bar has a soft
edge. The higher bound holds only there, or dark pictures would be eaten from their borders."""

SOFT_ROWS = 4
"""Rows that a soft edge has at most."""

MIN_BAR_SHARE = 0.02
"""Share of a side: less than this at both ends together moves the hash by a few bits only, and is left."""

MIN_PICTURE_SHARE = 0.2
"""Share of a side: if less would be left, it is a dark picture with something bright in it. An upright telephone's
picture in a wide one has 0.32 of its width."""

_Levels = npt.NDArray[np.float32]


def without_bars(luma: Picture) -> Picture | None:
    """The picture between black bars, as a view; None if there are none worth cutting, or nothing would be left.

    Args:
        luma: uint8 or float32, (height, width), 0 to 255.
    """
    if not _any_dark_edge(luma):
        return None
    top, bottom = _inside(luma)
    left, right = _inside(luma[top:bottom].T)
    if (bottom - top, right - left) == luma.shape:
        return None
    return luma[top:bottom, left:right]


def _any_dark_edge(luma: Picture) -> bool:
    """True if an outermost row or column is black: almost no picture has one, and the others need no second pass."""
    return any(
        edge.mean() <= MEAN_IN_BAR and edge.max() <= PEAK_IN_BAR
        for edge in (luma[0], luma[-1], luma[:, 0], luma[:, -1])
    )


def _inside(luma: Picture) -> tuple[int, int]:
    """The rows that are picture: [first, end); all of them where there are no bars."""
    rows = len(luma)
    contiguous = luma if luma.strides[1] == luma.itemsize else luma.T
    axis = 1 if contiguous is luma else 0
    means: _Levels = np.asarray(cv2.reduce(contiguous, axis, cv2.REDUCE_AVG, dtype=cv2.CV_32F), np.float32).ravel()
    peaks: _Levels = np.asarray(cv2.reduce(contiguous, axis, cv2.REDUCE_MAX), np.float32).ravel()
    black = (means <= MEAN_IN_BAR) & (peaks <= PEAK_IN_BAR)
    if black.all():
        return 0, rows
    first = _end_of_bar(black, means)
    end = rows - _end_of_bar(black[::-1], means[::-1])
    if rows - (end - first) < MIN_BAR_SHARE * rows or end - first < MIN_PICTURE_SHARE * rows:
        return 0, rows
    return first, end


def _end_of_bar(black: npt.NDArray[np.bool_], means: _Levels) -> int:
    """Count of rows from the edge on that belong to a bar."""
    end = int(np.argmin(black))
    if end == 0:
        return 0
    for row in range(end, min(end + SOFT_ROWS, len(means) - 1)):
        if means[row] > MEAN_BETWEEN or means[row] >= means[row + 1]:
            return row
    return min(end + SOFT_ROWS, len(means) - 1)
