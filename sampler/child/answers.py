"""The decoder process's answers, read as those of a process that may have been taken over.

An honest answer to a given input is bounded: `Bounds` has the bounds, and whatever lies outside is
nonsense, a ValueError (or KeyError or TypeError of Python's own).
"""

import math
import mmap
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from config.profiles import SamplingProfile
from sampler.child.wire import MESSAGE_BYTES
from sampler.demux.timeline import JUMP_SECONDS
from sampler.frames import PacketSummary, SampledFrame, SampledSegment, SampleReason, Stretch
from sampler.limits import BATCH_BYTES, BATCH_PICTURES, Limits
from sampler.picture import MATRICES, Picture, Plane
from sampler.plan.budget import BURST_SECONDS
from sampler.plan.coverage import (
    LEADING,
    LEADING_STRETCHES,
    MOST_REFUSED,
    SECOND_VIDEO_STREAM,
    UNDECODABLE,
    UNDECODABLE_STRETCHES,
    longest_gap_seconds,
    unseen_stretches,
    with_refused,
)

CHANNELS = {"yuv": (3, 1), "grey": (1, 1), "rgb": (1, 3)}
"""Planes and channels of each layout."""
FLAT = {name: name for name in (None, "black", "white", "blank")}
"""Values of a picture's `flat`."""
NOTES = frozenset(["second_video_stream", "cover_picture", "pts_jump", "pts_missing", "damaged", "truncated"])
"""Notes on an input, each at most once."""
PICTURE_BYTES = 1024
"""Bytes of JSON for a picture; 550 is the maximum seen."""
SUMMARY_BYTES = 32 << 10
"""Bytes of JSON for all else in a message; 40 for each stretch that the budget refused."""
PACKET_BYTES = 64
"""Bytes of JSON for a packet: a time, a size and its keyframe flag."""
TEXT_CHARACTERS = 500
"""Length of an error's text."""
MAX_PIXEL_ASPECT = 1e6

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
    leading_only: bool = False
    """True if only leading pictures were requested."""

    @property
    def coded(self) -> int:
        """Pictures in the input: each takes a byte at least."""
        return min(self.limits.frames, self.size_bytes)

    @property
    def primers(self) -> int:
        """Pictures in the segment before."""
        return min(self.limits.frames, self.before_bytes)

    @property
    def pictures(self) -> int:
        """Pictures that are taken: each one of the input may answer its own target, and another one's that is damaged
        or on the other side of a cut."""
        return 2 * self.coded

    @property
    def seconds(self) -> float:
        """The longest input: a step of the clock that is longer is bridged (sampler/demux/timeline.py)."""
        return JUMP_SECONDS * (self.coded + 2.0)

    @property
    def message_bytes(self) -> int:
        """JSON of one message."""
        packets = 2 * self.coded * PACKET_BYTES if self.packets else 0
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
        seconds = _number(entry["pts_seconds"], -bounds.seconds, bounds.seconds)
        frame = SampledFrame(
            pts_seconds=seconds,
            late_seconds=_number(entry.get("late_seconds", 0.0), 0.0, JUMP_SECONDS),
            reason=SampleReason(entry["reason"]),
            keyframe=_flag(entry["keyframe"]),
            concealed=_flag(entry["concealed"]),
            replaced=_flag(entry.get("replaced", False)),
            picture=picture,
            flat=FLAT[entry["flat"]],
        )
        frames.append((frame, _number(entry["until_seconds"], seconds, 2 * bounds.seconds)))
    return frames


def _picture(
    stored: dict[str, Any], memory: mmap.mmap, offset: int, limits: Limits, *, kept: bool
) -> tuple[Picture, int]:
    """A picture that begins at `offset`, and where it ends."""
    count, channels = CHANNELS[stored["layout"]]
    shapes = list(zip(stored["columns"], stored["rows"], stored["strides"], strict=True))
    if len(shapes) != count or stored["matrix"] not in MATRICES:
        raise ValueError(f"{len(shapes)} planes, matrix {stored['matrix']}")
    width, height, _ = shapes[0]
    planes: list[Plane] = []
    for columns, rows, stride in shapes:
        smallest = 1 if planes else limits.picture_side_pixels
        _count(columns, smallest, width)
        _count(rows, smallest, height)
        _count(stride, columns * channels, limits.batch_file_bytes)
        if columns * rows > limits.picture_pixels:
            raise ValueError(f"a plane of {columns}×{rows}: expected at most {limits.picture_pixels} pixels")
        flat = np.frombuffer(memory, np.uint8, rows * stride, offset)
        plane = flat.reshape(rows, stride)[:, : columns * channels]
        plane = plane.copy() if kept else plane
        planes.append(plane if channels == 1 else plane.reshape(rows, columns, channels))
        offset += rows * stride
    picture = Picture(
        planes=tuple(planes),
        full_range=_flag(stored["full_range"]),
        matrix=str(stored["matrix"]),
        rotation_degrees=_count(stored["rotation_degrees"], 0, 270) // 90 * 90,
        mirrored=_flag(stored["mirrored"]),
        pixel_aspect=_number(stored["pixel_aspect"], 1 / MAX_PIXEL_ASPECT, MAX_PIXEL_ASPECT),
    )
    return picture, offset


def read_segment(
    done: dict[str, Any],
    frames: list[SampledFrame],
    seen: list[PictureSummary],
    profile: SamplingProfile,
    bounds: Bounds,
    *,
    transfer_seconds: float,
    elapsed_seconds: float,
) -> SampledSegment:
    """All that came of one input.

    Args:
        done: the last message.
        frames: those that are kept.
        seen: one for each picture that was handed over.
        profile: that of the request.
        bounds: of the request.
        transfer_seconds: CPU of the parent.
        elapsed_seconds: since the request was sent; the decoder has one thread, so its CPU took no longer.
    """
    frames_total = _count(done["frames_total"], 1, bounds.coded)
    if len(seen) > 2 * frames_total:
        raise ValueError(f"{len(seen)} pictures were taken of {frames_total}")
    longest = JUMP_SECONDS * (frames_total + 2.0)
    duration = _number(done["duration_seconds"], 0.0, longest)
    # Pictures of GOPs in a strange order may be shown before the first one.
    if not all(-longest <= one.seconds <= duration and one.until_seconds <= 2 * longest for one in seen):
        raise ValueError(f"a picture outside of the {duration} s that the input lasts")
    notes = tuple(done["notes"])
    if not set(notes) <= NOTES or len(set(notes)) < len(notes):
        raise ValueError("a note that there is not")
    clean = sorted((one.seconds, one.until_seconds) for one in seen if not one.concealed)
    first = clean[0][0] if clean else 0.0
    frame_seconds = _number(done["frame_seconds"], 0.0, JUMP_SECONDS)
    leading = _lost(done["leading"], LEADING, LEADING_STRETCHES, -longest, duration)
    most = LEADING_STRETCHES + UNDECODABLE_STRETCHES
    undecodable = _lost(done["undecodable"], UNDECODABLE, most, -longest, duration)
    lost = tuple(sorted([*leading, *undecodable], key=lambda stretch: stretch.start_seconds))
    unmoderated = lost
    if not bounds.leading_only:
        unmoderated = unseen_stretches(
            clean,
            duration_seconds=duration,
            frame_seconds=frame_seconds,
            max_gap_seconds=profile.max_gap_seconds,
            reason=_unseen_reason(notes, concealed=len(clean) < len(seen)),
            lost=lost,
            cut_seconds=max((one.seconds for one in seen if one.cut and one.seconds <= first), default=0.0),
        )
    unmoderated = with_refused(unmoderated, _refused(done["refused"], duration))
    before_seconds = _number(done["before_seconds"], 0.0, JUMP_SECONDS)
    if before_seconds > frame_seconds and not bounds.leading_only:
        before = Stretch(start_seconds=-before_seconds, end_seconds=0.0, reason="no_pictures")
        unmoderated = (before, *unmoderated)
    return SampledSegment(
        frames=tuple(sorted(frames, key=lambda frame: frame.pts_seconds)),
        duration_seconds=duration,
        frames_total=frames_total,
        # Suspects are decoded by themselves first; a run's first packet may be decoded twice.
        frames_decoded=_count(done["frames_decoded"], 0, 4 * (frames_total + bounds.primers)),
        max_gap_seconds=longest_gap_seconds([seconds for seconds, _ in clean], duration),
        unmoderated=unmoderated,
        leading_seconds=_number(done["leading_seconds"], 0.0, 2 * longest),
        macroblocks_left=_number(
            done["macroblocks_left"], 0.0, profile.macroblocks_per_second * max(duration, BURST_SECONDS)
        ),
        cpu_seconds={
            "demux": _number(done["demux_seconds"], 0.0, elapsed_seconds),
            "decode": _number(done["decode_seconds"], 0.0, elapsed_seconds),
            "transfer": transfer_seconds,
        },
        notes=notes,
        packets=_packets(done["packets"], longest, bounds),
    )


def _lost(stretches: Any, reason: str, most: int, earliest: float, latest: float) -> tuple[Stretch, ...]:
    """Stretches of pictures that decoding did not give, ascending and apart."""
    _count(len(stretches), 0, most)
    found = []
    for start, end in stretches:
        begun = _number(start, earliest, latest)
        earliest = _number(end, begun, latest)
        found.append(Stretch(start_seconds=begun, end_seconds=earliest, reason=reason))
    return tuple(found)


def _refused(stretches: Any, duration: float) -> list[tuple[float, float]]:
    """Stretches that the budget refused, ascending and apart."""
    _count(len(stretches), 0, MOST_REFUSED)
    read: list[tuple[float, float]] = []
    for start, end in stretches:
        start = _number(start, read[-1][1] if read else 0.0, duration)
        read.append((start, _number(end, start, duration)))
    return read


def read_text(text: object) -> str:
    """An error's text, short and without what a terminal would obey."""
    return "".join(letter if letter.isprintable() else "?" for letter in str(text)[:TEXT_CHARACTERS])


def _packets(packets: Any, longest: float, bounds: Bounds) -> tuple[PacketSummary, ...]:
    # Two fields, each its own packet, may be one picture.
    _count(len(packets), 0, 2 * bounds.coded if bounds.packets else 0)
    return tuple(
        PacketSummary(
            pts_seconds=_number(seconds, -longest, longest),
            size_bytes=_count(size, 0, bounds.size_bytes),
            keyframe=_flag(keyframe),
        )
        for seconds, size, keyframe in packets
    )


def _number(value: object, least: float, most: float) -> float:
    """A number in [least, most], so a finite one."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"expected a number from {least} to {most}")
    assert math.isfinite(value)
    return float(value)


def _count(value: object, least: int, most: int) -> int:
    """A whole number in [least, most]."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise ValueError(f"expected a whole number from {least} to {most}")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError("expected true or false")
    return value


def _unseen_reason(notes: tuple[str, ...], *, concealed: bool) -> str:
    """Reason of unmoderated stretches of this input, should there be any."""
    if SECOND_VIDEO_STREAM in notes:
        return SECOND_VIDEO_STREAM
    if concealed:
        return "concealed"
    return UNDECODABLE if "damaged" in notes else "gap"
