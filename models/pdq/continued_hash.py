"""PDQ of a picture with a guessed margin, and its distance from a listed hash where the guess leaves bits open.

A margin of 5 % of a side is 3 of 64 samples wide, so whatever is in it moves the 256 frequencies along 16 directions:
one profile across it, times each frequency along it. So bits are unsure together, and the hash of another picture
contradicts those that no margin moves. For a listed hash, the margin is fitted that agrees best with it; the integral
over the margins around it is the chance that the picture has this hash (Laplace's approximation). Divided by 2^-256,
the chance of any hash, it is a likelihood ratio: that of a hash which has nothing to do with the picture reaches 2^n
with a chance of 2^-n at most. From it follows the distance within which chance brings two plain hashes as rarely: a
ratio of 2^123 is a distance of 31.

The 256 bits of real pictures are not independent, so unlike pictures were compared too: `docs/benchmarks.md`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from models.pdq.pdq import BITS, FloatArray, PdqHash, low_frequencies, median_of
from models.pdq.reference import FREQUENCIES, SAMPLES, cosine_matrix, quality

REACH: Final = 56
"""Bits by which (<=) a guess may differ from a listed hash that a margin is fitted to. Of 95 photographs cropped by 5 %
at each side the guess at 94 is within 52."""

_NUMBERS = np.arange(1, FREQUENCIES + 1)
_ALONG = _NUMBERS**-0.375 / math.sqrt(np.mean(_NUMBERS**-0.75))
"""Standard deviation of a margin's detail by frequency along it, as in 1424 windows of 89 photographs."""

_DETAIL = 1.5
"""Standard deviation of a margin's detail, as a part of the change of the picture's lines over the same depth."""

_LEAST_CHANGE, _LEAST_NOISE = 0.3, 0.15
"""In the frequencies' unit, for pictures that are even at a side."""

_NOISE = 0.1
"""Standard deviation of what no margin explains, as a part of that of a margin's detail."""

_LOGISTIC = 1.702
"""Slope at which the logistic function is within 0.01 of the normal distribution's."""

_EXCESS = 10.0
"""Bits by which Laplace's approximation may overstate the ratio: by up to 9.5 where expectation propagation says 2^123
to 2^200, for 47 guesses at photographs."""

_STEPS = 12
"""Newton's steps at most: in 249 fits 20 gained no more than 0.3 bits over 12, and 8 lost up to 19."""

_LEAST_GAIN = 0.05
_SHARES = tuple(2.0**-turn for turn in range(10))
"""Shares of a step that are tried until one gains."""

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class ContinuedHash(PdqHash):
    """The hash of a picture that is continued beyond its sides by a guess."""

    frequencies: FloatArray = field(compare=False, repr=False)
    """float32, (256,): less their median."""
    depths: tuple[float, ...]
    """Samples, of 64, that are guessed at the top, bottom, left and right."""
    changes: FloatArray = field(compare=False, repr=False)
    """float32, (4, 64): of the lines from the outermost that is seen inwards, over the depth; 0 where that is 0."""

    def distance(self, other: PdqHash) -> int:
        """The Hamming distance, 0 to 256, or that within which chance brings two hashes as rarely as `other` would be
        this well explained by a margin, if that is less. Beyond REACH no margin is fitted, which takes 0.8 ms."""
        apart = super().distance(other)
        return apart if apart > REACH else min(apart, _distance(self.evidence(other)))

    def evidence(self, listed: PdqHash) -> float:
        """Binary logarithm of the chance of a hash given the picture, over that of any hash: under 256."""
        details = self._details()
        noise = _LEAST_NOISE + _NOISE * math.sqrt(np.sum(details**2) / max(1, int(np.count_nonzero(details))))
        signs = np.where(np.unpackbits(np.frombuffer(listed.bits, np.uint8))[::-1], 1.0, -1.0) * (_LOGISTIC / noise)
        moves = signs[:, None] * _directions(self.depths) * np.repeat(details, FREQUENCIES)
        return _log_chance(signs * self.frequencies, moves) / math.log(2) + BITS - _EXCESS

    def _details(self) -> Array:
        """Standard deviation of what may be in each margin, as the picture changes there: (4,)."""
        strengths = np.sqrt(np.mean((self.changes @ cosine_matrix().T / _ALONG) ** 2, axis=1)) + _LEAST_CHANGE
        guessed = np.array(self.depths) > 0
        # Half-way to what is usual for the picture: a sky may end just where the picture does.
        usual = np.sqrt(np.sum(guessed * strengths**2) / max(1, int(np.count_nonzero(guessed))))
        return np.asarray(_DETAIL * guessed * np.sqrt(strengths * usual), np.float64)


def continued_hash(samples: FloatArray, depths: Sequence[float]) -> ContinuedHash:
    """The hash of a picture whose outermost samples are guessed.

    Args:
        samples: float32, (64, 64), of the continued picture, as `models.pdq.pdq.sample` gives them.
        depths: how many of them are guessed at the top, bottom, left and right, under 16 each.
    """
    frequencies = low_frequencies(samples).ravel()
    frequencies -= median_of(frequencies)
    changes = np.zeros((4, SAMPLES), np.float32)
    for side, depth in enumerate(depths):
        if not depth:
            continue
        lines = samples if side < 2 else samples.T
        outermost = math.ceil(depth)
        inner = outermost + max(1, round(depth))
        changes[side] = lines[outermost] - lines[inner] if side % 2 == 0 else lines[-1 - outermost] - lines[-1 - inner]
    return ContinuedHash(
        bits=np.packbits(frequencies[::-1] > 0).tobytes(),
        quality=quality(samples),
        frequencies=frequencies,
        depths=tuple(depths),
        changes=changes,
    )


@lru_cache(maxsize=32)  # 131 kB each
def _directions(depths: tuple[float, ...]) -> Array:
    """Frequencies that detail in the margins adds: (256, 64), 16 columns for each side."""
    directions = np.zeros((FREQUENCIES, FREQUENCIES, 4, FREQUENCIES))
    for side, depth in enumerate(depths):
        # Detail grows with the square root of the depth, as in a random walk from the outermost line that is seen.
        across = np.sqrt(np.clip(depth - 0.5 - np.arange(SAMPLES), 0, None))
        profile = cosine_matrix() @ (across / max(1.0, float(np.linalg.norm(across))))
        if side % 2:
            profile = profile * (-1.0) ** _NUMBERS
        for along, detail in enumerate(_ALONG):
            moved = directions[:, along] if side < 2 else directions[along]
            moved[:, side, along] = profile * detail
    return directions.reshape(BITS, -1)


def _log_chance(margins: Array, moves: Array) -> float:
    """Natural logarithm of the integral of the product of logistic(margins + moves @ z), over standard normal z."""
    z = np.zeros(moves.shape[1])
    best = -np.logaddexp(0, -margins).sum()
    for _ in range(_STEPS):
        wrong = _logistic(-margins)
        step = np.linalg.solve(_curvature(wrong, moves), moves.T @ wrong - z)
        change = moves @ step
        for share in _SHARES:
            there, moved = z + share * step, margins + share * change
            value = -np.logaddexp(0, -moved).sum() - there @ there / 2
            if value >= best:
                break
        else:
            break
        gain, z, margins, best = value - best, there, moved, value
        if gain < _LEAST_GAIN:
            break
    return float(best - np.linalg.slogdet(_curvature(_logistic(-margins), moves))[1] / 2)


def _curvature(wrong: Array, moves: Array) -> Array:
    curvature: Array = (moves.T * (wrong * (1 - wrong))) @ moves
    curvature[np.diag_indices_from(curvature)] += 1
    return curvature


def _logistic(values: Array) -> Array:
    return np.asarray(np.exp(-np.logaddexp(0, -values)), np.float64)


def _distance(ratio: float) -> int:
    """The least distance within which chance brings two hashes no less often than 2^-ratio."""
    return int(np.searchsorted(_chances(), -ratio))


@lru_cache(maxsize=1)
def _chances() -> Array:
    """Binary logarithms of the chance that two hashes differ in at most 0, 1, 2... bits: (257,)."""
    return np.array([math.log2(sum(math.comb(BITS, k) for k in range(bits + 1))) - BITS for bits in range(BITS + 1)])
