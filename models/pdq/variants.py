"""PDQ of the turned picture: mirrored, rotated, and without the black bars around it.

A hash cannot be turned afterwards: the reference samples pixels and puts its windows with a bias to one side, so the
samples of a mirrored picture are not the mirrored samples (one to three pixels apart at 512×512). Blurring and sampling
are linear, though: of the picture L the samples are A·L·Bᵀ, and of the turned picture they are the same product with A
or B read backwards, transposed where rows become columns. So the picture is read once for all of them, and each costs
a small product and a cosine transform; where rounding decides, the turned picture itself is asked, as in `models.pdq`.
"""

from collections.abc import Set
from functools import lru_cache

import numpy as np

from models.pdq.letterbox import without_bars
from models.pdq.pdq import FloatArray, PdqHash, Picture, check_luma, hash_luma, hash_samples, sampling_matrix
from models.pdq.reference import SAMPLES
from models.pdq.variant_kinds import Variant

Variants = dict[Variant, tuple[PdqHash, ...]]

_BAND_ROWS = 4
"""Samples of each direction a matrix product, as in `models.pdq`."""


def hash_with_variants(luma: Picture, wanted: Set[Variant]) -> tuple[PdqHash, Variants]:
    """The hash of a picture, and those of its transformed arrays as `hash_luma` gives them, bit for bit.

    Args:
        luma: as `hash_luma` takes it.

    Returns:
        For each variant that is wanted, its hashes: one mirrored left to right; three rotated, by 90, 180 and 270
        degrees counter-clockwise; one cropped, or none where there are no bars. Where bars were cut off and others are
        wanted too, what is left is also mirrored and rotated, which adds as many again.

    Raises:
        PictureError: as `hash_luma` does.
    """
    check_luma(luma)
    pdq, turned = _turned(luma, wanted)
    if Variant.CROP in wanted:
        inner = without_bars(luma)
        turned[Variant.CROP] = ()
        if inner is not None:
            cropped, also = _turned(inner, wanted)
            turned[Variant.CROP] = (cropped,)
            for variant, hashes in also.items():
                turned[variant] += hashes
    return pdq, turned


def _turned(luma: Picture, wanted: Set[Variant]) -> tuple[PdqHash, Variants]:
    """The hash of the picture as it is, and those of it mirrored and rotated."""
    if not wanted & {Variant.MIRROR, Variant.ROTATE}:
        return hash_luma(luma), {}
    upright, upside_down = _rows(luma, both=Variant.ROTATE in wanted)
    columns = _columns(luma.shape[1])
    ahead, mirrored = np.split(upright @ columns, 2, axis=1)

    def hashed(samples: FloatArray, turned: Picture) -> PdqHash:
        return hash_samples(samples, lambda: turned.astype(np.float32))

    variants: Variants = {}
    if Variant.MIRROR in wanted:
        variants[Variant.MIRROR] = (hashed(mirrored, luma[:, ::-1]),)
    if Variant.ROTATE in wanted:
        flipped, half_turned = np.split(upside_down @ columns, 2, axis=1)
        variants[Variant.ROTATE] = (
            hashed(mirrored.T, np.rot90(luma, 1)),
            hashed(half_turned, np.rot90(luma, 2)),
            hashed(flipped.T, np.rot90(luma, 3)),
        )
    return hashed(ahead, luma), variants


def _rows(luma: Picture, *, both: bool) -> tuple[FloatArray, FloatArray]:
    """Rows blurred and sampled from the top, and as if from the bottom: float32, (64, width) each.

    Without `both`, the second holds nothing of use.
    """
    height, width = luma.shape
    downwards = np.empty((SAMPLES, width), np.float32)
    upwards = np.empty((SAMPLES, width), np.float32)
    for first, start, end, weights in _bands(height, both):
        sampled = weights @ luma[start:end].astype(np.float32, copy=False)
        downwards[first : first + _BAND_ROWS] = sampled[:_BAND_ROWS]
        if both:
            upwards[SAMPLES - first - _BAND_ROWS : SAMPLES - first] = sampled[_BAND_ROWS:]
    return downwards, upwards


@lru_cache(maxsize=32)
def _bands(height_pixels: int, both: bool) -> tuple[tuple[int, int, int, FloatArray], ...]:
    """The sampling matrix cut to its bands: (first sample, first row, end row, weights float32 (4 or 8, rows)).

    With `both`, weights 4 to 8 are those of the matrix read backwards that lie at about the same rows.
    """
    matrix = sampling_matrix(height_pixels)
    bands = []
    for first in range(0, SAMPLES, _BAND_ROWS):
        weights = matrix[first : first + _BAND_ROWS]
        if both:
            mirrored = matrix[SAMPLES - first - _BAND_ROWS : SAMPLES - first, ::-1]
            weights = np.concatenate([weights, mirrored])
        used = np.flatnonzero(weights.any(axis=0))
        start, end = int(used[0]), int(used[-1]) + 1
        bands.append((first, start, end, np.ascontiguousarray(weights[:, start:end])))
    return tuple(bands)


@lru_cache(maxsize=32)
def _columns(width_pixels: int) -> FloatArray:
    """Blurs and samples columns from the left, and then as if from the right: float32, (width, 128)."""
    matrix = sampling_matrix(width_pixels)
    return np.ascontiguousarray(np.concatenate([matrix, matrix[:, ::-1]]).T)
