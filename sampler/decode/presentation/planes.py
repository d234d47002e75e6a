"""Planes of a decoded picture, as 8-bit YUV, grey or RGB. Runs in the decoder child."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from av.video.format import VideoFormat
from av.video.frame import VideoFrame

from sampler.decode.presentation.view import WHOLE, View
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


def store(
    frame: VideoFrame, *, pixel_aspect: float, view: View = WHOLE
) -> tuple[StoredPicture, tuple[memoryview, ...]]:
    """The picture's description, and its planes as buffers (`rows` × `strides` bytes).

    What is not 8-bit planar YUV or grey becomes so (10 and 12 bit, by swscale), RGB of any kind becomes packed RGB. The
    transfer function is left alone: HDR looks pale, as on a screen that does not know it.
    """
    full_range = frame.color_range == FULL_RANGE or frame.format.name.startswith("yuvj")
    matrix = matrix_of(frame.colorspace, rows=frame.height)
    if frame.format.name not in LAYOUTS:
        # One thread: swscale would start more, which the child's confinement denies.
        frame = frame.reformat(format=_eight_bit(frame.format), threads=1)
    layout = LAYOUTS[frame.format.name]
    shown = [
        view.plane(frame, columns=plane.width, rows=plane.height, stride=plane.line_size) for plane in frame.planes
    ]
    described = StoredPicture(
        layout=layout,
        columns=tuple(plane.columns for plane in shown),
        rows=tuple(plane.rows for plane in shown),
        strides=tuple(plane.stride for plane in shown),
        full_range=full_range or layout == "rgb",
        matrix=matrix if view.matrix is None else view.matrix,
        rotation_degrees=view.orientation.rotation_degrees,
        mirrored=view.orientation.mirrored,
        pixel_aspect=pixel_aspect,
    )
    buffers = tuple(
        memoryview(plane)[part.begin :][: part.rows * part.stride]
        for plane, part in zip(frame.planes, shown, strict=True)
    )
    return described, buffers


def matrix_of(number: int, *, rows: int) -> str:
    """Name of a matrix by its number; of a picture with so many rows that has none that is known, the usual one."""
    return MATRICES.get(number, "bt709" if rows >= HD_LINES else "bt601")


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
