"""Planes of a decoded picture, as 8-bit YUV, grey or RGB. Runs in the decoder child."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame
from av.video.plane import VideoPlane

from sampler.picture import YCGCO, Plane

LAYOUTS = {
    "yuv420p": "yuv",
    "yuvj420p": "yuv",
    "yuv422p": "yuv",
    "yuvj422p": "yuv",
    "yuv444p": "yuv",
    "yuvj444p": "yuv",
    "yuv440p": "yuv",
    "yuvj440p": "yuv",
    "gray": "grey",
    "rgb24": "rgb",
}
"""Pixel formats that are handed over as they are."""
FULL_RANGE = 2
"""AVCOL_RANGE_JPEG."""
MATRICES = {1: "bt709", 4: "fcc", 5: "bt601", 6: "bt601", 7: "smpte240m", 8: YCGCO, 9: "bt2020", 10: "bt2020"}
"""AVColorSpace (ITU-T H.273, table 4) to the names of sampler/picture.py."""
NO_MATRICES = frozenset([0, 2, 3])
"""Those by which a stream says nothing: RGB, which has none where it is not YUV, unspecified, reserved."""
HD_LINES = 720
"""Height from which on players take BT.709 where the stream has no matrix; below they take BT.601."""
DISPLAY_MATRIX = struct.Struct("=9i")
"""Rows of a 3×3 matrix: a, b, u, c, d, v, x, y, w (ISO/IEC 14496-12, 6.2.2)."""


@dataclass(frozen=True, kw_only=True)
class StoredPicture:
    """Layout of the planes of one picture in memory, one after the other; `rows[i]` rows of `strides[i]` bytes each."""

    layout: str
    columns: tuple[int, ...]
    """Pixels in a row of each plane; the rest of a row is padding."""
    rows: tuple[int, ...]
    strides: tuple[int, ...]
    full_range: bool
    matrix: str
    rotation_degrees: int = 0
    mirrored: bool = False
    pixel_aspect: float = 1.0


def store(frame: VideoFrame, *, pixel_aspect: float) -> tuple[StoredPicture, tuple[VideoPlane, ...]]:
    """The picture's description, and its planes as buffers (`rows` × `strides` bytes).

    What is not 8-bit planar YUV or grey becomes so (10 and 12 bit, by swscale), RGB of any kind becomes packed RGB. The
    transfer function is left alone: HDR looks pale, as on a screen that does not know it.
    """
    full_range = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    matrix = MATRICES.get(frame.colorspace, "bt709" if frame.height >= HD_LINES else "bt601")
    rotation, mirrored = _orientation(frame)
    if frame.format.name not in LAYOUTS:
        # One thread: swscale would start more, which the child's confinement denies.
        frame = frame.reformat(format=_eight_bit(frame.format), threads=1)
    layout = LAYOUTS[frame.format.name]
    planes = frame.planes
    described = StoredPicture(
        layout=layout,
        columns=tuple(plane.width for plane in planes),
        rows=tuple(plane.height for plane in planes),
        strides=tuple(plane.line_size for plane in planes),
        full_range=full_range or layout == "rgb",
        matrix=matrix,
        rotation_degrees=rotation,
        mirrored=mirrored,
        pixel_aspect=pixel_aspect,
    )
    return described, planes


def _eight_bit(wide: VideoFormat) -> str:
    """The format to convert to without any change of range: swscale takes all grey for full range, so that grey which
    became YUV would be squeezed into the limited one."""
    if wide.is_rgb:
        return "rgb24"
    return "gray" if len(wide.components) == 1 else "yuv420p"


def views_of(picture: StoredPicture, buffers: Sequence[memoryview]) -> list[Plane]:
    """The planes as arrays: (rows, columns), or (rows, columns, 3) of RGB."""
    planes: list[Plane] = []
    for buffer, columns, rows, stride in zip(buffers, picture.columns, picture.rows, picture.strides, strict=True):
        lines = np.frombuffer(buffer, np.uint8, rows * stride).reshape(rows, stride)
        planes.append(
            lines[:, : 3 * columns].reshape(rows, columns, 3) if picture.layout == "rgb" else lines[:, :columns]
        )
    return planes


def display_matrix(frame: VideoFrame) -> tuple[int, int, int, int] | None:
    """(a, b, c, d): players show the pixel (x, y) at (ax + cy, bx + dy), times 2 ** -16. None: where it is."""
    side_data = frame.side_data.get("DISPLAYMATRIX")
    if side_data is None:
        return None
    a, b, _, c, d, *_ = DISPLAY_MATRIX.unpack(bytes(cast(memoryview, side_data))[: DISPLAY_MATRIX.size])
    return a, b, c, d


def _orientation(frame: VideoFrame) -> tuple[int, bool]:
    """Degrees counter-clockwise, to the nearest quarter turn, and whether the picture is mirrored first."""
    matrix = display_matrix(frame)
    if matrix is None:
        return 0, False
    a, b, c, d = matrix
    mirrored = a * d - b * c < 0
    if mirrored:
        # Exchanging left and right first negates a and b.
        a, b = -a, -b
    quarter = {(True, False): 0, (False, True): 180}
    if abs(a) >= abs(b):
        return quarter[(a >= 0, a < 0)], mirrored
    return (270 if b > 0 else 90), mirrored
