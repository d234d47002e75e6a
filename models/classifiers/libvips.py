"""Resizing as libvips does it, pixel for pixel, for networks whose makers used that.

One grey level more or less moves the scores of some networks by hundredths, so thresholds tuned on the makers' package
mean the same only on the makers' pixels. Of an axis that shrinks, whole pixels are averaged first, which leaves a
factor of two at least to Lanczos with three lobes; rows come before columns. An axis that grows is interpolated by
Catmull-Rom, half a pixel to the side, columns before rows. Weights are tabulated for 64 places between two pixels and
cut off to 12 bits, and sums rounded to 8 bits after each step (libvips 8.18: reducev.cpp, shrinkv.c, bicubic.cpp).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import ceil, floor
from typing import Final

import numpy as np
import numpy.typing as npt

Pixels = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

PLACES: Final = 64
ONE: Final = 4096
GAP: Final = 2
LOBES: Final = 3
BAND: Final = 16
"""Rows of the result that are made by one matrix product: the matrix is narrow, since they lie near one another."""


def resized(plane: Pixels, width: int, height: int) -> Pixels:
    """`plane`, uint8 of (H, W) or (H, W, channels), at the size of (height, width)."""
    rows, columns = plane.shape[:2]
    if height < rows:
        plane = _shrunk(plane, height)
    if width < columns:
        plane = _shrunk(plane.swapaxes(0, 1), width).swapaxes(0, 1)
    grown: Pixels | Floats = plane
    if width > columns:
        grown = _grown(grown.swapaxes(0, 1), width).swapaxes(0, 1)
    if height > rows:
        grown = _grown(grown, height)
    return _clipped(grown)


def _shrunk(plane: Pixels, rows: int) -> Pixels:
    weights = _Weights.of(len(plane), rows)
    return _clipped(weights.applied(_averaged(plane, weights.averaged)))


def _grown(plane: Pixels | Floats, rows: int) -> Floats:
    """Whole numbers, some beyond 8 bits."""
    return _Weights.of(len(plane), rows).applied(plane)


def _clipped(values: Pixels | Floats) -> Pixels:
    return np.clip(values, 0, 255).astype(np.uint8, copy=False)


def _averaged(plane: Pixels, count: int) -> Pixels:
    """Means of `count` rows each; the last row stands for those that are not there."""
    if count == 1:
        return plane
    missing = -len(plane) % count
    if missing:
        plane = np.concatenate([plane, np.repeat(plane[-1:], missing, axis=0)])
    total = plane[::count].astype(np.uint32)
    for place in range(1, count):
        total += plane[place::count]
    total += np.uint32(count // 2)
    total *= np.uint32(2**24 // count)
    return (total >> np.uint32(24)).astype(np.uint8)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Weights:
    """The matrix that resizes an axis."""

    averaged: int
    """Pixels that are averaged into one before all else."""
    bands: tuple[tuple[int, int, Floats], ...]
    """(first, start, matrix): the result from `first` on is the matrix times the rows from `start` on."""

    def applied(self, plane: Pixels | Floats) -> Floats:
        """The rows that are made of `plane`'s: whole numbers, which float32 holds exactly."""
        flat = np.ascontiguousarray(plane).reshape(len(plane), -1)
        made = np.empty((sum(len(matrix) for _, _, matrix in self.bands), flat.shape[1]), np.float32)
        for first, start, matrix in self.bands:
            pixels = flat[start : start + matrix.shape[1]].astype(np.float32, copy=False)
            np.matmul(matrix, pixels, out=made[first : first + len(matrix)])
        made += ONE / 2
        made /= ONE
        return np.floor(made, out=made).reshape(-1, *plane.shape[1:])

    @staticmethod
    @lru_cache(maxsize=64)  # of the sizes in flight; some 100 kB each
    def of(old: int, new: int) -> "_Weights":
        """From `old` to `new` pixels."""
        averaged = max(1, floor(old / new / GAP))
        length, factor = ceil(old / averaged), 1 / (new / old) / averaged
        taps = 2 * round(LOBES * factor) + 1 if factor > 1 else 4
        whole = np.zeros((new, length), np.float64)
        for place in range(new):
            at = (place + 0.5) * factor if factor > 1 else place * factor - 0.5
            begin = floor(at)
            part = (floor((at - begin) * 2 * PLACES) + 1) // 2 / PLACES
            weights = _lanczos(taps, part, factor) if factor > 1 else _catmull_rom(part)
            read = np.clip(begin + np.arange(taps) - (ceil(taps / 2) - 1), 0, length - 1)
            np.add.at(whole[place], read, np.trunc(weights * ONE))
        return _Weights(averaged=averaged, bands=tuple(_band(whole, first) for first in range(0, new, BAND)))


def _band(whole: npt.NDArray[np.float64], first: int) -> tuple[int, int, Floats]:
    rows = whole[first : first + BAND]
    used = np.flatnonzero(rows.any(axis=0))
    return first, int(used[0]), rows[:, used[0] : used[-1] + 1].astype(np.float32)


def _lanczos(taps: int, part: float, factor: float) -> npt.NDArray[np.float64]:
    """(taps,): sum 1."""
    away = (np.arange(taps) - part - (taps / 2 - 1)) / factor
    weights = np.where(np.abs(away) < LOBES, np.sinc(away) * np.sinc(away / LOBES), 0.0)
    normal: npt.NDArray[np.float64] = weights / weights.sum()
    return normal


def _catmull_rom(part: float) -> npt.NDArray[np.float64]:
    """(4,): sum 1."""
    return np.array(
        [
            part * (-0.5 + part * (1 - 0.5 * part)),
            1 + part * part * (1.5 * part - 2.5),
            part * (0.5 + part * (2 - 1.5 * part)),
            part * part * (0.5 * part - 0.5),
        ]
    )
