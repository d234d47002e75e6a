"""Pictures of clips in which an insert is hidden by more than its place between keyframes."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from bench.material import LOOP_FRAMES, Loop, Reel, fitted, photograph

PHOTOGRAPHS = ("astronaut", "chelsea", "coffee", "rocket")
"""Photographs of scikit-image that are in its wheel: listed pictures, shown still with a sensor's noise."""
PHOTOGRAPH_NOISE = 2
GRAIN_SIGMA = 12
"""Noise of a phone's camera in a room at night, in levels of 255."""
STILL_SHADE = 40
STROBE_BLOCK = 3
"""Pixels of a square of a strobe's pattern."""
THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT = 48, 27
WINDOW_MARGIN = 0.04
"""Distance of a window from the picture's edges at least, in parts of its sides."""

I420 = NDArray[np.uint8]
"""uint8, (height * 3 / 2, width): as a loop's pictures."""


@dataclass(frozen=True, kw_only=True)
class HiddenInsert:
    """Pictures [start, stop) show another film in a window, from its picture `offset` on."""

    start: int
    stop: int
    film: str
    offset: int
    window: tuple[float, float, float] = (1.0, 0.0, 0.0)
    """Side, left and top, in parts of the picture's sides."""
    fade: int = 0
    """Pictures before `start` and from `stop` on over which the insert comes and goes."""

    def weight(self, index: int) -> float:
        """Opacity of the insert in picture `index`, 0 to 1."""
        outside = max(self.start - index, index - self.stop + 1, 0)
        return max(0.0, 1 - outside / (self.fade + 1))


@dataclass(frozen=True, kw_only=True)
class Strobe:
    """A pattern of high contrast every `period` pictures, in pictures [start, stop)."""

    start: int
    stop: int
    period: int

    def flashes(self, index: int) -> bool:
        """True if picture `index` of the clip is a pattern."""
        return self.start <= index < self.stop and (index - self.start) % self.period == 0

    def flash(self, index: int, width: int, height: int) -> I420:
        """The pattern at picture `index` of the clip: none is like another."""
        random = np.random.default_rng((8, index))
        picture = np.full((height * 3 // 2, width), 128, np.uint8)
        small = random.integers(16, 236, (-(-height // STROBE_BLOCK), -(-width // STROBE_BLOCK)), np.uint8)
        picture[:height] = np.kron(small, np.ones((STROBE_BLOCK, STROBE_BLOCK), np.uint8))[:height, :width]
        return picture


Finish = Callable[[I420, int], I420]
"""A change of the finished picture, by its number."""


class StagedReel(Reel):
    """One film only, of any name: a ground with inserts in it. Pictures are made when they are asked for."""

    def __init__(
        self,
        reel: Reel,
        *,
        base: str,
        inserts: Sequence[HiddenInsert],
        strobes: Sequence[Strobe] = (),
        repeats: int = 1,
        finish: Finish | None = None,
    ) -> None:
        self.width, self.height, self.loops = reel.width, reel.height, reel.loops
        self._reel = reel
        self._base = base
        self._inserts = inserts
        self._strobes = strobes
        self._repeats = repeats
        self._finish = finish

    def picture(self, name: str, index: int) -> I420:  # noqa: ARG002 (there is one film)
        """Picture `index`, whatever the name."""
        return self._finished(self._shown(index), index)

    def plain(self, index: int) -> I420:
        """The same picture, had nothing been inserted."""
        return self._finished(self._ground(index), index)

    def _finished(self, picture: I420, index: int) -> I420:
        return picture if self._finish is None else self._finish(picture, index)

    def _ground(self, index: int) -> I420:
        for strobe in self._strobes:
            if strobe.flashes(index):
                return strobe.flash(index, self.width, self.height)
        return self._reel.picture(self._base, index - index % self._repeats)

    def _shown(self, index: int) -> I420:
        picture = self._ground(index)
        for insert in self._inserts:
            # A repeated picture is repeated whole.
            weight = insert.weight(index - index % self._repeats)
            if weight > 0:
                step = index - index % self._repeats - insert.start
                picture = _pasted(picture, self._reel.picture(insert.film, insert.offset + abs(step)), insert, weight)
        return picture


def _pasted(ground: I420, film: I420, insert: HiddenInsert, weight: float) -> I420:
    side, left, top = insert.window
    picture = ground.copy()
    for target, source in zip(planes(picture), planes(film), strict=True):
        rows, columns = target.shape
        height, width = round(rows * side), round(columns * side)
        first_row, first_column = round(rows * top), round(columns * left)
        part = target[first_row : first_row + height, first_column : first_column + width]
        inserted = source if side == 1.0 else cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
        part[:] = cv2.addWeighted(inserted, weight, part, 1 - weight, 0)
    return picture


def planes(picture: I420) -> tuple[I420, I420, I420]:
    """Views of Y, U and V: uint8, (height, width), and half of each twice."""
    rows, width = picture.shape
    height = rows * 2 // 3
    u, v = picture[height:].reshape(2, height // 2, width // 2)
    return picture[:height], u, v


def thumbnail(luma: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A small copy of a luma plane, by which a picture is recognised."""
    size = (THUMBNAIL_WIDTH, THUMBNAIL_HEIGHT)
    return np.asarray(cv2.resize(luma, size, interpolation=cv2.INTER_AREA), np.uint8)


def still_photograph(name: str, width: int, height: int) -> NDArray[np.uint8]:
    """A photograph of scikit-image cropped to the picture's aspect: uint8, (height, width, 3), RGB."""
    return fitted(photograph(name), width, height)


def photograph_loop(name: str, width: int, height: int) -> Loop:
    """A still photograph in front of a noisy sensor."""
    random = np.random.default_rng(5)
    still = still_photograph(name, width, height)
    loop = []
    for _ in range(LOOP_FRAMES // 5):
        noisy = still + random.normal(0, PHOTOGRAPH_NOISE, (height, width))[..., None]
        loop.append(cv2.cvtColor(np.clip(noisy, 0, 255).astype(np.uint8), cv2.COLOR_RGB2YUV_I420))
    return np.stack(loop).astype(np.uint8)


def flicker(depth: float) -> Finish:
    """Every second picture is darker by that part."""

    def finish(picture: I420, index: int) -> I420:
        gain = 1 - depth * (index % 2)
        changed = picture.copy()
        luma, _, _ = planes(changed)
        luma[:] = np.clip((luma.astype(np.float32) - 16) * gain + 16, 16, 235)
        return changed

    return finish


def portrait(*, blurred: bool, grain: float = GRAIN_SIGMA) -> Finish:
    """A phone's upright picture between two bars that never change, black or of a dark pattern; its sensor is noisy."""

    def finish(picture: I420, index: int) -> I420:
        framed = picture.copy()
        for number, plane in enumerate(planes(framed)):
            rows, columns = plane.shape
            width = round(rows * 9 / 16 / 2) * 2
            left = (columns - width) // 2
            middle = plane[:, (columns - width) // 2 :][:, :width].copy()
            if number == 0:
                noise = np.random.default_rng((6, index)).normal(0, grain, middle.shape)
                middle = np.clip(middle + noise, 16, 235).astype(np.uint8)
            shade = (STILL_SHADE + 20 * np.sin(np.arange(columns) / 9)) if blurred else np.full(columns, 16.0)
            plane[:] = shade.astype(np.uint8)[None] if number == 0 else 128
            plane[:, left : left + width] = middle
        return framed

    return finish
