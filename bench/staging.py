"""Pictures of clips in which an insert is hidden by more than its place between keyframes."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction

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

DIM_LEVEL, DIM_MEAN, DIM_NOISE = 40, 110, 0.5
"""Luma of a dim picture where the bright one has its mean, and deviation of its noise."""
EVEN_LEVEL, EVEN_NOISE = 180, 1.0
"""Luma of even ground, and deviation of its noise."""
BLOCK_COLUMNS, BLOCK_ROWS = 16, 9
"""Blocks in which an insert comes in by blocks."""

I420 = NDArray[np.uint8]
"""uint8, (height * 3 / 2, width): as a loop's pictures."""


class Transition(Enum):
    """Way in which an insert comes and goes."""

    FADE = "fade"
    WIPE = "wipe"
    """It slides in from the left, and out again."""
    BLOCKS = "blocks"
    """Block after block of the picture shows it."""


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
    transition: Transition = Transition.FADE
    contrast: float = 1.0
    """Contrast of the film as it is shown."""
    even: tuple[int, int] | None = None
    """Pictures [first, last) in which its window shows even ground without it; None: it covers what is there."""

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
        repeats: int | Fraction = 1,
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
        picture = self._reel.picture(self._base, held(index, self._repeats))
        for insert in self._inserts:
            if insert.even is not None and insert.even[0] <= index < insert.even[1]:
                picture = picture.copy()
                for number, (part, plane) in enumerate(zip(_window(picture, insert), planes(picture), strict=True)):
                    part[:] = _even(plane.shape, index)[: part.shape[0], : part.shape[1]] if number == 0 else 128
        return picture

    def _shown(self, index: int) -> I420:
        picture = self._ground(index)
        for insert in self._inserts:
            # A repeated picture is repeated whole.
            at = held(index, self._repeats)
            weight = insert.weight(at)
            if weight > 0:
                step = at - insert.start
                film = self._reel.picture(insert.film, insert.offset + abs(step))
                if insert.contrast < 1.0:
                    film = _paled(film, insert.contrast)
                picture = _pasted(picture, film, insert, weight)
        return picture


def held(index: int, repeats: int | Fraction) -> int:
    """Picture of the clip that picture `index` repeats, or itself."""
    return math.ceil(index // repeats * repeats)


def _window(picture: I420, insert: HiddenInsert) -> tuple[I420, I420, I420]:
    """Views of the insert's window in each plane."""
    side, left, top = insert.window

    def part(plane: I420) -> I420:
        rows, columns = plane.shape
        first_row, first_column = round(rows * top), round(columns * left)
        return plane[first_row : first_row + round(rows * side), first_column : first_column + round(columns * side)]

    y, u, v = planes(picture)
    return part(y), part(u), part(v)


def _pasted(ground: I420, film: I420, insert: HiddenInsert, weight: float) -> I420:
    picture = ground.copy()
    for part, source in zip(_window(picture, insert), planes(film), strict=True):
        height, width = part.shape
        inserted = (
            source if part.shape == source.shape else cv2.resize(source, (width, height), interpolation=cv2.INTER_AREA)
        )
        if insert.transition is Transition.FADE:
            part[:] = cv2.addWeighted(inserted, weight, part, 1 - weight, 0)
        else:
            part[:] = np.where(_order(insert.transition, width, height) < weight, inserted, part)
    return picture


def _order(transition: Transition, width: int, height: int) -> NDArray[np.float64]:
    """(height, width), 0 to 1: the share of a transition at which each point shows the insert."""
    if transition is Transition.WIPE:
        return np.tile(np.arange(width) / width, (height, 1))
    blocks = BLOCK_ROWS * BLOCK_COLUMNS
    order = np.random.default_rng(9).permutation(blocks).reshape(BLOCK_ROWS, BLOCK_COLUMNS) / blocks
    rows, columns = np.arange(height) * BLOCK_ROWS // height, np.arange(width) * BLOCK_COLUMNS // width
    return np.asarray(order[rows][:, columns], np.float64)


def _paled(film: I420, contrast: float) -> I420:
    """The film's picture as a shade of even ground."""
    pale = film.copy()
    luma, *chroma = planes(pale)
    luma[:] = np.clip(EVEN_LEVEL + contrast * (luma.astype(np.float32) - DIM_MEAN), 16, 235)
    for plane in chroma:
        plane[:] = np.round(128 + contrast * (plane.astype(np.float32) - 128))
    return pale


def _even(shape: tuple[int, ...], index: int) -> I420:
    """Luma of even ground: uint8, of `shape`."""
    noise = np.random.default_rng((13, index)).normal(0, EVEN_NOISE, shape)
    return np.asarray(np.clip(np.round(EVEN_LEVEL + noise), 16, 235), np.uint8)


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


def dim(contrast: float) -> Finish:
    """The picture as in a dark room, where it has so much of its contrast."""

    def finish(picture: I420, index: int) -> I420:
        changed = picture.copy()
        luma, *chroma = planes(changed)
        noise = np.random.default_rng((14, index)).normal(0, DIM_NOISE, luma.shape)
        luma[:] = np.clip(np.round(DIM_LEVEL + contrast * (luma.astype(np.float32) - DIM_MEAN) + noise), 16, 235)
        for plane in chroma:
            plane[:] = np.round(128 + contrast * (plane.astype(np.float32) - 128))
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
