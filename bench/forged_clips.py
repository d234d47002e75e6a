"""Streams that say of themselves what is not so: recovery points, and the use of tracks."""

import struct
from io import BytesIO
from typing import cast

import av
import numpy as np
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream

from bench.clips import muxed

START_CODE = b"\x00\x00\x01"
ACCESS_UNIT_DELIMITER, SEQUENCE_PARAMETERS, PICTURE_PARAMETERS = 9, 7, 8
"""Types of NAL units (ITU-T H.264, table 7-1)."""
PARAMETER_SETS = {
    "h264": frozenset([SEQUENCE_PARAMETERS, PICTURE_PARAMETERS]),
    "hevc": frozenset([32, 33, 34]),
}
"""The same, and of H.265 (table 7-1), by FFmpeg's name of the codec."""
PADDED, KEYFRAME_PADDED = (0.7, 1.1), 2.5
"""Bytes of pictures with padding, the least and the most, and of keyframes, in times of the largest that is none."""
RECOVERY_POINT = START_CODE + bytes([6, 6, 1, 0b11000100, 0x80])
"""SEI with payload 6, ITU-T H.264, D.1.8: recovery after 0 pictures, exact."""


def with_recovery_points(stream: bytes, every: int) -> bytes:
    """The same H.264 in MPEG-TS, with parameter sets and a recovery point before every so many pictures."""
    with av.open(BytesIO(stream), "r", format="mpegts") as whole:
        video = whole.streams.video[0]
        packets: list[Packet[VideoStream]] = []
        parameters = b""
        for index, packet in enumerate(packet for packet in whole.demux(video) if packet.size):
            data = bytes(packet)
            units = [unit for unit in data.replace(b"\x00" + START_CODE, START_CODE).split(START_CODE) if unit]
            if not index:
                kinds = (SEQUENCE_PARAMETERS, PICTURE_PARAMETERS)
                parameters = b"".join(START_CODE + unit for unit in units if unit[0] & 0x1F in kinds)
            elif index % every == 0:
                others = [unit for unit in units if unit[0] & 0x1F != ACCESS_UNIT_DELIMITER]
                delimiter = START_CODE + bytes([ACCESS_UNIT_DELIMITER, 0xF0])
                coded = b"".join(START_CODE + unit for unit in others)
                forged: Packet[VideoStream] = cast(
                    "Packet[VideoStream]", Packet(b"\x00" + delimiter + parameters + RECOVERY_POINT + coded)
                )
                forged.pts, forged.dts, forged.time_base = packet.pts, packet.dts, packet.time_base
                forged.is_keyframe = True
                packet = forged
            packets.append(packet)
        return muxed(packets, video, "mpegts")


def with_padding(stream: bytes) -> bytes:
    """The same H.264 or H.265 in MPEG-TS, with bytes behind the slices, which decoders skip."""
    random = np.random.default_rng(17)
    with av.open(BytesIO(stream), "r", format="mpegts") as whole:
        video = whole.streams.video[0]
        packets = [packet for packet in whole.demux(video) if packet.size]
        most = max(packet.size for packet in packets if not packet.is_keyframe)
        padded: list[Packet[VideoStream]] = []
        for packet in packets:
            share = KEYFRAME_PADDED if packet.is_keyframe else random.uniform(*PADDED)
            missing = max(round(share * most) - packet.size, 0)
            padded.append(_rewritten(packet, bytes(packet) + random.integers(4, 256, missing, np.uint8).tobytes()))
        return muxed(padded, video, "mpegts")


def without_parameter_sets(segment: bytes) -> bytes:
    """The same H.264 or H.265 in MPEG-TS, with no parameter sets."""
    file = BytesIO()
    with av.open(BytesIO(segment), "r", format="mpegts") as whole, av.open(file, "w", format="mpegts") as output:
        video = whole.streams.video[0]
        name = video.codec_context.name
        # One that knows no parameter sets adds none.
        written = output.add_mux_stream(name, rate=1)
        for packet in whole.demux(video):
            if packet.size:
                units = [unit.rstrip(b"\0") for unit in bytes(packet).split(START_CODE)[1:]]
                kept = [unit for unit in units if _kind(name, unit) not in PARAMETER_SETS[name]]
                bare = _rewritten(packet, b"".join(b"\0" + START_CODE + unit for unit in kept))
                cast("Packet[Stream]", bare).stream = written
                output.mux(bare)
    return file.getvalue()


def _kind(codec: str, unit: bytes) -> int:
    return unit[0] & 0x1F if codec == "h264" else unit[0] >> 1 & 0x3F


def _rewritten(packet: "Packet[VideoStream]", data: bytes) -> "Packet[VideoStream]":
    """A packet of other bytes, with the same times."""
    changed: Packet[VideoStream] = cast("Packet[VideoStream]", Packet(data))
    changed.pts, changed.dts, changed.time_base = packet.pts, packet.dts, packet.time_base
    changed.is_keyframe = packet.is_keyframe
    return changed


def with_chapter_track(first: bytes, second: bytes) -> bytes:
    """An MP4 of the video of both, the second of which names the first its chapter track (ISO/IEC 14496-12, 8.3.3)."""
    whole = BytesIO()
    with (
        av.open(BytesIO(first), "r", format="mp4") as one,
        av.open(BytesIO(second), "r", format="mp4") as other,
        av.open(whole, "w", format="mp4") as output,
    ):
        sources = [(source, source.streams.video[0]) for source in (one, other)]
        targets = [output.add_stream_from_template(video) for _, video in sources]
        for (source, video), target in zip(sources, targets, strict=True):
            for packet in source.demux(video):
                if packet.size:
                    packet.stream = target
                    output.mux(packet)
    data = whole.getvalue()
    start, size = _box(data, 0, len(data), b"moov", 1)
    track, track_size = _box(data, start + 8, start + size, b"trak", 2)
    reference = struct.pack(">I4sI4sI", 20, b"tref", 12, b"chap", 1)
    # The tables of chunks hold, for the media comes before the movie box.
    changed = bytearray(data)
    changed[track + track_size : track + track_size] = reference
    struct.pack_into(">I", changed, track, track_size + len(reference))
    struct.pack_into(">I", changed, start, size + len(reference))
    return bytes(changed)


def _box(data: bytes, position: int, end: int, wanted: bytes, number: int) -> tuple[int, int]:
    """Position and size of the box of that type, the first (1) or a later one, among those from `position` on."""
    while position < end:
        size = int.from_bytes(data[position : position + 4], "big")
        if data[position + 4 : position + 8] == wanted:
            number -= 1
            if not number:
                return position, size
        position += size
    raise ValueError(f"there is no {wanted!r} box")
