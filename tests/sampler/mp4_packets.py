"""Packets of fragmented MP4s, taken apart and put together otherwise than any encoder does."""

import io
from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import NamedTuple

import av
from media import CLOCK, FRAME_TICKS
from skipped_slices import joined, units

FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}
LENGTH_BYTES = 4
"""Of a picture's length in the index of a superframe."""


class Coded(NamedTuple):
    """A packet."""

    data: bytes
    keyframe: bool


def coded_in(data: bytes) -> list[Coded]:
    """The video packets of an input, in decoding order."""
    with av.open(io.BytesIO(data)) as source:
        return [Coded(bytes(packet), packet.is_keyframe) for packet in source.demux(video=0) if packet.size]


def mp4_of(packets: Sequence[Coded], like: bytes) -> bytes:
    """A fragmented MP4 of packets, each shown for `media.FRAME_TICKS`, with the sample entry of another one."""
    file = io.BytesIO()
    with av.open(io.BytesIO(like)) as source, av.open(file, "w", format="mp4", options=FRAGMENTED) as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        for number, coded in enumerate(packets):
            packet = av.Packet(coded.data)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, CLOCK), coded.keyframe
            packet.pts = packet.dts = number * FRAME_TICKS
            packet.duration = FRAME_TICKS
            output.mux(packet)
    return file.getvalue()


def repacked(data: bytes, change: Callable[[int, list[bytes]], list[bytes]]) -> bytes:
    """A fragmented MP4 with the NAL units of each picture changed; [] leaves the picture out."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format="mp4", options=FRAGMENTED) as output:
        stream = source.streams.video[0]
        written = output.add_stream_from_template(stream)
        for index, packet in enumerate(packet for packet in source.demux(stream) if packet.size):
            if coded := change(index, units(bytes(packet))):
                one = av.Packet(joined(coded))
                one.pts, one.dts, one.time_base = packet.pts, packet.dts, packet.time_base
                one.duration, one.stream, one.is_keyframe = packet.duration, written, packet.is_keyframe
                output.mux(one)
    return file.getvalue()


def superframe(*pictures: bytes) -> bytes:
    """Pictures of VP9 in one packet, with their index (VP9 bitstream specification, annex B)."""
    mark = bytes([0xC0 | (LENGTH_BYTES - 1) << 3 | len(pictures) - 1])
    index = b"".join(len(picture).to_bytes(LENGTH_BYTES, "little") for picture in pictures)
    return b"".join(pictures) + mark + index + mark
