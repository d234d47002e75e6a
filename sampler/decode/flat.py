"""Pictures that show nothing: black, white, or one other shade."""

from collections.abc import Sequence

import numpy as np

from sampler.picture import LUMA_MIN, LUMA_SPAN, Plane

STEP = 4
"""Every fourth pixel of every fourth row is looked at: anything that a person can recognise is larger."""
SPREAD_LEVELS = 12
"""Widest band (of 256 levels) that holds all but `OUTLIERS` of a flat plane: coding noise, grain."""
OUTLIERS = 0.005
"""Share of pixels that may lie outside the band: a logo of 0.5 % of the picture is no content."""
BLACK_MAX, WHITE_MIN = 32, 224
"""Full-range luma of a black picture is at most the one, of a white one at least the other."""


COARSE = 4
"""Of those, every fourth of every fourth row is looked at first: where they differ too much, all do."""


def flatness(planes: Sequence[Plane], *, full_range: bool) -> str | None:
    """Gives "black", "white" or "blank" if every plane is one shade, else None.

    Args:
        planes: as of a `Picture`.
        full_range: of the first one.
    """
    for plane in planes:
        coarse = np.sort(plane[:: COARSE * STEP, :: COARSE * STEP].reshape(-1))
        outliers = int(OUTLIERS * coarse.size * COARSE * COARSE) + 1
        if 2 * outliers < coarse.size and int(coarse[-1 - outliers]) - int(coarse[outliers]) > SPREAD_LEVELS:
            return None
        # Of RGB all three channels at once: a picture of one shade that is no grey counts as content.
        counts = np.bincount(plane[::STEP, ::STEP].reshape(-1), minlength=256).cumsum()
        low, high = np.searchsorted(counts, (OUTLIERS * counts[-1], (1 - OUTLIERS) * counts[-1]))
        if high - low > SPREAD_LEVELS:
            return None
    level = float(np.median(planes[0][::STEP, ::STEP]))
    if not full_range:
        level = (level - LUMA_MIN) * (255 / LUMA_SPAN)
    if level <= BLACK_MAX:
        return "black"
    return "white" if level >= WHITE_MIN else "blank"
