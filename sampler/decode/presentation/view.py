"""Ways in which players show one decoded picture. Runs in the decoder child."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import cv2
import numpy as np
from av.video.frame import VideoFrame

from sampler.demux.codecs.render_sizes import RenderSize
from sampler.demux.mp4.aperture import MOST_LEFT_OUT
from sampler.picture import STORED, Orientation

FIELDS = (0, 1)
"""The first row of each."""
FIELD_CELLS = (16, 16)
"""Columns and rows by which fields are compared: as fine as PDQ is."""
FIELD_CHANGE = 0.17
"""Mean difference of these, in parts of the picture's contrast, over which (>) its two fields are two pictures. Seven
photographs that move by 4 of 640 pixels from one to the other have 0.07 to 0.15, and PDQ of both 8 to 20 bits; by 16,
0.21 to 0.46, and 24 to 34. Those with another picture or with noise in the other field that move PDQ by over 31 bits
have 0.18 and more."""


BYTES_A_PIXEL = {"rgb24": 3}
"""By formats that are handed over in one plane; each plane of others has one."""


class View(NamedTuple):
    """A way from a decoded picture to one that is shown."""

    orientation: Orientation = STORED
    part: RenderSize | None = None
    """Only so much of it, from `corner` on; None: all."""
    corner: tuple[int, int] = (0, 0)
    """Columns of the picture to the left of that part, and rows above it."""
    field: int | None = None
    """Only every second row of it, from this one on; None: all."""
    matrix: str | None = None
    """That by which its colours are shown, as in `Picture`; None: its own."""

    def plane(self, frame: VideoFrame, *, columns: int, rows: int, stride: int) -> "ShownPlane":
        """The part of one of a frame's planes, of whose rows each has so many bytes."""
        if self.field is not None:
            # The last row of the second field would end behind the plane.
            return ShownPlane(columns, rows // 2 - self.field, 2 * stride, self.field * stride)
        if self.part is None:
            return ShownPlane(columns, rows, stride, 0)
        width, height = self.part
        left, top = columns * self.corner[0] // frame.width, rows * self.corner[1] // frame.height
        # The last row would end behind the plane.
        kept = min(-(-rows * height // frame.height), rows - top - (left > 0))
        begin = top * stride + left * BYTES_A_PIXEL.get(frame.format.name, 1)
        return ShownPlane(min(-(-columns * width // frame.width), columns - left), kept, stride, begin)


class ShownPlane(NamedTuple):
    """The part of a plane that is shown."""

    columns: int
    rows: int
    stride: int
    """Bytes from one row to the next."""
    begin: int
    """Bytes before the first row."""


WHOLE = View()


def views_of(
    frame: VideoFrame,
    orientations: list[Orientation],
    parts: set[RenderSize],
    eyes: Sequence[View],
    matrices: Sequence[str],
    *,
    least_rows: int,
    most: int,
) -> tuple[list[View], bool]:
    """The first `most` views, and whether they are all.

    Players show a part where there is one, or all. Those that part a picture into its fields, as television does, show
    one after the other, and those for two eyes a part to each.

    Args:
        frame: the picture.
        orientations: its own; the first is that of the first view, of all of the picture.
        parts: those that may be shown.
        eyes: what each eye may be shown.
        matrices: those by which some players show its colours in place of its own.
        least_rows: of a field.
        most: views.
    """
    is_high = frame.height // len(FIELDS) > least_rows
    fields = FIELDS if frame.interlaced_frame and is_high and _are_two_pictures(frame) else ()
    pieces = [WHOLE, *(View(part=part) for part in sorted(parts)), *(View(field=field) for field in fields)]
    pieces += eyes
    pieces += [piece._replace(matrix=matrix) for matrix, piece in product(matrices, pieces)]
    found = [piece._replace(orientation=one) for piece, one in product(dict.fromkeys(pieces), orientations)]
    return found[:most], len(found) <= most


def crops(size: RenderSize, frame: VideoFrame) -> bool:
    """True if a frame has so large a part, and that is another picture than all of it."""
    sides = ((frame.width, size.width), (frame.height, size.height))
    is_part = all(kept <= side for side, kept in sides)
    return is_part and any(side - kept > side * MOST_LEFT_OUT for side, kept in sides)


def _are_two_pictures(frame: VideoFrame) -> bool:
    component = frame.format.components[0]
    plane = frame.planes[component.plane]
    samples = np.frombuffer(memoryview(plane), np.dtype(np.uint16 if component.bits > 8 else np.uint8))
    luma = samples.reshape(plane.height, -1)[:, : plane.width]
    upper, lower = (
        cv2.resize(luma[field::2], FIELD_CELLS, interpolation=cv2.INTER_AREA).astype(np.float32) for field in FIELDS
    )
    lesser, both = min(float(upper.std()), float(lower.std())), float(((upper + lower) / 2).std())
    contrast = max(lesser, both, 2.0 ** (component.bits - 8))
    return bool(np.abs(upper - lower).mean() > FIELD_CHANGE * contrast)
