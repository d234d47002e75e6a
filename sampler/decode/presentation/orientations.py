"""Orientations in which players show a picture. Runs in the decoder child.

Browsers obey the container alone, Firefox without its mirroring; the ffmpeg program and mpv what pictures carry
themselves, before the container.
"""

import struct
from collections.abc import Collection
from typing import cast

from av.video.frame import VideoFrame

from sampler.demux.mp4.track_headers import AS_STORED, DisplayMatrix
from sampler.picture import Orientation

NINE = struct.Struct("=9i")
"""Rows of a 3×3 matrix: a, b, u, c, d, v, x, y, w (ISO/IEC 14496-12, 6.2.2)."""
SLANT = 1 / 256
"""Tangent of the angle to a quarter turn up to which (<=) a picture is shown so: 0.2 degrees. Cameras write whole
quarters; by half a degree the ffmpeg program shows some mirrored pictures upside down."""


class Orientations:
    """Those of one video track."""

    def __init__(self, matrices: Collection[DisplayMatrix]) -> None:
        """Takes the container's; several: players take one or another."""
        self._is_certain = len({_orientation(matrix) for matrix in matrices}) == 1
        self._container = next(iter(matrices))
        self._is_slanted = any(map(_is_slanted, matrices))

    def of(self, frame: VideoFrame) -> list[Orientation]:
        """At most three; the first is the one that FFmpeg gives."""
        container = _orientation(self._container)
        upright = container._replace(mirrored=False)
        return list(dict.fromkeys([_orientation(_own_matrix(frame)), container, upright]))

    def are_unknown(self, frame: VideoFrame) -> bool:
        """True if the sides of the picture are to lie along neither axis of the screen, or it cannot be told which."""
        return not self._is_certain or self._is_slanted or _is_slanted(_own_matrix(frame))


def _own_matrix(frame: VideoFrame) -> DisplayMatrix:
    """That of the picture's own data, or else the container's."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return AS_STORED
    a, b, _, c, d, *_ = NINE.unpack(bytes(cast(memoryview, side_data))[: NINE.size])
    return DisplayMatrix(a, b, c, d)


def _is_slanted(matrix: DisplayMatrix) -> bool:
    return any(min(abs(x), abs(y)) > SLANT * max(abs(x), abs(y)) for x, y in (matrix[:2], matrix[2:]))


def _orientation(matrix: DisplayMatrix) -> Orientation:
    """The nearest quarter turn, and whether the picture is mirrored first."""
    a, b, c, d = matrix
    mirrored = a * d - b * c < 0
    if mirrored:
        # Exchanging left and right first negates a and b.
        a, b = -a, -b
    if abs(a) >= abs(b):
        return Orientation(0 if a >= 0 else 180, mirrored)
    return Orientation(270 if b > 0 else 90, mirrored)
