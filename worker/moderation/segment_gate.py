"""The gate over the pictures of one segment: those that were classified in it are compared too.

A cut to another picture and back is two pictures to classify, not three. Of the last few that were classified in the
same segment, a thumbnail each is in memory while the segment is moderated, and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pdq.pdq import PdqHash
from worker.moderation.gate import FROZEN_AFTER_MS, Fingerprint, GateState
from worker.moderation.gate_key import COLUMNS, ROWS, Chroma, GateCells, GateKey, Luma

REMEMBERED = 8
"""Pictures classified in the segment that are compared, the most: what came back last stays."""

WINDOW = (4, 3)
"""Width and height of the parts of a thumbnail that are compared, at every place: 1/48 of the area. A window of 1/16
covers at least one."""

MAX_WINDOW_DIFFERENCE = 4.0
"""Luma levels of 255, mean of the absolute differences in any part, by which a picture that came back may differ, <=.

By `python -m bench.gate`: still scenes with noise reach 1.2, pictures that come back at 400 kbit/s 1.9, at a buffer of
a quarter of a second 3.3. All of 250 new windows of 1/9 and of 1/16 of the area are noticed; with restored 4 × 4 block
means all of 1/9 and 98 % of 1/16. Motion is new: of five films no picture is near one of half a second before."""

TOLERANCE_BACK = 2.0
"""Multiple of `worker.moderation.gate.max_difference` by which the projections may differ where the thumbnail agrees:
a picture after a cut is coarser than the same one before. With it 95 % of those that come back at 400 kbit/s are
repeated (`python -m bench.gate`), and 84 % at a buffer of a quarter of a second.

A window drawn to keep all cells of a thumbnail escapes the thumbnails, not the projections."""

Thumbnail = NDArray[np.float32]
"""float32, (ROWS / 2, COLUMNS / 2, 4): luma, texture and both kinds of chroma of 32 × 18 cells, in levels."""


@dataclass(frozen=True, kw_only=True)
class GateView:
    """The gate's answer for one picture."""

    repeated: GateState | None
    """The classified picture whose scores this one takes over; None: it is to be classified."""
    unchanged_since_ms: int
    """Capture time since which the picture has not changed, as far back as classified pictures go."""
    capture_ms: int
    fingerprint: Fingerprint
    thumbnail: Thumbnail

    @property
    def frozen(self) -> bool:
        """True if it has not changed for `FROZEN_AFTER_MS`."""
        return self.capture_ms - self.unchanged_since_ms >= FROZEN_AFTER_MS


@dataclass(frozen=True, kw_only=True)
class _Remembered:
    """A picture that was classified in this segment, or that one of this segment repeats."""

    state: GateState
    thumbnail: Thumbnail


class SegmentGate:
    """The gate for the pictures of one segment."""

    def __init__(self, key: GateKey, state: GateState | None = None) -> None:
        """`state`: after the segment before, or after any other of the stream; by another key, it counts as none."""
        self._key = key
        self._state = state if state is not None and state.key == key.mark else None
        self._remembered: list[_Remembered] = []

    @property
    def state(self) -> GateState | None:
        """The state to keep; None: nothing was classified yet."""
        return self._state

    def view(self, luma: Luma, chroma: Chroma | None, pdq: PdqHash, *, capture_ms: int, flat: bool) -> GateView:
        """Decides whether a picture needs the classifiers.

        Args:
            luma: uint8, (H, W), full range.
            chroma: uint8, (2, CHROMA_ROWS, CHROMA_COLUMNS); None: the picture is grey.
            pdq: its hash.
            capture_ms: when it was taken.
            flat: it has no content.
        """
        cells = GateCells.of(luma, chroma)
        fingerprint, thumbnail = Fingerprint.of(cells, pdq, self._key), thumbnail_of(cells)
        state = self._state
        repeated, unchanged_since_ms = None, capture_ms
        if state is not None and capture_ms >= state.capture_ms and fingerprint.resembles(state.fingerprint, flat=flat):
            unchanged_since_ms = state.unchanged_since_ms
            repeated = state if state.may_stand_for(capture_ms, self._key) else None
        if repeated is None:
            repeated = self._came_back(fingerprint, thumbnail, capture_ms=capture_ms, flat=flat)
        return GateView(
            repeated=repeated,
            unchanged_since_ms=unchanged_since_ms,
            capture_ms=capture_ms,
            fingerprint=fingerprint,
            thumbnail=thumbnail,
        )

    def classified(self, seen: GateView, scores: Mapping[str, float]) -> None:
        """Takes a picture's scores, for those that repeat it."""
        state = GateState(
            key=self._key.mark,
            fingerprint=seen.fingerprint,
            capture_ms=seen.capture_ms,
            classified_ms=seen.capture_ms,
            unchanged_since_ms=seen.unchanged_since_ms,
            scores=scores,
        )
        self._remembered = [_Remembered(state=state, thumbnail=seen.thumbnail), *self._remembered[: REMEMBERED - 1]]
        self._show(state)

    def taken_over(self, seen: GateView) -> None:
        """Notes that a picture took over the scores of the one that it repeats."""
        state = seen.repeated
        if state is None:
            return
        known = [one for one in self._remembered if one.state.classified_ms == state.classified_ms]
        others = [one for one in self._remembered if one.state.classified_ms != state.classified_ms]
        # One from another segment is remembered now: what comes in between here takes the place of its state.
        first = known[0] if known else _Remembered(state=state, thumbnail=seen.thumbnail)
        self._remembered = [first, *others[: REMEMBERED - 1]]
        if state is not self._state:
            self._show(replace(state, capture_ms=seen.capture_ms, unchanged_since_ms=seen.unchanged_since_ms))

    def _show(self, state: GateState) -> None:
        """Keeps the later state, by capture time: a segment that ends late replaces nothing."""
        if self._state is None or self._state.capture_ms <= state.capture_ms:
            self._state = state

    def _came_back(
        self, fingerprint: Fingerprint, thumbnail: Thumbnail, *, capture_ms: int, flat: bool
    ) -> GateState | None:
        for one in self._remembered:
            if (
                one.state.may_stand_for(capture_ms, self._key)
                and fingerprint.resembles(one.state.fingerprint, flat=flat, tolerance=TOLERANCE_BACK)
                and thumbnail_difference(thumbnail, one.thumbnail) <= MAX_WINDOW_DIFFERENCE
            ):
                return one.state
        return None


def thumbnail_of(cells: GateCells) -> Thumbnail:
    """Returns means of 2 × 2 cells, with their texture and chroma."""
    luma = cells.luma.reshape(ROWS // 2, 2, COLUMNS // 2, 2).mean(axis=(1, 3), dtype=np.float32)
    first, second = cells.chroma.repeat(2, axis=1).repeat(2, axis=2)
    return np.stack([luma, cells.texture[::2, ::2], first, second], axis=-1, dtype=np.float32)


def thumbnail_difference(one: Thumbnail, other: Thumbnail) -> float:
    """Returns the largest mean absolute difference of any part, in any of its measures."""
    return float(cv2.blur(np.abs(one - other), WINDOW).max())
