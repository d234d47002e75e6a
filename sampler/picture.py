"""A decoded picture, as it came out of the decoder, and conversions of it on demand."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import SystemRandom
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Plane = NDArray[np.uint8]

ResizePlane = Callable[[Plane, int, int, float, float], Plane]
"""(plane, width, height, kept_width, kept_height): the middle of a plane, in parts of its sides, at a size in
pixels."""

MATRICES: dict[str, tuple[float, float]] = {
    "bt601": (0.299, 0.114),
    "bt709": (0.2126, 0.0722),
    "bt2020": (0.2627, 0.0593),
    "fcc": (0.30, 0.11),
    "smpte240m": (0.212, 0.087),
}
"""Weights of red and of blue in luma (ITU-T H.273, table 4)."""
YCGCO = "ycgco"
"""Matrix of YCgCo, whose chroma is no difference of blue and red from luma."""
GBR = "gbr"
"""In place of a matrix: the three planes are green, blue and red."""

LUMA_MIN, LUMA_SPAN, CHROMA_SPAN = 16, 219, 224
"""Limited range, 8 bit (ITU-R BT.601): luma is 16 to 235, chroma 16 to 240."""


class Orientation(NamedTuple):
    """The way from a stored picture to the one that is shown."""

    rotation_degrees: int
    """Counter-clockwise, a multiple of 90; after the mirroring."""
    mirrored: bool
    """True if left and right are to be exchanged, before the rotation."""


PATTERN_CELLS = (16, 16)
"""Columns and rows by which brightnesses are compared: as fine as PDQ is."""
OTHER_PATTERN = 0.05
"""Mean difference of these, in parts of each one's own contrast, over which (>) what is shown is as bright as another
picture than luma. Of seven photographs, as they are and with up to ten times their colours, by three matrices, PDQ of
luma is 8 bits at most from that of a player's picture below it; what a photograph in red over black luma has is 0.8."""
OTHER_CONTRAST = 1.25
"""Ratio of their contrasts over which (>) they are not alike: of the fainter one there may be no hash. Of those
photographs it is 1.15 at most with up to four times their colours, and 1.3 with ten."""
LOOKED_AT_COLUMNS, LOOKED_AT_ROWS = 160, 96
"""Columns and rows of chroma by which they are compared, at least: ten and six for each of these cells."""
DRAWN = SystemRandom()
BAND_ROWS = 64
"""Rows of chroma that are worked on at once: what they take stays in a core's cache, which halves the time."""


class PlanePixels(NamedTuple):
    """Pixels of planes of YUV: so many of luma as of chroma."""

    luma: tuple[slice, slice]
    """Rows and columns."""
    chroma: tuple[slice, slice] = (slice(None), slice(None))


STORED = Orientation(0, False)
VIEWS = 3
"""Ways in which one picture is sampled (<=), where players do not agree: orientations, a part of it, or its fields."""


@dataclass(frozen=True, kw_only=True)
class Picture:
    """A picture of `height` × `width` as it is shown: rotation and mirroring are applied by `luma` and `rgb`.

    Its planes are read-only views of memory that the decoder child filled and can no longer change.
    """

    planes: tuple[Plane, ...]
    """uint8, as stored, before rotation: (Y,) or (Y, U, V), each (H, W) of its own size; or one of (H, W, 3), RGB."""
    full_range: bool
    """True if luma uses 0 to 255 rather than 16 to 235. RGB is full."""
    matrix: str
    """Key of `MATRICES`, or `YCGCO` or `GBR`, by which the planes become RGB."""
    rotation_degrees: int = 0
    """Counter-clockwise, a multiple of 90, to be applied for display; after the mirroring."""
    mirrored: bool = False
    """True if left and right are to be exchanged for display, before the rotation."""
    pixel_aspect: float = 1.0
    """Width by height of one stored pixel. Nothing here stretches by it."""

    @property
    def orientation(self) -> Orientation:
        """The way to the picture that is shown."""
        return Orientation(self.rotation_degrees, self.mirrored)

    @property
    def width(self) -> int:
        """In pixels, as shown."""
        height, width = map(int, self.planes[0].shape[:2])
        return height if self.rotation_degrees % 180 else width

    @property
    def height(self) -> int:
        """In pixels, as shown."""
        height, width = map(int, self.planes[0].shape[:2])
        return width if self.rotation_degrees % 180 else height

    @property
    def is_rgb(self) -> bool:
        """True if the stored pixels are RGB already, as with still pictures."""
        return self.planes[0].ndim == 3

    def luma(self) -> Plane:
        """Brightness: uint8, (height, width), full range.

        Of YUV it is the luma plane itself, expanded to 0..255 where the range is limited: not a copy where the range
        is full and no rotation applies. Of RGB it has the weights of BT.601, as PDQ's reference takes them; so it has
        where colours that no screen has make YUV as bright as another picture than its luma.
        """
        if self.is_rgb:
            return self._upright(np.asarray(cv2.cvtColor(self.planes[0], cv2.COLOR_RGB2GRAY), np.uint8))
        return self._upright(brightness(self.planes, self.matrix, self.full_range))

    def chroma(self, width: int, height: int) -> Plane | None:
        """Colours without brightness: uint8, (2, height, width), U and V as stored, each shrunk; None: it is grey."""
        if len(self.planes) == 1 and not self.is_rgb:
            return None
        if self.rotation_degrees % 180:
            width, height = height, width
        if self.is_rgb:
            small = _resized(self.planes[0], width=width, height=height)
            _, second, first = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb))
        else:
            first, second = (_resized(plane, width=width, height=height) for plane in self.planes[1:])
        return np.stack([self._upright(np.asarray(one, np.uint8)) for one in (first, second)])

    def rgb(self, max_pixels: int | None = None) -> Plane:
        """Colours: uint8, (height, width, 3), RGB, full range.

        Args:
            max_pixels: shrink, keeping the aspect, to at most so many pixels; made from planes shrunk first, so
                that a small picture is cheap. None: full size.
        """
        height, width = self.planes[0].shape[:2]
        if max_pixels is not None and height * width > max_pixels:
            scale = (max_pixels / (height * width)) ** 0.5
            height, width = max(1, int(height * scale)), max(1, int(width * scale))
        return self._colours([_resized(plane, width=width, height=height) for plane in self.planes])

    def rgb_at(self, width: int, height: int, kept: tuple[float, float], resize: ResizePlane) -> Plane:
        """Colours of the middle of the picture: uint8, (height, width, 3), RGB, full range.

        Args:
            width: as shown, in pixels; so is `height`.
            kept: how much of the width and of the height, as shown; (1.0, 1.0) is all.
            resize: brings each plane to its size, before colours are made of them.
        """
        if self.rotation_degrees % 180:
            width, height, kept = height, width, (kept[1], kept[0])
        return self._colours([resize(plane, width, height, *kept) for plane in self.planes])

    def _colours(self, planes: list[Plane]) -> Plane:
        """RGB, upright, of planes that are all of one size."""
        if self.is_rgb:
            return self._upright(planes[0])
        if len(planes) == 1:
            grey = planes[0] if self.full_range else _expanded(planes[0])
            return self._upright(np.asarray(cv2.cvtColor(grey, cv2.COLOR_GRAY2RGB), np.uint8))
        yuv = cv2.merge(planes)
        return self._upright(np.asarray(cv2.transform(yuv, yuv_to_rgb(self.matrix, self.full_range)), np.uint8))

    def _upright(self, stored: Plane) -> Plane:
        if self.mirrored:
            stored = stored[:, ::-1]
        turned = np.rot90(stored, self.rotation_degrees // 90 % 4)
        return turned if turned is stored else np.ascontiguousarray(turned)


def brightness(planes: Sequence[Plane], matrix: str, full_range: bool) -> Plane:
    """`Picture.luma` of planes of YUV or grey, as stored."""
    luma = planes[0] if full_range else _expanded(planes[0])
    if len(planes) == 1:
        return luma
    parts = _parts(planes)
    # Some of one tell: all of it takes seven times as long at 720p. Which ones nobody can know who would make another
    # picture of others.
    few = _thinned(DRAWN.choice(parts), planes[1])
    if not _differ(_pattern(np.ascontiguousarray(luma[few.luma])), _pattern(_shown(planes, few, matrix, full_range))):
        return luma
    shown = luma if luma is not planes[0] else luma.copy()
    for part in parts:
        grey = _shown(planes, part, matrix, full_range)
        shown[part.luma][: grey.shape[0], : grey.shape[1]] = grey
    return shown


def are_alike(planes: Sequence[Plane], matrices: tuple[str, str], full_range: bool) -> bool:
    """True if planes are as bright as one picture by both matrices."""
    one, other = (_shown_pattern(planes, matrix, full_range) for matrix in matrices)
    return not _differ(one, other)


def _differ(one: NDArray[np.float32], other: NDArray[np.float32]) -> bool:
    spreads = [max(float(cells.std()), 1.0) for cells in (one, other)]
    scaled, others = ((cells - cells.mean()) / spread for cells, spread in zip((one, other), spreads, strict=True))
    return max(spreads) > OTHER_CONTRAST * min(spreads) or bool(np.abs(scaled - others).mean() > OTHER_PATTERN)


def _shown_pattern(planes: Sequence[Plane], matrix: str, full_range: bool) -> NDArray[np.float32]:
    parts = [_pattern(_shown(planes, part, matrix, full_range)) for part in _parts(planes)]
    return np.asarray(np.mean(parts, axis=0), np.float32)


def _parts(planes: Sequence[Plane]) -> list[PlanePixels]:
    """As many parts of luma as it has pixels for one of chroma, each of which takes one of these."""
    down, across = (max(1, round(large / small)) for large, small in zip(planes[0].shape, planes[1].shape, strict=True))
    places = product(range(min(down, len(planes[0]))), range(min(across, planes[0].shape[1])))
    return [PlanePixels((slice(top, None, down), slice(left, None, across))) for top, left in places]


def _thinned(part: PlanePixels, chroma: Plane) -> PlanePixels:
    """Pixels of a part at even distances, from one on that is drawn by chance."""
    luma: list[slice] = []
    others: list[slice] = []
    for own, size, least in zip(part.luma, chroma.shape, (LOOKED_AT_ROWS, LOOKED_AT_COLUMNS), strict=True):
        step = max(size // least, 1)
        first = DRAWN.randrange(step)
        luma.append(slice(own.start + first * own.step, None, step * own.step))
        others.append(slice(first, None, step))
    return PlanePixels((luma[0], luma[1]), (others[0], others[1]))


def _shown(planes: Sequence[Plane], part: PlanePixels, matrix: str, full_range: bool) -> Plane:
    """Brightness, in a part, of the colours that a screen has, for which each channel ends at 0 and 255: where luma is
    black all over, red may be whatever chroma says. Means of pixels would be of no colour that is shown."""
    luma, *others = planes[0][part.luma], *(plane[part.chroma] for plane in planes[1:])
    to_rgb = yuv_to_rgb(matrix, full_range)
    rows, columns = (min(sides) for sides in zip(luma.shape, others[0].shape, strict=True))
    grey = np.empty((rows, columns), np.uint8)
    for begin in range(0, rows, BAND_ROWS):
        end = min(begin + BAND_ROWS, rows)
        band = [np.ascontiguousarray(plane[begin:end, :columns]) for plane in (luma, *others)]
        cv2.cvtColor(cv2.transform(cv2.merge(band), to_rgb), cv2.COLOR_RGB2GRAY, dst=grey[begin:end])
    return grey


def _pattern(luma: Plane) -> NDArray[np.float32]:
    # In whole pixels a cell, which takes a tenth of the time.
    rows, columns = (side // cells * cells or side for side, cells in zip(luma.shape, PATTERN_CELLS, strict=True))
    small = cv2.resize(luma[:rows, :columns], PATTERN_CELLS, interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def _resized(plane: Plane, *, width: int, height: int) -> Plane:
    """`plane` at the given size: averaged where it shrinks, interpolated where it grows (chroma)."""
    rows, columns = plane.shape[:2]
    if (rows, columns) == (height, width):
        return plane
    shrinks = height < rows and width < columns
    method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(plane, (width, height), interpolation=method), np.uint8)


def _expanded(luma: Plane) -> Plane:
    """Limited to full range, rounded to nearest: no level lies within 1/146 of a half. A table takes twice as long."""
    gain = 255 / LUMA_SPAN
    return np.asarray(cv2.addWeighted(luma, gain, luma, 0.0, -LUMA_MIN * gain), np.uint8)


@cache
def yuv_to_rgb(matrix: str, full_range: bool) -> NDArray[np.float32]:
    """(3, 4) affine transform of (Y, U, V, 1) to RGB (ITU-T H.273, section 8.3)."""
    luma_scale = 1.0 if full_range else 255 / LUMA_SPAN
    if matrix == GBR:
        channels = np.array([[0.0, 0.0, 1.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) * luma_scale
        return np.hstack([channels, np.full((3, 1), 0.0 if full_range else -LUMA_MIN * luma_scale)]).astype(np.float32)
    chroma_scale = 1.0 if full_range else 255 / CHROMA_SPAN
    gains = _gains(matrix) * [luma_scale, chroma_scale, chroma_scale]
    offsets = gains @ np.array([0 if full_range else LUMA_MIN, 128, 128])
    return np.hstack([gains, -offsets[:, None]]).astype(np.float32)


def _gains(matrix: str) -> NDArray[np.float64]:
    """(3, 3): luma of 0 to 1 and chroma of -0.5 to 0.5 to RGB of 0 to 1."""
    if matrix == YCGCO:
        return np.array([[1.0, -1.0, 1.0], [1.0, 1.0, 0.0], [1.0, -1.0, -1.0]])
    red, blue = MATRICES[matrix]
    green = 1 - red - blue
    from_u, from_v = 2 * (1 - blue), 2 * (1 - red)
    return np.array([[1.0, 0.0, from_v], [1.0, -from_u * blue / green, -from_v * red / green], [1.0, from_u, 0.0]])
