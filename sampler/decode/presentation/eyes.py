"""Parts of a picture that are one for each eye (H.264, D.2.26; `st3d` of Spherical Video V2). Runs in the decoder
child.

Televisions and headsets show one part to each eye; browsers, and all that do not know of it, show the whole picture.
"""

from typing import Final, cast

from av.video.frame import VideoFrame

from sampler.decode.presentation.view import FIELDS, View
from sampler.demux.codecs.render_sizes import RenderSize

SIDE_BY_SIDE, TOP_AND_BOTTOM, ROW_BY_ROW = 1, 2, 6
"""AVStereo3DType."""
BLENDED: Final = frozenset([4, 5, 7])
"""The same of those whose parts are not sampled by themselves: a checkerboard, and column by column."""


def eyes_of(frame: VideoFrame) -> tuple[list[View], bool]:
    """The view of each eye, where that is a part of the picture, and whether these are all of its parts."""
    kind = _packing(frame)
    width, height = frame.width, frame.height
    if kind == SIDE_BY_SIDE:
        half = RenderSize(width // 2, height)
        return [View(part=half), View(part=half, corner=(width - half.width, 0))], True
    if kind == TOP_AND_BOTTOM:
        half = RenderSize(width, height // 2)
        return [View(part=half), View(part=half, corner=(0, height - half.height))], True
    if kind == ROW_BY_ROW:
        return [View(field=field) for field in FIELDS], True
    return [], kind not in BLENDED


def is_all_around(frame: VideoFrame) -> bool:
    """True if players that know of it show a part of the picture at a time, where a viewer looks."""
    return "SPHERICAL" in frame.side_data


def _packing(frame: VideoFrame) -> int:
    """AVStereo3DType, an int at the beginning of AVStereo3D; 0: one picture for both eyes."""
    side_data = frame.side_data.get("STEREO3D")
    return 0 if side_data is None else int.from_bytes(bytes(cast(memoryview, side_data))[:4], "little")
