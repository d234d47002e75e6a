"""Follows which parts of H.264 pictures are right, where decoding began in the middle of a GOP. Runs in the child.

A recovery point is a claim: after so many pictures all is right. One that is not true would have the grey that stands
for missing pictures count as seen. But the decoder reports what it predicted, and from where; and slices tell from
which pictures at most. So a block is right once it is coded by itself, beside blocks that are right, or predicted from
an area that is right in all of those pictures.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from sampler.demux.codecs.picture_sources import MOST_KNOWN, PictureSources
from sampler.demux.packet_window import PacketWindow

CELL = 4
"""Pixels on a side of the smallest block that is predicted (ITU-T H.264, 7.4.5)."""
BLOCK_CELLS = 4
"""Cells on a side of a macroblock."""
TAPS_BEFORE, TAPS_AFTER = 2, 3
"""Pixels beside an area that a prediction between pixels reads (8.4.2.2.1)."""


Map = NDArray[np.bool_]
"""(rows, columns) of cells, True where a picture is right."""


class RefreshMap:
    """The parts that are right of one run's pictures, which it is shown in the order of a player."""

    def __init__(
        self, window: PacketWindow, indices: Sequence[int], extradata: bytes, *, right_before: int = 0
    ) -> None:
        """Reads nothing yet.

        Args:
            window: has the run.
            indices: of its packets, in decoding order.
            extradata: the container's parameter sets.
            right_before: pictures of packets before that one are right.
        """
        self._window = window
        self._unread = list(reversed(indices))
        self._sources = PictureSources(extradata)
        self._right_before = right_before
        self._broken: set[int] = set()
        self.right: set[int] = set()
        """Pictures all of which is right, from `right_before` on: proven, or leaning on nothing but such ones."""
        self.wrong: set[int] = set()
        """Those that may lean on what came before the run, or on what is broken, by their headers."""
        self._untold: list[int] = []
        """Those of which it is not known."""
        self._maps: dict[int, Map] = {}
        """Right cells of others that were shown."""
        self._waiting: dict[int, tuple[tuple[int, int], NDArray[np.void] | None]] = {}
        """Size and vectors of those that were shown, and whose sources were not all."""

    def break_at(self, index: int) -> None:
        """Takes a packet's picture for wrong, and what leans on it."""
        self._broken.add(index)
        self._right_before = min(self._right_before, index)
        self._untold = sorted({*self._untold, *(one for one in self.right if one > index)} - {index})
        self.right = {one for one in self.right if one < index}
        self._maps.pop(index, None)
        self._spread()

    def read_until(self, index: int) -> None:
        """Reads the headers of packets, up to one that is decoded now."""
        while self._unread and self._unread[-1] <= index:
            one = self._unread.pop()
            self._sources.read(one, bytes(self._window.payloads[one]))
            if one >= self._right_before:
                sources = self._sources.of(one)
                if sources is None or not self._broken.isdisjoint(sources):
                    self.wrong.add(one)
                elif one not in self._broken:
                    self._untold = [*self._untold, one][-MOST_KNOWN:]
                    self._spread()

    def follow(self, index: int, frame: VideoFrame) -> bool:
        """True if all of a packet's picture is right, which was decoded with `TELL_PREDICTION`
        (sampler/decode/runs/probe.py)."""
        if index in self._broken or self._is_right(index):
            return index not in self._broken
        vectors = frame.side_data.get("MOTION_VECTORS")
        self._waiting[index] = (frame.height, frame.width), None if vectors is None else vectors.to_ndarray().copy()
        if len(self._waiting) > MOST_KNOWN:
            del self._waiting[min(self._waiting)]
        while any(self._settle(one) for one in sorted(self._waiting)):
            self._spread()
        return self._is_right(index)

    def _is_right(self, index: int) -> bool:
        return index in self.right or (index < self._right_before and index not in self._broken)

    def _spread(self) -> None:
        """Takes pictures for right that lean on nothing but such ones, though they may be shown later."""
        for index in self._untold:
            if (sources := self._sources.of(index)) and all(map(self._is_right, sources)):
                self.right.add(index)
        self._untold = [index for index in self._untold if index not in self.right]

    def _settle(self, index: int) -> bool:
        """True if the right parts of a picture became known, for those of its sources are."""
        (height, width), table = self._waiting[index]
        rows, columns = (-(-side // (CELL * BLOCK_CELLS)) for side in (height, width))
        shape = rows * BLOCK_CELLS, columns * BLOCK_CELLS
        sources = self._sources.of(index)
        before = self._before(sources, shape)
        if before is None:
            return False
        del self._waiting[index]
        # FFmpeg leaves out slices without any reference, in silence: such a picture has no vectors either.
        right = before if table is None and sources is None else _right(table, before)
        if right.all():
            self.right.add(index)
        else:
            self._maps[index] = right
            if len(self._maps) > MOST_KNOWN:
                del self._maps[min(self._maps)]
        return True

    def _before(self, sources: Iterable[int] | None, shape: tuple[int, ...]) -> Map | None:
        """Cells that are right in all sources of a picture; None: of one it is not known."""
        if sources is None or not self._broken.isdisjoint(sources):
            return np.zeros(shape, np.bool_)
        before = np.ones(shape, np.bool_)
        for source in sources:
            if self._is_right(source):
                continue
            if source not in self._maps:
                return None
            before &= self._maps[source] if self._maps[source].shape == shape else False
        return before


def _right(table: NDArray[np.void] | None, before: Map) -> Map:
    """Cells of a picture that are right, by its vectors, if those that it is predicted from are right in `before`."""
    wrong = np.zeros((before.shape[0] + 1, before.shape[1] + 1), np.int32)
    predicted = np.zeros_like(wrong)
    if table is not None:
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


def _all_right(before: Map, first: NDArray[np.int64], last: NDArray[np.int64]) -> NDArray[np.bool_]:
    """For each rectangle of pixels, True if all of it is right."""
    sums = np.zeros((before.shape[0] + 1, before.shape[1] + 1), np.int32)
    sums[1:, 1:] = (~before).cumsum(0).cumsum(1)
    top, left = _cells(first, sums.shape)
    bottom, right = _cells(last, sums.shape)
    found = sums[bottom + 1, right + 1] - sums[top, right + 1] - sums[bottom + 1, left] + sums[top, left]
    return np.asarray(found == 0)


def _with_intra(right: Map, predicted: NDArray[np.bool_]) -> Map:
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
