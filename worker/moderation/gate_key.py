"""The gate's secret: what it measures of a picture, and for how long a classification is reused.

Block means are a fixed measure, which a window over a still scene can restore. A projection onto pseudo-random weights
cannot be restored by those who do not have the key: a change that keeps one moves the others.
"""

import hmac
from dataclasses import dataclass
from functools import cached_property
from hashlib import shake_256

import cv2
import numpy as np
from numpy.typing import NDArray

COLUMNS, ROWS = 64, 36
"""Cells of a picture, which projections take in blocks of 2 × 2: single cells show more of the coding noise.

Measured as in `worker.moderation.gate`, on 153 windows that PDQ and block means let pass, each at the threshold that
99.2 % of comparisons of still scenes keep to; and on a still scene of 320 × 180 at a buffer of 0.2 s, of whose 31
samples the drawn times have 3 classified (`bench.sampling`). Single cells of 64 × 36 catch 95 % and classify 22, of
32 × 18 98 % and 25, of 16 × 9 92 % and 10; cells of 64 × 36 blurred by a cell 95 % and 14, by 1.5 cells 85 % and 3.
Blocks catch 98 % and classify 25; with the wider bound for pictures of the same structure, 97 % and 4 to 5."""

PROJECTIONS = 16
"""Numbers that are kept of a picture: the most that may be."""

MIN_REUSE_MS, MAX_REUSE_MS = 5_000, 30_000
"""Capture time for which a classification may be reused: drawn for each from [5, 30] s."""

REUSE_DRAWS = 3
"""The longest of three draws counts, 24 s in the mean: of a still scene of a minute, sampled each 2 s, 10 % are
classified in the mean (one draw: 13 %; 30 s always: 7 %)."""

Cells = NDArray[np.uint8]
"""uint8, (ROWS, COLUMNS): mean luma of each cell, full range."""


def cells_of(luma: NDArray[np.uint8]) -> Cells:
    """Returns the cells of `luma` (uint8, (H, W), full range)."""
    return np.asarray(cv2.resize(luma, (COLUMNS, ROWS), interpolation=cv2.INTER_AREA), np.uint8)


@dataclass(frozen=True)
class GateKey:
    """The secret of one stream's gate."""

    secret: bytes

    @cached_property
    def mark(self) -> str:
        """8 hex digits that tell this key from another one, and nothing else about it."""
        return hmac.digest(self.secret, b"mark", "sha256")[:4].hex()

    def projections(self, cells: Cells) -> tuple[float, ...]:
        """16 sums over all cells, each block of 2 × 2 with a sign that the key decides, to a hundredth.

        Two pictures' differences in them have the root mean square of the blocks' differences, in luma levels of 255,
        as their expected one (Johnson and Lindenstrauss; signs by Achlioptas, 2003).
        """
        return tuple(np.round(self._weights @ cells.ravel().astype(np.float64), 2).tolist())

    def reuse_ms(self, classified_ms: int) -> int:
        """Capture time for which the classification of the picture taken at `classified_ms` may be reused."""
        drawn = hmac.digest(self.secret, f"reuse {classified_ms}".encode(), "sha256")
        draws = (int.from_bytes(drawn[8 * n : 8 * n + 8]) for n in range(REUSE_DRAWS))
        return MIN_REUSE_MS + max(draws) * (MAX_REUSE_MS - MIN_REUSE_MS + 1) // 2**64

    @cached_property
    def _weights(self) -> NDArray[np.float64]:
        """(PROJECTIONS, ROWS * COLUMNS): the mean of each block by its sign, over the root of the number of blocks.

        Blocks begin at each of the four places in turn: who keeps the means of one grid's blocks moves the others'.
        """
        rows, columns = ROWS // 2 + 1, COLUMNS // 2 + 1
        count = PROJECTIONS * rows * columns
        stream = shake_256(hmac.digest(self.secret, b"signs", "sha256")).digest(-(-count // 8))
        bits = np.unpackbits(np.frombuffer(stream, np.uint8), count=count).reshape(PROJECTIONS, rows, columns)
        cells = (2.0 * bits - 1.0).repeat(2, axis=1).repeat(2, axis=2) / (2 * (ROWS * COLUMNS) ** 0.5)
        places = [(number // 2 % 2, number % 2) for number in range(PROJECTIONS)]
        return np.stack(
            [
                one[top : top + ROWS, left : left + COLUMNS].ravel()
                for one, (top, left) in zip(cells, places, strict=True)
            ]
        )
