"""Packets of an MPEG-TS that are as short as can be, for each of which FFmpeg has a buffer of the longest."""

import struct
from functools import cache
from pathlib import Path

import pytest
from media import encode, steady, x264
from ts_tables import TS_PACKET_BYTES, packet, section

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.limits import MIB

MAP_PID, VIDEO_PID, FIRST_PID = 0x1000, 0x100, 0x200
H264_TYPE, AAC_TYPE, PRIVATE_TYPE = 0x1B, 0x0F, 0x06
STREAMS = 30
MANY = 5_500
"""In buffers of 200 KiB they are 1.1 GB, under a decoder's bound."""
MOST_BYTES = 400 * MIB
"""A decoder has 200 MiB of its own libraries, shared with all others."""


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


def most_bytes(pid: int) -> int:
    """Memory of a process that was in use at one time, at most."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith("VmHWM:"))
    return int(line.split()[1]) << 10


@pytest.mark.parametrize("kind", [AAC_TYPE, PRIVATE_TYPE])
def test_a_flood_of_short_packets_costs_little_memory(kind: int) -> None:
    """1 MB of them took 1.1 GB, which the kernel had to clear: 2.6 s of CPU."""
    flood = b"".join([programme_map(kind), *map(short_packet, range(MANY))])
    tables = 3 * TS_PACKET_BYTES
    with Decoder() as decoder:
        seen = decoder.sample(clip()[:tables] + flood + clip()[tables:], profile=BALANCED, seed=b"pes")
        assert decoder.child_pid is not None
        assert most_bytes(decoder.child_pid) < MOST_BYTES
    assert seen.frames
    assert seen.unmoderated == ()
