"""Packets of an MPEG-TS that are as short as can be, for each of which FFmpeg has a buffer of the longest."""

import struct
from functools import cache

from media import encode, steady, x264
from ts_tables import TS_PACKET_BYTES, packet, section

MAP_PID, VIDEO_PID, FIRST_PID = 0x1000, 0x100, 0x200
H264_TYPE, AAC_TYPE, PRIVATE_TYPE = 0x1B, 0x0F, 0x06
STREAMS = 30
TABLES_BYTES = 3 * TS_PACKET_BYTES
"""Bytes of a clip before its pictures."""


@cache
def clip() -> bytes:
    return encode(x264(bframes=0), steady(50))


def programme_map(kind: int) -> bytes:
    """The clip's video, and other streams of one type (ITU-T H.222.0, 2.4.4.8)."""
    named = [(H264_TYPE, VIDEO_PID), *((kind, FIRST_PID + number) for number in range(STREAMS))]
    entries = b"".join(struct.pack(">BHH", type_, 0xE000 | pid, 0xF000) for type_, pid in named)
    return packet(MAP_PID, section(2, 1, struct.pack(">HH", 0xE000 | VIDEO_PID, 0xF000) + entries))


def short_packet(number: int) -> bytes:
    """A PES packet of one byte that does not tell its size (2.4.3.7)."""
    content = b"\0\0\1\xc0\0\0\x80\0\0\xaa"
    filled = TS_PACKET_BYTES - 4 - len(content)
    head = struct.pack(">BHB", 0x47, 0x4000 | FIRST_PID + number % STREAMS, 0x30 | number // STREAMS % 16)
    return head + bytes([filled - 1, 0]).ljust(filled, b"\xff") + content


def with_short_packets(count: int, kind: int) -> bytes:
    """A clip of 2 s with so many of them before its pictures."""
    flood = b"".join([programme_map(kind), *map(short_packet, range(count))])
    return clip()[:TABLES_BYTES] + flood + clip()[TABLES_BYTES:]
