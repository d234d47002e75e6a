"""Pictures that show nothing: black, white, or one other shade."""

import numpy as np

from sampler.picture import Picture

STEP = 4
"""Every fourth pixel of every fourth row is looked at: anything that a person can recognise is larger."""
SPREAD_LEVELS = 12
"""Widest band (of 256 levels) that holds all but `OUTLIERS` of a flat plane: coding noise, grain."""
OUTLIERS = 0.005
"""Share of pixels that may lie outside the band: a logo of 0.5 % of the picture is no content."""
BLACK_MAX, WHITE_MIN = 32, 224
"""Full-range luma of a black picture is at most the one, of a white one at least the other."""


def flatness(picture: Picture) -> str | None:
    """Gives "black", "white" or "blank" if every plane is one shade, else None."""
    for plane in picture.planes:
        # Of RGB all three channels at once: a picture of one shade that is no grey counts as content.
        counts = np.bincount(plane[::STEP, ::STEP].reshape(-1), minlength=256).cumsum()
        low, high = np.searchsorted(counts, (OUTLIERS * counts[-1], (1 - OUTLIERS) * counts[-1]))
        if high - low > SPREAD_LEVELS:
            return None
    level = float(np.median(picture.luma()[::STEP, ::STEP]))
    if level <= BLACK_MAX:
        return "black"
    return "white" if level >= WHITE_MIN else "blank"
