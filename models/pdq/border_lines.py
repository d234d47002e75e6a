"""Lines across a picture, among which its borders are sought: rows, or columns as rows."""

import cv2
import numpy as np
import numpy.typing as npt

SOFT_LINES = 4
"""Lines that a scaled border's soft edge has at most."""

LineBytes = npt.NDArray[np.uint8]
"""uint8, (lines, pixels of each)."""
Shares = npt.NDArray[np.float32]
"""float32, (lines,)."""
Lines = tuple[int, int]
"""Lines [first, end)."""


def shares_of(mask: npt.NDArray[np.bool_]) -> Shares:
    """Share of each line that is set."""
    means = cv2.reduce(mask.view(np.uint8), 1, cv2.REDUCE_AVG, dtype=cv2.CV_32F)
    return np.asarray(means, np.float32).ravel()
