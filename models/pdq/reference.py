"""PDQ in the reference's own order of float32 operations: slow, and equal to it in every bit.

Each function does what its namesake in facebook/ThreatExchange `pdq/cpp` does, one IEEE float32 rounding an
operation, in the same order (GCC for x86-64, without fused multiply-add: what `pdqhash` 0.2.8 ships). It is the
referee of `models.pdq`, which calls it where rounding decides.
"""

from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

SAMPLES = 64
"""Samples an axis after blurring."""

FREQUENCIES = 16
"""Frequencies kept an axis: the 1st to the 16th, without the constant one."""

_GRADIENT_A_POINT = 90
"""Gradient that makes one point of quality: the reference's heuristic."""

FloatArray = npt.NDArray[np.float32]


def luma_of(rgb: npt.NDArray[Any]) -> FloatArray:
    """`pdqhash.compute`'s luma: weighted in float64, rounded once. uint8 (height, width, 3) in, float32 out."""
    red, green, blue = rgb[:, :, 0], rgb[:, :, 1], rgb[:, :, 2]
    return (red * 0.299 + green * 0.587 + blue * 0.114).astype(np.float32)


def sample(luma: FloatArray) -> FloatArray:
    """Blurs float32 (height, width) and samples it: float32, (64, 64). What has that size already is left as it is.

    Two box filters an axis, by turns: they make a tent.
    """
    height, width = luma.shape
    if height == width == SAMPLES:
        return luma
    blurred = _box_filter_down(_transposed(luma))
    blurred = _box_filter_down(_transposed(blurred))
    sampled = _box_filter_down(_transposed(blurred), sample_positions(width))
    return _box_filter_down(_transposed(sampled), sample_positions(height))


def _transposed(picture: FloatArray) -> FloatArray:
    return np.asarray(cv2.transpose(picture), np.float32)


def quality(samples: FloatArray) -> int:
    """Gradients between neighbouring samples, each cut to whole hundredths of the range: 0 to 100."""
    gradient = 0
    for step in (samples[:-1] - samples[1:], samples[:, :-1] - samples[:, 1:]):
        gradient += int(np.abs((step * np.float32(100) / np.float32(255)).astype(np.int32)).sum())
    return quality_of_gradient(gradient)


def quality_of_gradient(gradient: int) -> int:
    """The sum of gradients as quality, 0 to 100."""
    return min(gradient // _GRADIENT_A_POINT, 100)


def frequencies(samples: FloatArray) -> FloatArray:
    """The low frequencies of the samples: float32, (16, 16)."""
    matrix = cosine_matrix()
    halfway = np.zeros((FREQUENCIES, SAMPLES), np.float32)
    for k in range(SAMPLES):
        halfway += matrix[:, k, None] * samples[k]
    result = np.zeros((FREQUENCIES, FREQUENCIES), np.float32)
    for k in range(SAMPLES):
        result += halfway[:, k, None] * matrix[:, k]
    return result


@lru_cache(maxsize=1)
def cosine_matrix() -> FloatArray:
    """The cosine transform's rows 1 to 16: float32, (16, 64)."""
    frequency = np.arange(1, FREQUENCIES + 1)[:, None]
    position = 2 * np.arange(SAMPLES) + 1
    scale = np.float64(np.float32(np.sqrt(2 / SAMPLES)))
    matrix: FloatArray = (scale * np.cos(np.pi / 2 / SAMPLES * frequency * position)).astype(np.float32)
    return matrix


def sample_positions(size_pixels: int) -> npt.NDArray[np.intp]:
    """The pixels that are sampled on an axis: the centres of 64 equal parts, rounded down."""
    return ((np.arange(SAMPLES) + 0.5) * size_pixels / SAMPLES).astype(np.intp)


def window_bounds(position: int, size_pixels: int) -> tuple[int, int]:
    """The pixels that a box filter averages at `position`: [start, end), the part inside the picture."""
    before, after = reach(size_pixels)
    return max(0, position - before), min(size_pixels, position + after)


def reach(size_pixels: int) -> tuple[int, int]:
    """Extent of a box filter's window before a pixel, and after it with itself."""
    window = (size_pixels + 2 * SAMPLES - 1) // (2 * SAMPLES)
    after = (window + 2) // 2
    return window - after, after


def _box_filter_down(picture: FloatArray, positions: npt.NDArray[np.intp] | None = None) -> FloatArray:
    """One box filter along axis 0 as a running float32 sum, all columns at once; the rows at `positions` alone, or all.

    The order matters, it makes the rounding: a row enters the sum before another leaves it.
    """
    size = len(picture)
    wanted = set(range(size) if positions is None else positions.tolist())
    before, after = reach(size)
    out = np.empty_like(picture)
    total = np.zeros(picture.shape[1], np.float32)
    for row in picture[: after - 1]:
        total += row
    for position in range(size):
        if position + after <= size:
            total += picture[position + after - 1]
        if position > before:
            total -= picture[position - before - 1]
        if position in wanted:
            start, end = window_bounds(position, size)
            np.divide(total, np.float32(end - start), out=out[position])
    return out if positions is None else out[positions]
