"""PDQ of a picture continued beyond its sides, as a guess at what was cropped off or covered.

A picture that lost a twentieth at each side hashes to something else than the whole one in the list, and cannot be
uncropped. PDQ keeps low frequencies alone, though, for which a margin that goes on from the outermost lines, and fades
to the picture's mean, is near enough: of twelve pictures of scikit-image the distance falls from 36 to 78 to 6 to 24
where 2.5 % of each side were cut off, and from 80 to 128 to 14 to 54 where 5 % were (nine of twelve within 31). Of
twelve that were cut to another shape, by 5 % at the top and bottom or at the left and right, the guesses at all sides
find 1 and 0, those at two sides 9 and 10; by 2.5 %, 6 each and 11 each.

The rest is what the margin hides: twelve ways to continue the margin, and a linear predictor learned on other pictures,
were no better, and with four true modes of each strip the distance stays at 46 (with 16: 14). So a listed hash near the
guess is compared with all that the margin may hold (`models.pdq.continued_hash`).

Continuing, blurring and sampling are linear, so the continued picture is never made: an axis is the banded product of
`models.pdq.pdq`, plus the first line, the last line and the mean line with weights of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from models.pdq.continued_hash import ContinuedHash, continued_hash
from models.pdq.pdq import FloatArray, Picture, sampling_matrix
from models.pdq.reference import SAMPLES

CROPPED_SHARES = (0.025, 0.05)
"""Shares of the whole picture's sides that are guessed to be gone at a side. A guess holds for 0.7 % around it."""

CROPS = 3 * len(CROPPED_SHARES)
"""Guesses at what was cropped off a picture: for each share at all sides, and at two opposite ones."""

MAX_COVERED_SHARE = 0.15
"""Share of a side at both ends together up to which (<=) what a border covers is guessed."""

FADE_SHARE = 0.1
"""Share of a side within which a margin has gone two thirds of its way to the mean."""

_BAND_ROWS = 4
_MEAN_ROWS = 64
"""Rows whose mean stands for that of all."""


@dataclass(frozen=True, kw_only=True)
class Margins:
    """Pixels by which a picture is continued."""

    top: int
    bottom: int
    left: int
    right: int


def cropped_margins(luma: Picture, share: float) -> Margins:
    """The margins of a picture of which this share of the whole one's sides was cut off at each side."""
    rows, columns = (round(side * share / (1 - 2 * share)) for side in luma.shape)
    return Margins(top=rows, bottom=rows, left=columns, right=columns)


def hash_continued(luma: Picture, margins: Margins) -> ContinuedHash:
    """The hash of the picture continued by its margins, to within a few bits of that of the continued array.

    Args:
        luma: as `hash_luma` takes it.
    """
    rows = _rows(luma, margins.top, margins.bottom)
    return continued_hash(rows @ _axis(luma.shape[1], margins.left, margins.right).matrix.T, _samples_of(luma, margins))


def hash_crops(luma: Picture) -> Iterator[ContinuedHash]:
    """The hashes of guesses at what was cropped off a picture: for each share at all sides, at the top and bottom, and
    at the left and right.

    Args:
        luma: as `hash_luma` takes it.
    """
    whole_rows, whole_columns = _rows(luma, 0, 0), _axis(luma.shape[1], 0, 0).matrix.T
    for share in CROPPED_SHARES:
        margins = cropped_margins(luma, share)
        rows = _rows(luma, margins.top, margins.bottom)
        columns = _axis(luma.shape[1], margins.left, margins.right).matrix.T
        top, bottom, left, right = _samples_of(luma, margins)
        yield continued_hash(rows @ columns, (top, bottom, left, right))
        yield continued_hash(rows @ whole_columns, (top, bottom, 0.0, 0.0))
        yield continued_hash(whole_rows @ columns, (0.0, 0.0, left, right))


def _samples_of(luma: Picture, margins: Margins) -> tuple[float, float, float, float]:
    """The margins in samples: top, bottom, left and right."""
    height, width = luma.shape
    down = SAMPLES / (margins.top + height + margins.bottom)
    across = SAMPLES / (margins.left + width + margins.right)
    return margins.top * down, margins.bottom * down, margins.left * across, margins.right * across


def _rows(luma: Picture, before: int, after: int) -> FloatArray:
    """Rows, continued by so many above and below, blurred and sampled: float32, (64, width)."""
    height, width = luma.shape
    axis = _axis(height, before, after)
    sampled = np.empty((SAMPLES, width), np.float32)
    for first, start, end, weights in axis.bands:
        np.matmul(weights, luma[start:end].astype(np.float32, copy=False), out=sampled[first : first + _BAND_ROWS])
    mean = luma[:: -(-height // _MEAN_ROWS)].mean(axis=0, dtype=np.float32)
    sampled += axis.ends @ np.stack([luma[0].astype(np.float32), luma[-1].astype(np.float32), mean])
    return sampled


@dataclass(frozen=True, kw_only=True, eq=False)
class _Axis:
    bands: tuple[tuple[int, int, int, FloatArray], ...]
    """(first sample, first line, end line, weights float32 (4, lines)) of what is inside."""
    ends: FloatArray
    """float32, (64, 3): weights of the first line, the last line and the mean of all."""
    matrix: FloatArray
    """float32, (64, lines): all of it in one."""


@lru_cache(maxsize=32)  # as many sizes as `sampling_matrix`
def _axis(lines: int, before: int, after: int) -> _Axis:
    whole = sampling_matrix(before + lines + after)
    inside = whole[:, before : before + lines]
    heads, tails = whole[:, :before][:, ::-1], whole[:, before + lines :]
    kept_before, kept_after = (np.exp(-np.arange(1, n + 1) / (FADE_SHARE * lines)) for n in (before, after))
    ends = np.stack(
        [heads @ kept_before, tails @ kept_after, heads @ (1 - kept_before) + tails @ (1 - kept_after)], axis=1
    ).astype(np.float32)
    bands = []
    for first in range(0, SAMPLES, _BAND_ROWS):
        weights = inside[first : first + _BAND_ROWS]
        used = np.flatnonzero(weights.any(axis=0))
        start, end = (int(used[0]), int(used[-1]) + 1) if used.size else (0, 1)
        bands.append((first, start, end, np.ascontiguousarray(weights[:, start:end])))
    matrix = inside + ends[:, 2:] / lines
    matrix[:, 0] += ends[:, 0]
    matrix[:, -1] += ends[:, 1]
    return _Axis(bands=tuple(bands), ends=ends, matrix=matrix.astype(np.float32))
