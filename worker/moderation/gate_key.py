"""The gate's secret: what it measures of a picture, and for how long a classification is reused.

Block means are a fixed measure, which a window over a still scene can restore. A projection onto pseudo-random weights
cannot be restored by those who do not have the key: a change that keeps one moves the others. Projected are luma,
texture and chroma together: another picture's details over kept means of luma, and other colours, are other pictures.
"""

import hmac
from dataclasses import dataclass
from functools import cached_property
from hashlib import shake_256
from typing import Any, Self

import cv2
import numpy as np
from numpy.typing import NDArray

COLUMNS, ROWS = 64, 36
"""Cells of luma, which projections take in blocks of 2 × 2: single cells show more of the coding noise.

Measured as in `worker.moderation.gate`, on 153 windows that PDQ and block means let pass, each at the threshold that
99.2 % of comparisons of still scenes keep to; and on a still scene of 320 × 180 at a buffer of 0.2 s, of whose 31
samples the drawn times have 3 classified (`bench.sampling`). Single cells of 64 × 36 catch 95 % and classify 22, of
32 × 18 98 % and 25, of 16 × 9 92 % and 10; cells of 64 × 36 blurred by a cell 95 % and 14, by 1.5 cells 85 % and 3.
Blocks catch 98 % and classify 25; with the wider bound for pictures of the same structure, 97 % and 4 to 5."""

CHROMA_COLUMNS, CHROMA_ROWS = 16, 9
"""Cells of chroma: colours of still scenes differ less than luma does, and it has less detail."""

SAMPLED_COLUMNS, SAMPLED_ROWS = 4 * COLUMNS, 2 * ROWS
"""Points at which texture is read, at least: 32 in each 2 × 2 cells."""

TEXTURE_WEIGHT, CHROMA_WEIGHT = 0.5, 0.4
"""Weight of a level of texture, and of each kind of chroma, beside one of luma.

Mean differences of still scenes as in `worker.moderation.gate` are 0.4, 0.6 and 0.3 levels of luma, texture and chroma,
of the tightly buffered one 1.0, 0.9 and 0.6; of pictures with another one's details over kept means 0.5, 11 and 0.1,
with its colours 1, 0.6 and 30. Weights of 0.3 and 0.2 let three times as many windows of such details pass, 0.6 and
0.4 classify twice as much of the tightly buffered scene. Each projection takes all three: four of its own for texture
let 7 % of those windows pass, which are 1 to 2 % here."""

PROJECTIONS = 16
"""Numbers that are kept of a picture: the most that may be."""

MIN_REUSE_MS, MAX_REUSE_MS = 5_000, 30_000
"""Capture time for which a classification may be reused: drawn for each from [5, 30] s."""

REUSE_DRAWS = 3
"""The longest of three draws counts, 24 s in the mean: of a still scene of a minute, sampled each 2 s, 10 % are
classified in the mean (one draw: 13 %; 30 s always: 7 %)."""

Luma = NDArray[np.uint8]
Chroma = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class GateCells:
    """All that the gate compares of a picture besides its hash."""

    luma: Luma
    """uint8, (ROWS, COLUMNS): mean luma of each cell, full range."""
    texture: NDArray[np.float32]
    """float32, (ROWS - 1, COLUMNS - 1): standard deviation of luma in the 2 × 2 cells from each one on."""
    chroma: Chroma
    """uint8, (2, CHROMA_ROWS, CHROMA_COLUMNS): means of both kinds; 128 if there is none."""

    @classmethod
    def of(cls, luma: Luma, chroma: Chroma | None) -> Self:
        """Measures a picture.

        Args:
            luma: uint8, (H, W), full range.
            chroma: as in `GateCells.chroma`; None: the picture is grey.
        """
        if chroma is None:
            chroma = np.full((2, CHROMA_ROWS, CHROMA_COLUMNS), 128, np.uint8)
        return cls(luma=np.asarray(_means(luma), np.uint8), texture=_texture(luma), chroma=chroma)


def _texture(luma: Luma) -> NDArray[np.float32]:
    rows, columns = luma.shape
    points = luma[:: max(rows // SAMPLED_ROWS, 1), :: max(columns // SAMPLED_COLUMNS, 1)].astype(np.float32)
    mean, square = (_windows(_means(one)) for one in (points, points * points))
    return np.asarray(np.sqrt(np.maximum(square - mean * mean, 0)), np.float32)


def _means(samples: NDArray[Any]) -> NDArray[Any]:
    """Means by cells."""
    return cv2.resize(samples, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA)


def _windows(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of the 2 × 2 cells from each one on."""
    return np.asarray((cells[1:, 1:] + cells[:-1, 1:] + cells[1:, :-1] + cells[:-1, :-1]) / 4, np.float32)


@dataclass(frozen=True)
class GateKey:
    """The secret of one stream's gate."""

    secret: bytes

    @cached_property
    def mark(self) -> str:
        """8 hex digits that tell this key, and what is projected, from another one, and nothing else about it."""
        return hmac.digest(self.secret, b"mark of luma, texture and chroma", "sha256")[:4].hex()

    def projections(self, cells: GateCells) -> tuple[float, ...]:
        """16 sums over all that is measured, each with signs that the key decides, to a hundredth.

        Two pictures' differences in them have as their expected square, in luma levels of 255, the sum of the mean
        squares of the differences of luma (in blocks of 2 × 2 cells), texture and chroma, each by its weight (Johnson
        and Lindenstrauss; signs by Achlioptas, 2003).
        """
        measured = np.concatenate([cells.luma.ravel(), cells.texture.ravel(), cells.chroma.ravel()], dtype=np.float32)
        return tuple(np.round((self._weights @ measured).astype(np.float64), 2).tolist())

    def reuse_ms(self, classified_ms: int) -> int:
        """Capture time for which the classification of the picture taken at `classified_ms` may be reused."""
        drawn = hmac.digest(self.secret, f"reuse {classified_ms}".encode(), "sha256")
        draws = (int.from_bytes(drawn[8 * n : 8 * n + 8]) for n in range(REUSE_DRAWS))
        return MIN_REUSE_MS + max(draws) * (MAX_REUSE_MS - MIN_REUSE_MS + 1) // 2**64

    @cached_property
    def _weights(self) -> NDArray[np.float32]:
        """(PROJECTIONS, size of all measures): each one's sign and weight, over the root of the number of its kind."""
        luma, texture, chroma = ROWS * COLUMNS, (ROWS - 1) * (COLUMNS - 1), 2 * CHROMA_ROWS * CHROMA_COLUMNS
        weights = np.empty((PROJECTIONS, luma + texture + chroma), np.float32)
        self._weigh_luma(weights[:, :luma].reshape(PROJECTIONS, ROWS, COLUMNS))
        self._draw(weights[:, luma : luma + texture], b"texture", TEXTURE_WEIGHT / texture**0.5)
        self._draw(weights[:, luma + texture :], b"chroma", CHROMA_WEIGHT / (chroma / 2) ** 0.5)
        return weights

    def _weigh_luma(self, weights: NDArray[np.float32]) -> None:
        """Fills (PROJECTIONS, ROWS, COLUMNS): the mean of each block by its sign.

        Blocks begin at each of the four places in turn: who keeps the means of one grid's blocks moves the others'.
        """
        blocks = np.empty((PROJECTIONS, ROWS // 2 + 1, COLUMNS // 2 + 1), np.float32)
        self._draw(blocks.reshape(PROJECTIONS, -1), b"signs", 1 / (2 * (ROWS * COLUMNS) ** 0.5))
        cells = blocks.repeat(2, axis=1).repeat(2, axis=2)
        for place in range(4):
            top, left = divmod(place, 2)
            weights[place::4] = cells[place::4, top : top + ROWS, left : left + COLUMNS]

    def _draw(self, weights: NDArray[np.float32], name: bytes, weight: float) -> None:
        """Fills (PROJECTIONS, count) with `weight` and its negative."""
        stream = shake_256(hmac.digest(self.secret, name, "sha256")).digest(-(-weights.size // 8))
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=weights.size).reshape(weights.shape)
        np.multiply(bits, np.float32(2 * weight), out=weights)
        weights -= np.float32(weight)
