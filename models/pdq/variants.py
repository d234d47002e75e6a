"""PDQ of the transformed picture: in all eight orientations, without its borders, and with guesses at what was cropped.

A hash cannot be transformed afterwards: the reference samples pixels and puts its windows with a bias to one side, so
the samples of a mirrored picture are not the mirrored samples (one to three pixels apart at 512×512). Blurring and
sampling are linear, though: of the picture L the samples are A·L·Bᵀ, and of the transformed picture they are the same
product with A or B read backwards, transposed where rows become columns. So the picture is read once for all eight
orientations, and two of them cost a small product and a cosine transform.

A stream chooses its pictures, so what a picture costs is bounded whatever is in it. Where rounding decides a bit, only
the plain hash is read again in the reference's order (`models.pdq.pdq`): of a point-symmetric picture half of the
frequencies are nothing but rounding, and so would be each of up to 31 readings. Large pictures are shrunk once.
"""

from collections.abc import Iterator, Sequence, Set
from functools import lru_cache
from typing import Final

import cv2
import numpy as np

from models.pdq.borders import MAX_BOXES, Box, without_borders
from models.pdq.margins import CROPS, MAX_COVERED_SHARE, Margins, hash_continued, hash_crops
from models.pdq.pdq import (
    FloatArray,
    PdqHash,
    Picture,
    hash_luma,
    hash_of_samples,
    hash_of_samples_and_transpose,
    sample,
    sampling_matrix,
)
from models.pdq.reference import SAMPLES
from models.pdq.variant_kinds import Variant

Variants = dict[Variant, tuple[PdqHash, ...]]

MAX_HASHES: Final = 8 * (1 + MAX_BOXES) - 1 + 2 * CROPS + 1
"""Hashes of a frame's transforms at most: each costs a comparison with every list that asks for it."""

_LEAST_SHRUNK_PIXELS = 1024
"""Sides of twice as many pixels and more are shrunk before variants are made. Of twelve photographs at three sizes of
1440 to 2304 lines, turned ones are then 2 to 22 bits from the hashes of the full pictures, and no further from those of
the photographs as they are listed, at 0.1 to 0.3 megapixels: at 4K 15 bits in the mean, and 17 if not shrunk."""

_BAND_ROWS = 4
"""Samples of each direction a matrix product, as in `models.pdq`."""


def hash_with_variants(luma: Picture, wanted: Set[Variant]) -> tuple[PdqHash, Variants]:
    """The hash of a picture as `hash_luma` gives it, and those of its transformed arrays to within a few bits.

    They are as `hash_luma` gives them but for bits that rounding decides; sides of 2048 pixels and more are shrunk.

    Args:
        luma: as `hash_luma` takes it.

    Returns:
        For each variant that is wanted, its hashes, at most MAX_HASHES together: four mirrored, left to right, upside
        down, and across either diagonal; three rotated, by 90, 180 and 270 degrees counter-clockwise; the picture
        inside its borders, level by level, and guesses at what was cropped off or is covered by a border, which are
        no array's hashes (`models.pdq.margins`). Where there are borders and others are wanted too, what is inside is
        also mirrored and rotated; guesses are not.

    Raises:
        PictureError: as `hash_luma` does.
    """
    pdq = hash_luma(luma)
    if not wanted:
        return pdq, {}
    picture = _shrunk(luma)
    variants = _turned(picture, wanted)
    if Variant.CROP in wanted:
        variants[Variant.CROP] = ()
        levels, others = without_borders(picture)
        for box in (*levels, *others):
            inside = box.of(picture)
            variants[Variant.CROP] += (hash_of_samples(sample(inside)),)
            for variant, hashes in _turned(inside, wanted).items():
                variants[variant] += hashes
        variants[Variant.CROP] += tuple(_guessed(picture, levels))
    return pdq, variants


def _shrunk(luma: Picture) -> Picture:
    """The picture, each side divided by the largest whole number that leaves _LEAST_SHRUNK_PIXELS of it or more."""
    height, width = (side // max(1, side // _LEAST_SHRUNK_PIXELS) for side in luma.shape)
    if (height, width) == luma.shape:
        return luma
    return np.asarray(cv2.resize(luma, (width, height), interpolation=cv2.INTER_AREA))


def _guessed(luma: Picture, levels: Sequence[Box]) -> Iterator[PdqHash]:
    """The hashes of guesses at what was cropped off the picture, or off what is inside its borders, or is covered."""
    for picture in (luma, levels[-1].of(luma)) if levels else (luma,):
        yield from hash_crops(picture)
    if levels:
        outer, (height, width) = levels[0], luma.shape
        covered = Margins(top=outer.top, bottom=height - outer.bottom, left=outer.left, right=width - outer.right)
        if max(1 - (outer.bottom - outer.top) / height, 1 - (outer.right - outer.left) / width) <= MAX_COVERED_SHARE:
            yield hash_continued(outer.of(luma), covered)


def _turned(luma: Picture, wanted: Set[Variant]) -> Variants:
    """The hashes of the picture mirrored and rotated."""
    if not wanted & {Variant.MIRROR, Variant.ROTATE}:
        return {}
    downwards, upwards = _rows(luma)
    columns = _columns(luma.shape[1])
    ahead, mirrored = np.split(downwards @ columns, 2, axis=1)
    flipped, rotated = np.split(upwards @ columns, 2, axis=1)
    _, transposed = hash_of_samples_and_transpose(ahead)
    left_right, quarter = hash_of_samples_and_transpose(mirrored)
    up_down, three_quarters = hash_of_samples_and_transpose(flipped)
    half, across = hash_of_samples_and_transpose(rotated)
    variants: Variants = {}
    if Variant.MIRROR in wanted:
        variants[Variant.MIRROR] = (left_right, up_down, transposed, across)
    if Variant.ROTATE in wanted:
        variants[Variant.ROTATE] = (quarter, half, three_quarters)
    return variants


def _rows(luma: Picture) -> tuple[FloatArray, FloatArray]:
    """Rows blurred and sampled from the top, and as if from the bottom: float32, (64, width) each."""
    height, width = luma.shape
    downwards = np.empty((SAMPLES, width), np.float32)
    upwards = np.empty((SAMPLES, width), np.float32)
    for first, start, end, weights in _bands(height):
        sampled = weights @ luma[start:end].astype(np.float32, copy=False)
        downwards[first : first + _BAND_ROWS] = sampled[:_BAND_ROWS]
        upwards[SAMPLES - first - _BAND_ROWS : SAMPLES - first] = sampled[_BAND_ROWS:]
    return downwards, upwards


@lru_cache(maxsize=32)
def _bands(height_pixels: int) -> tuple[tuple[int, int, int, FloatArray], ...]:
    """The sampling matrix cut to its bands: (first sample, first row, end row, weights float32 (8, rows)).

    Weights 4 to 8 are those of the matrix read backwards that lie at about the same rows.
    """
    matrix = sampling_matrix(height_pixels)
    bands = []
    for first in range(0, SAMPLES, _BAND_ROWS):
        mirrored = matrix[SAMPLES - first - _BAND_ROWS : SAMPLES - first, ::-1]
        weights = np.concatenate([matrix[first : first + _BAND_ROWS], mirrored])
        used = np.flatnonzero(weights.any(axis=0))
        start, end = int(used[0]), int(used[-1]) + 1
        bands.append((first, start, end, np.ascontiguousarray(weights[:, start:end])))
    return tuple(bands)


@lru_cache(maxsize=32)
def _columns(width_pixels: int) -> FloatArray:
    """Blurs and samples columns from the left, and then as if from the right: float32, (width, 128)."""
    matrix = sampling_matrix(width_pixels)
    return np.ascontiguousarray(np.concatenate([matrix, matrix[:, ::-1]]).T)
