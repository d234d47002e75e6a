"""The decoder process's answers, read as those of a process that may have been taken over.

An honest answer to a given input is bounded: `Bounds` has the bounds, and whatever lies outside is
nonsense, a ValueError (or KeyError or TypeError of Python's own).
"""

import mmap
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np

from sampler.child.checks import checked_count, checked_flag, checked_number
from sampler.child.wire import MESSAGE_BYTES
from sampler.demux.timeline import JUMP_SECONDS
from sampler.demux.video_streams import SAMPLED_TRACKS
from sampler.frames import HashedOnly, SampledFrame, SampledSegment, SampleReason
from sampler.limits import BATCH_BYTES, BATCH_PICTURES, Limits
from sampler.picture import GBR, MATRICES, VIEWS, YCGCO, Orientation, Picture, Plane

CHANNELS = {"yuv": (3, 1), "grey": (1, 1), "rgb": (1, 3)}
"""Planes and channels of each layout."""
FLAT = {name: name for name in (None, "black", "white", "blank")}
"""Values of a picture's `flat`."""
HASHED_ONLY: dict[str | None, HashedOnly | None] = {None: None, **{str(reason): reason for reason in HashedOnly}}
"""Values of its `hashed_only`."""
PICTURE_BYTES = 1024
"""Bytes of JSON for a picture; 550 is the maximum seen."""
SUMMARY_BYTES = SAMPLED_TRACKS * (48 << 10)
"""Bytes of JSON for all else in a message; 40 for each stretch that the budget refused or the decoder lost."""
PACKET_BYTES = 64
"""Bytes of JSON for a packet: a time, a size and its keyframe flag."""
TEXT_CHARACTERS = 500
"""Length of an error's text."""
MAX_PIXEL_ASPECT = 1e6
ORIGIN_SECONDS = 1e11
"""Bound of a container's clock, in thousands of years: some count from 1970."""

Memory = dict[int, mmap.mmap]
"""By file, each mapped once pictures are in it."""


class PictureSummary(NamedTuple):
    """The part of a picture that is kept when its pixels are gone."""

    seconds: float
    until_seconds: float
    """It speaks for pictures up to there."""
    concealed: bool
    cut: bool
    """It is beside a cut."""
    track: int
    """Number of its video track."""
    shape: tuple[Orientation, int, int]
    """Its orientation, width and height."""

    @classmethod
    def of(cls, frame: SampledFrame, until_seconds: float) -> Self:
        """The summary of a picture that speaks for others up to `until_seconds`."""
        picture, is_cut = frame.picture, frame.reason is SampleReason.CUT
        shape = (picture.orientation, picture.width, picture.height)
        return cls(frame.pts_seconds, until_seconds, frame.concealed, is_cut, frame.track, shape)


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """Bounds of an honest answer to one request."""

    limits: Limits
    size_bytes: int
    """Size of the input."""
    packets: bool
    """True if the table of packets was requested."""
    before_bytes: int = 0
    """Size of the segment before."""
    first: SampledSegment | None = None
    """The result before, if only pictures that lean on the segment before were requested."""

    @property
    def coded(self) -> int:
        """Pictures in one track of the input: each takes a byte at least."""
        return min(self.limits.frames, self.size_bytes)

    @property
    def primers(self) -> int:
        """Pictures in the segment before."""
        return min(self.limits.frames, self.before_bytes)

    @property
    def pictures(self) -> int:
        """Pictures that are taken: each one of the input may answer its own target, and another one's that is damaged
        or on the other side of a cut, in each way that a player shows it."""
        return SAMPLED_TRACKS * 2 * VIEWS * self.coded

    @property
    def seconds(self) -> float:
        """The longest input: a step of the clock that is longer is bridged (sampler/demux/timeline.py)."""
        return JUMP_SECONDS * (self.coded + 2.0)

    @property
    def message_bytes(self) -> int:
        """JSON of one message."""
        packets = SAMPLED_TRACKS * 2 * self.coded * PACKET_BYTES if self.packets else 0
        return min(SUMMARY_BYTES + BATCH_PICTURES * PICTURE_BYTES + packets, MESSAGE_BYTES)


def read_frames(
    message: dict[str, Any], memory: Memory, bounds: Bounds, *, kept: bool
) -> list[tuple[SampledFrame, float]]:
    """The pictures of one message, and until when each speaks for those after it.

    Args:
        message: of any type.
        memory: mapped as far as the message has pictures.
        bounds: of the request that it answers.
        kept: whether the pictures are for keeping. Others are good until the decoder is let go on.

    Raises whatever Python raises where the decoder lies about them.
    """
    entries = message.get("pictures", [])
    if not isinstance(entries, list) or len(entries) > BATCH_PICTURES:
        raise ValueError(f"pictures of a message: expected a list of at most {BATCH_PICTURES}")
    frames = []
    offset = 0
    for entry in entries:
        if offset >= BATCH_BYTES:
            raise ValueError("more pictures in a message than a batch holds")
        picture, offset = _picture(entry["picture"], memory[message["file"]], offset, bounds.limits, kept=kept)
        seconds = checked_number(entry["pts_seconds"], -bounds.seconds, bounds.seconds)
        frame = SampledFrame(
            pts_seconds=seconds,
            late_seconds=checked_number(entry.get("late_seconds", 0.0), 0.0, JUMP_SECONDS),
            reason=SampleReason(entry["reason"]),
            keyframe=checked_flag(entry["keyframe"]),
            concealed=checked_flag(entry["concealed"]),
            hashed_only=HASHED_ONLY[entry.get("hashed_only")],
            picture=picture,
            flat=FLAT[entry["flat"]],
            track=checked_count(entry.get("track", 0), 0, SAMPLED_TRACKS - 1),
        )
        frames.append((frame, checked_number(entry["until_seconds"], seconds, 2 * bounds.seconds)))
    return frames


def _picture(
    stored: dict[str, Any], memory: mmap.mmap, offset: int, limits: Limits, *, kept: bool
) -> tuple[Picture, int]:
    """A picture that begins at `offset`, and where it ends."""
    count, channels = CHANNELS[stored["layout"]]
    shapes = list(zip(stored["columns"], stored["rows"], stored["strides"], strict=True))
    if len(shapes) != count or stored["matrix"] not in (*MATRICES, YCGCO, GBR):
        raise ValueError(f"{len(shapes)} planes, matrix {stored['matrix']}")
    width, height, _ = shapes[0]
    planes: list[Plane] = []
    for columns, rows, stride in shapes:
        smallest = 1 if planes else limits.picture_side_pixels
        checked_count(columns, smallest, width)
        checked_count(rows, smallest, height)
        checked_count(stride, columns * channels, limits.batch_file_bytes)
        if columns * rows > limits.picture_pixels:
            raise ValueError(f"a plane of {columns}×{rows}: expected at most {limits.picture_pixels} pixels")
        flat = np.frombuffer(memory, np.uint8, rows * stride, offset)
        plane = flat.reshape(rows, stride)[:, : columns * channels]
        plane = plane.copy() if kept else plane
        planes.append(plane if channels == 1 else plane.reshape(rows, columns, channels))
        offset += rows * stride
    picture = Picture(
        planes=tuple(planes),
        full_range=checked_flag(stored["full_range"]),
        matrix=str(stored["matrix"]),
        rotation_degrees=checked_count(stored["rotation_degrees"], 0, 270) // 90 * 90,
        mirrored=checked_flag(stored["mirrored"]),
        pixel_aspect=checked_number(stored["pixel_aspect"], 1 / MAX_PIXEL_ASPECT, MAX_PIXEL_ASPECT),
    )
    return picture, offset


def read_text(text: object) -> str:
    """An error's text, short and without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:TEXT_CHARACTERS])
