"""What the decoder child says, read as what it may be: words of a process that was taken over."""

import fcntl
import mmap
import socket
from typing import Any, NamedTuple

import numpy as np

from config.profiles import SamplingProfile
from sampler import wire
from sampler.coverage import SECOND_VIDEO_STREAM, longest_gap_seconds, unseen_stretches
from sampler.frames import PacketSummary, SampledFrame, SampledSegment, SampleReason, Stretch
from sampler.picture import MATRICES, Picture, Plane

CHANNELS = {"yuv": (3, 1), "grey": (1, 1), "rgb": (1, 3)}
"""Planes and channels of each layout."""
SEALS = fcntl.F_SEAL_SHRINK
"""Without it a hostile child could take the memory away while the parent reads it (SIGBUS)."""
FILES = range(2)
"""Memory files that a child writes to by turns (sampler/outbox.py)."""

Memory = dict[int, mmap.mmap]
"""By file, as far as the child has told of it."""


FLAT = {name: name for name in (None, "black", "white", "blank")}
"""What a picture may be said to be."""


class Seen(NamedTuple):
    """What is kept of a picture when the picture itself is gone."""

    seconds: float
    until_seconds: float
    """It speaks for pictures up to there."""
    concealed: bool


def receive_answer(sock: socket.socket, memory: Memory) -> dict[str, Any]:
    """One message; what is new of the child's memory is mapped for reading."""
    message, descriptors = wire.receive(sock)
    try:
        if descriptors:
            if message.get("file") not in FILES:
                raise wire.WireError("memory of no file that there is")
            if fcntl.fcntl(descriptors[0], fcntl.F_GET_SEALS) & SEALS != SEALS:
                raise wire.WireError("the memory may shrink")
            memory[message["file"]] = mmap.mmap(descriptors[0], 0, prot=mmap.PROT_READ)
    except (ValueError, TypeError) as error:
        raise wire.WireError("the memory is empty") from error
    finally:
        wire.close_all(descriptors)
    return message


def read_frames(message: dict[str, Any], memory: Memory, *, kept: bool) -> list[tuple[SampledFrame, float]]:
    """The pictures of one message, and until when each speaks for those after it.

    Args:
        message: of any type.
        memory: as far as it is mapped.
        kept: whether the pictures are for keeping. Others are good until the child is told to go on.

    Raises whatever Python raises where the child lies about them.
    """
    frames = []
    for entry in message.get("pictures", ()):
        picture = _picture(entry["picture"], memory[message["file"]], entry["offset"], kept=kept)
        frame = SampledFrame(
            pts_seconds=float(entry["pts_seconds"]),
            late_seconds=float(entry.get("late_seconds", 0.0)),
            reason=SampleReason(entry["reason"]),
            keyframe=bool(entry["keyframe"]),
            concealed=bool(entry["concealed"]),
            replaced=bool(entry.get("replaced")),
            picture=picture,
            flat=FLAT[entry["flat"]],
        )
        frames.append((frame, float(entry["until_seconds"])))
    return frames


def _picture(stored: dict[str, Any], memory: mmap.mmap, offset: int, *, kept: bool) -> Picture:
    count, channels = CHANNELS[stored["layout"]]
    planes: list[Plane] = []
    for columns, rows, stride in zip(stored["columns"], stored["rows"], stored["strides"], strict=True):
        if not 0 < columns * channels <= stride or rows <= 0 or offset < 0:
            raise ValueError(f"a plane of {columns}×{rows}, {stride} bytes a row")
        flat = np.frombuffer(memory, np.uint8, rows * stride, offset)
        plane = flat.reshape(rows, stride)[:, : columns * channels]
        plane = plane.copy() if kept else plane
        planes.append(plane if channels == 1 else plane.reshape(rows, columns, channels))
        offset += rows * stride
    if len(planes) != count or stored["matrix"] not in MATRICES:
        raise ValueError(f"{len(planes)} planes, matrix {stored['matrix']}")
    return Picture(
        planes=tuple(planes),
        full_range=bool(stored["full_range"]),
        matrix=str(stored["matrix"]),
        rotation_degrees=int(stored["rotation_degrees"]) // 90 * 90 % 360,
        mirrored=bool(stored["mirrored"]),
        pixel_aspect=float(stored["pixel_aspect"]),
    )


def read_segment(
    done: dict[str, Any],
    frames: list[SampledFrame],
    seen: list[Seen],
    profile: SamplingProfile,
    transfer_seconds: float,
) -> SampledSegment:
    duration = float(done["duration_seconds"])
    notes = tuple(str(note) for note in done["notes"])
    clean = sorted((one.seconds, one.until_seconds) for one in seen if not one.concealed)
    frame_seconds = float(done["frame_seconds"])
    unmoderated = unseen_stretches(
        clean,
        duration_seconds=duration,
        frame_seconds=frame_seconds,
        max_gap_seconds=profile.max_gap_seconds,
        reason=_unseen_reason(notes, concealed=len(clean) < len(seen)),
    )
    before_seconds = float(done["before_seconds"])
    if before_seconds > frame_seconds:
        before = Stretch(start_seconds=-before_seconds, end_seconds=0.0, reason="no_pictures")
        unmoderated = (before, *unmoderated)
    return SampledSegment(
        frames=tuple(sorted(frames, key=lambda frame: frame.pts_seconds)),
        duration_seconds=duration,
        frames_total=int(done["frames_total"]),
        frames_decoded=int(done["frames_decoded"]),
        max_gap_seconds=longest_gap_seconds([seconds for seconds, _ in clean], duration),
        unmoderated=unmoderated,
        cpu_seconds={
            "demux": float(done["demux_seconds"]),
            "decode": float(done["decode_seconds"]),
            "transfer": transfer_seconds,
        },
        notes=notes,
        packets=tuple(
            PacketSummary(pts_seconds=float(seconds), size_bytes=int(size), keyframe=bool(keyframe))
            for seconds, size, keyframe in done["packets"]
        ),
    )


def _unseen_reason(notes: tuple[str, ...], *, concealed: bool) -> str:
    """Why a stretch of this input is unmoderated, should there be one."""
    if SECOND_VIDEO_STREAM in notes:
        return SECOND_VIDEO_STREAM
    if concealed:
        return "concealed"
    return "undecodable" if "damaged" in notes else "gap"
