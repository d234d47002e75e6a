"""Follows which parts of H.264 pictures are right, where decoding began in the middle of a GOP. Runs in the child.

A recovery point is a claim: after so many pictures all is right. One that is not true would have the grey that stands
for missing pictures count as seen. But the decoder reports what it predicted, and from where. So a block is right once
it is coded by itself, beside blocks that are right, or predicted from an area that was right in the picture before.
"""

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

CELL = 4
"""Pixels on a side of the smallest block that is predicted (ITU-T H.264, 7.4.5)."""
BLOCK_CELLS = 4
"""Cells on a side of a macroblock."""
TAPS_BEFORE, TAPS_AFTER = 2, 3
"""Pixels beside an area that a prediction between pixels reads (8.4.2.2.1)."""


class RefreshMap:
    """The parts that are right of one run's pictures, which it is shown in the order of a player."""

    def __init__(self) -> None:
        self.complete = False
        """True once all of a picture was right: what is predicted from it is right too."""
        self._right: NDArray[np.bool_] | None = None

    def follow(self, frame: VideoFrame, *, reference: bool) -> bool:
        """True if all of the picture is right.

        Args:
            frame: decoded with `TELL_PREDICTION` (sampler/decode/runs/probe.py).
            reference: whether pictures after it may be predicted from it.
        """
        if self.complete:
            return True
        rows, columns = (-(-side // (CELL * BLOCK_CELLS)) for side in (frame.height, frame.width))
        shape = rows * BLOCK_CELLS, columns * BLOCK_CELLS
        before = self._right
        if before is None or before.shape != shape:
            before = np.zeros(shape, np.bool_)
        right = _right(frame, before)
        if reference:
            self._right = right
            self.complete = bool(right.all())
        return bool(right.all())


def _right(frame: VideoFrame, before: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Cells of a picture that are right, if those of the picture before are `before`."""
    vectors = frame.side_data.get("MOTION_VECTORS")
    wrong = np.zeros((before.shape[0] + 1, before.shape[1] + 1), np.int32)
    predicted = np.zeros_like(wrong)
    if vectors is not None:
        table = vectors.to_ndarray()
        size = np.stack([table["h"], table["w"]]).astype(np.int64)
        start = np.stack([table["dst_y"], table["dst_x"]]) - size // 2
        motion, scale = np.stack([table["motion_y"], table["motion_x"]]), np.maximum(table["motion_scale"], 1)
        between = (motion % scale) != 0
        first = start + motion // scale
        last = first + size - 1 + TAPS_AFTER * between
        first = first - TAPS_BEFORE * between
        _add(predicted, start, start + size - 1, np.ones(len(table), np.int32))
        _add(wrong, start, start + size - 1, (~_all_right(before, first, last)).astype(np.int32))
    counted = predicted[:-1, :-1].cumsum(0).cumsum(1)
    right = (counted > 0) & (wrong[:-1, :-1].cumsum(0).cumsum(1) == 0)
    return _with_intra(right, counted > 0)


def _add(
    differences: NDArray[np.int32], first: NDArray[np.int64], last: NDArray[np.int64], values: NDArray[np.int32]
) -> None:
    """Adds values to rectangles of pixels, in a table of which the running sums count."""
    top, left = _cells(first, differences.shape)
    bottom, right = _cells(last, differences.shape)
    for row, column, sign in ((top, left, 1), (bottom + 1, right + 1, 1), (top, right + 1, -1), (bottom + 1, left, -1)):
        np.add.at(differences, (row, column), sign * values)


def _cells(pixels: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows, columns) of the cells at pixels; those outside of the picture repeat its edge (8.4.2.2.1)."""
    row, column = pixels // CELL
    return np.clip(row, 0, shape[0] - 2), np.clip(column, 0, shape[1] - 2)


def _all_right(before: NDArray[np.bool_], first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each rectangle of pixels, True if all of it is right."""
    sums = np.zeros((before.shape[0] + 1, before.shape[1] + 1), np.int32)
    sums[1:, 1:] = (~before).cumsum(0).cumsum(1)
    top, left = _cells(first, sums.shape)
    bottom, right = _cells(last, sums.shape)
    found = sums[bottom + 1, right + 1] - sums[top, right + 1] - sums[bottom + 1, left] + sums[top, left]
    return np.asarray(found == 0)


def _with_intra(right: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Adds macroblocks of which nothing is predicted from pictures: each leans on its neighbours to the left and
    above, if there are any."""
    rows, columns = right.shape[0] // BLOCK_CELLS, right.shape[1] // BLOCK_CELLS
    by_block = (rows, BLOCK_CELLS, columns, BLOCK_CELLS)
    blocks = right.reshape(by_block).all((1, 3))
    intra = ~predicted.reshape(by_block).any((1, 3))
    if intra.all():
        return np.ones_like(right)
    for row, column in np.argwhere(intra).tolist():
        blocks[row, column] = (
            (row == 0 or blocks[row - 1, column])
            and (column == 0 or blocks[row, column - 1])
            and (row == 0 or column == 0 or blocks[row - 1, column - 1])
        )
    added = (blocks & intra).repeat(BLOCK_CELLS, 0).repeat(BLOCK_CELLS, 1)
    return np.asarray(right | added)
