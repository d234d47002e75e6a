"""PDQ, the open perceptual hash of the field: 256 bits and a quality from a picture.

Source: facebook/ThreatExchange, `pdq/README.md`, `hashing.pdf` and the C++ reference. The steps: blur with two box
filters an axis, take 64×64 samples, measure quality by their gradients, keep 16×16 low frequencies of their cosine
transform, and set a bit where a frequency is above the median of all.

Two roads lead to the same bits. Blurring and sampling are linear, so an axis of n pixels is one banded 64×n matrix, and
a 512×512 picture costs about 0.2 ms. The reference keeps running float32 sums instead, whose rounding drifts; where a
decision (a bit, a unit of quality) lies within that drift the picture is hashed again in the reference's own order of
operations (`models.pdq.reference`), so that the result is bit-exact, not nearly so.

Pictures are hashed at their native size, as `pdqhash.compute` does: resizing to 512×512 first would cost more than the
hash and move it away from the reference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from config.counts import counted
from models.errors import HashFormatError, PictureError
from models.pdq import reference
from models.pdq.reference import SAMPLES, cosine_matrix, reach, sample_positions

MIN_QUALITY = 50
"""Quality at or over which a hash may be matched; below, bits are noise (ThreatExchange: discard <= 49)."""

MIN_SIDE_PIXELS = 5
"""The reference refuses smaller pictures."""

BITS = 256

_BAND_ROWS = 4
"""Samples a matrix product: a band of 4 reads ~7 % of the rows. Fastest of 2, 4, 8, 16 on 512×512 and 720p."""

_BAND_COLUMNS = 8
"""The same across: fastest of 4, 8, 16, 32 on 360p and 720p, two and three times as fast as all columns at once."""

_SAMPLE_DRIFT = 4e-3
"""Grey levels by which a blurred sample may be off the reference's: over twice the worst of 312 pictures (0.0015)."""

_FREQUENCY_DRIFT = 5e-3
"""The same for a frequency: over twice the worst of 312 pictures (0.0021)."""

_NO_WEIGHT = 1e-9
"""Weight of a pixel under which (<) it is a rest of rounding: of 8192 pixels the least true one is 1.5e-5."""

FloatArray = npt.NDArray[np.float32]
Picture = npt.NDArray[Any]


@dataclass(frozen=True, kw_only=True)
class PdqHash:
    """A picture's PDQ hash, and how much picture there was to hash."""

    bits: bytes
    """32 bytes; the first bit of the first byte is the reference's highest (first in its hex text)."""
    quality: int
    """0 to 100; under MIN_QUALITY the bits are noise."""

    def __post_init__(self) -> None:
        if len(self.bits) != BITS // 8:
            raise HashFormatError(f"a PDQ hash of {counted(len(self.bits), 'byte')}: expected {BITS // 8}")
        if not 0 <= self.quality <= 100:
            raise HashFormatError(f"a PDQ quality of {self.quality}: expected 0 to 100")

    @property
    def hex(self) -> str:
        """64 lower-case hex digits, in the order of the reference's text."""
        return self.bits.hex()

    @property
    def hashable(self) -> bool:
        """True if the hash may be matched: quality >= MIN_QUALITY."""
        return self.quality >= MIN_QUALITY

    def distance(self, other: "PdqHash") -> int:
        """Hamming distance, 0 to 256."""
        return (int.from_bytes(self.bits) ^ int.from_bytes(other.bits)).bit_count()


def hash_luma(luma: Picture) -> PdqHash:
    """Hashes a full-range luma plane: uint8 or float32, (height, width), 0 to 255.

    Raises:
        PictureError: another shape or type, or a side under MIN_SIDE_PIXELS.
    """
    if luma.ndim != 2 or luma.dtype not in (np.uint8, np.float32):
        raise PictureError(f"expected luma as uint8 or float32 (height, width), found {luma.dtype} {luma.shape}")
    _check_size(luma)
    return _hash(luma, lambda: luma.astype(np.float32))


def hash_rgb(rgb: Picture) -> PdqHash:
    """Hashes a full-range picture: uint8, (height, width, 3), RGB. Luma is the reference's (BT.601 weights).

    Raises:
        PictureError: another shape or type, or a side under MIN_SIDE_PIXELS.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8:
        raise PictureError(f"expected RGB as uint8 (height, width, 3), found {rgb.dtype} {rgb.shape}")
    _check_size(rgb)
    luma = cv2.cvtColor(rgb.astype(np.float32), cv2.COLOR_RGB2GRAY)
    return _hash(luma, lambda: reference.luma_of(rgb))


def _check_size(picture: Picture) -> None:
    height, width = picture.shape[:2]
    if min(height, width) < MIN_SIDE_PIXELS:
        raise PictureError(f"a picture of {width}×{height}: PDQ needs {MIN_SIDE_PIXELS} pixels a side or more")


def _hash(luma: Picture, exact_luma: Callable[[], FloatArray]) -> PdqHash:
    samples = sample(luma)
    lowest, highest = _quality_range(samples)
    frequencies = low_frequencies(samples)
    if lowest == highest and not (lowest >= MIN_QUALITY and _is_close_call(frequencies)):
        return PdqHash(bits=_bits(frequencies), quality=lowest)
    samples = reference.sample(exact_luma())
    return PdqHash(bits=_bits(reference.frequencies(samples)), quality=reference.quality(samples))


def hash_of_samples(samples: FloatArray) -> PdqHash:
    """The hash of what `sample` gives, without reading the picture again where rounding decides a bit or the quality.

    Only bits of frequencies at the median, to within twice _FREQUENCY_DRIFT, may be others than those of `hash_luma`.
    """
    return PdqHash(bits=_bits(low_frequencies(samples)), quality=reference.quality(samples))


def hash_of_samples_and_transpose(samples: FloatArray) -> tuple[PdqHash, PdqHash]:
    """The hash as of `hash_of_samples`, and the transposed picture's, whose frequencies are the transposed ones."""
    frequencies, quality = low_frequencies(samples), reference.quality(samples)
    return PdqHash(bits=_bits(frequencies), quality=quality), PdqHash(bits=_bits(frequencies.T), quality=quality)


def sample(luma: Picture) -> FloatArray:
    """Blurs a luma plane, as `hash_luma` takes it, and samples it: float32, (64, 64), within _SAMPLE_DRIFT."""
    height, width = luma.shape
    rows = np.empty((SAMPLES, width), np.float32)
    for first, start, end, weights in _bands(height, _BAND_ROWS):
        np.matmul(weights, luma[start:end].astype(np.float32, copy=False), out=rows[first : first + _BAND_ROWS])
    sampled = np.empty((SAMPLES, SAMPLES), np.float32)
    for first, start, end, weights in _bands(width, _BAND_COLUMNS):
        np.matmul(rows[:, start:end], weights.T, out=sampled[:, first : first + _BAND_COLUMNS])
    return sampled


def low_frequencies(samples: FloatArray) -> FloatArray:
    """The low frequencies of the samples: float32, (16, 16)."""
    matrix = cosine_matrix()
    return (matrix @ samples @ matrix.T).astype(np.float32, copy=False)


def _quality_range(samples: FloatArray) -> tuple[int, int]:
    """The lowest and highest quality that the reference may give, with every sample off by _SAMPLE_DRIFT at most."""
    steps = np.concatenate([(samples[1:] - samples[:-1]).ravel(), (samples[:, 1:] - samples[:, :-1]).ravel()])
    steps = np.abs(steps) * (100 / 255)
    drift = 2 * _SAMPLE_DRIFT * 100 / 255
    lowest = int(np.maximum(steps - drift, 0).astype(np.int32).sum())
    highest = int((steps + drift).astype(np.int32).sum())
    return reference.quality_of_gradient(lowest), reference.quality_of_gradient(highest)


def _is_close_call(frequencies: FloatArray) -> bool:
    """True if the least frequency above the median and the median might change places.

    Those further off cannot, and two of the same side may: the set of those above the median stays.
    """
    middle = BITS // 2
    ordered = np.partition(frequencies, (middle - 1, middle), axis=None)
    return bool(ordered[middle] - ordered[middle - 1] < 2 * _FREQUENCY_DRIFT)


def _bits(frequencies: FloatArray) -> bytes:
    """One bit a frequency: whether it is above the lower median. The last frequency is the first bit."""
    return np.packbits(frequencies.ravel()[::-1] > median_of(frequencies)).tobytes()


def median_of(frequencies: FloatArray) -> float:
    """The lower median."""
    return float(np.partition(frequencies, BITS // 2 - 1, axis=None)[BITS // 2 - 1])


@lru_cache(maxsize=32)  # sizes in flight; 64 × n float32 each: 256 kB at 1080p
def sampling_matrix(size_pixels: int) -> FloatArray:
    """The two box filters and the sampling of one axis as a matrix: float32, (64, size)."""
    edges = np.zeros((SAMPLES, size_pixels + 1))
    positions = sample_positions(size_pixels)
    before, after = reach(size_pixels)
    outer = positions[:, None] + np.arange(-before, after)
    inside = (outer >= 0) & (outer < size_pixels)
    start, end = np.clip(outer - before, 0, None), np.clip(outer + after, None, size_pixels)
    # Where an inner window starts its weight is added, where it ends taken off: sums of them are the matrix.
    weights = np.where(inside, 1 / (inside.sum(axis=1, keepdims=True) * np.maximum(end - start, 1)), 0)
    samples = np.broadcast_to(np.arange(SAMPLES)[:, None], outer.shape)
    np.add.at(edges, (samples, np.clip(start, 0, size_pixels)), weights)
    np.add.at(edges, (samples, np.clip(end, 0, size_pixels)), -weights)
    matrix = np.cumsum(edges[:, :-1], axis=1)
    matrix[matrix < _NO_WEIGHT] = 0
    return matrix.astype(np.float32)


@lru_cache(maxsize=64)  # rows and columns of 32 sizes
def _bands(size_pixels: int, samples: int) -> tuple[tuple[int, int, int, FloatArray], ...]:
    """The sampling matrix cut to its band: (first sample, first pixel, end pixel, weights float32 (samples, used))."""
    matrix = sampling_matrix(size_pixels)
    bands = []
    for first in range(0, SAMPLES, samples):
        weights = matrix[first : first + samples]
        used = np.flatnonzero(weights.any(axis=0))
        start, end = int(used[0]), int(used[-1]) + 1
        bands.append((first, start, end, np.ascontiguousarray(weights[:, start:end])))
    return tuple(bands)
