"""Borders of a blurred copy of the picture, as programs put beside one that does not fill their frame."""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.pdq.border_lines import SOFT_LINES, LineBytes, Lines, Shares, shares_of
from models.pdq.pdq import MIN_SIDE_PIXELS

STEPS = (2, 6)
"""Grey levels by which (>) two neighbouring pixels are off the two around them where a line steps. A blurred copy bends
less, also where it goes from white to black. The second is for noise over all, where the first finds none."""

STEP_SHARE = 0.2
"""Share of a line that steps, at or over which it may be the edge between a blurred copy and the picture."""

STEP_RATIO = 10
"""And at or over this many times the mean of all lines from the picture's edge on, which hold no detail but a logo or
letters."""

BLURRED_SHARES = (0.05, 0.42)
"""Shares of a side between which (<=) a blurred border's is, at either end."""

LOGO_SHARE = 0.12
"""Share of a line that steps, over which no more of it counts in that mean, so that a few lines of letters do not hide
the border. Lines that all have it are none: it is more than 1 / STEP_RATIO."""


def between_blurred(lines: LineBytes) -> tuple[Lines, Lines, Lines]:
    """Lines between two borders without detail that end in a straight edge: both as wide as the narrower one, as the
    wider one, and each as wide as it is. All lines, if there are none.

    One edge is enough, for a sky goes on in its blurred copy without any. Still there must be no detail at both ends: a
    plain sky over a straight horizon is one such border, and common.
    """
    whole = 0, len(lines)
    if len(lines) < 2 * MIN_SIDE_PIXELS:
        return whole, whole, whole
    bends = _bends(lines)
    found = (_between_edges(lines, shares_of(bends > step)) for step in STEPS)
    return next((several for several in found if several != (whole,) * 3), (whole,) * 3)


def _between_edges(lines: LineBytes, steps: Shares) -> tuple[Lines, Lines, Lines]:
    """The same, from the share of each line that steps."""
    count = len(lines)
    before, after = _blurred_border(lines, steps), _blurred_border(lines[::-1], steps[::-1])
    own = (before.lines, count - after.lines) if before.lines and after.lines else (0, count)
    if abs(before.lines - after.lines) <= 1:
        return own, own, own
    evened = [
        (border.lines, count - border.lines)
        for border, opposite in sorted([(before, steps[::-1]), (after, steps)], key=lambda end: end[0].lines)
        if border.lines and border.sharpness >= STEP_RATIO * _detail(opposite[: max(1, border.lines - SOFT_LINES)])[-1]
    ]
    first, second = [*evened, own, own][:2]
    return first, second, own


@dataclass(frozen=True, kw_only=True)
class _BlurredBorder:
    lines: int
    """Count of lines from the edge on that belong to it; 0: there is none."""
    sharpness: float
    """Share that steps of the line where it ends."""


def _blurred_border(lines: LineBytes, steps: Shares) -> _BlurredBorder:
    """The first lines that have no detail, up to a straight edge."""
    first, last = (round(share * len(steps)) for share in BLURRED_SHARES)
    before = _detail(steps[: last - 1])
    edges = steps[first + 2 : last + 1]
    edge = int((edges - STEP_RATIO * before[first : last - 1]).argmax())
    sharpness = float(edges[edge])
    if sharpness < max(STEP_SHARE, STEP_RATIO * before[first + edge]):
        return _BlurredBorder(lines=0, sharpness=0.0)
    edge += first + 2
    near = lines[edge - 1 : edge + SOFT_LINES].astype(np.int16)
    brink = int(np.abs(np.diff(near, axis=0)).mean(axis=1).argmax())
    return _BlurredBorder(lines=edge + brink, sharpness=sharpness)


def _detail(steps: Shares) -> npt.NDArray[np.float64]:
    """Mean share that steps of the lines up to each; that of a line counts as LOGO_SHARE at most."""
    found: npt.NDArray[np.float64] = np.cumsum(np.minimum(steps, LOGO_SHARE)) / np.arange(1, len(steps) + 1)
    return found


def _bends(lines: LineBytes) -> LineBytes:
    """Grey levels by which the mean of two lines is off that of the two around them."""
    around = cv2.addWeighted(lines[3:], 0.5, lines[:-3], 0.5, 0.0)
    own = cv2.addWeighted(lines[2:-1], 0.5, lines[1:-2], 0.5, 0.0)
    return np.asarray(cv2.absdiff(own, around), np.uint8)
