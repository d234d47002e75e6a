"""Tables of programmes that change all the time, and that no player needs."""

import struct
from collections.abc import Callable, Sequence
from functools import cache

import pytest
from media import encode, steady, x264

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.errors import TooLargeError

TS_PACKET_BYTES = 188
PAT_PID, SDT_PID, MAP_PID = 0, 0x11, 0x1000
PAT_TABLE, SDT_TABLE = 0x00, 0x42
PROGRAMMES, SERVICES = 40, 16
"""As many as a packet has room for."""
MANY = 300
REPEATS = 2000


@cache
def clip() -> bytes:
    return encode(x264(bframes=0), steady(50))


def with_packets(flood: Sequence[bytes], data: bytes) -> bytes:
    """The MPEG-TS with more packets in its middle."""
    middle = len(data) // (2 * TS_PACKET_BYTES) * TS_PACKET_BYTES
    return data[:middle] + b"".join(flood) + data[middle:]


def checksum(data: bytes) -> bytes:
    """CRC of a table (ITU-T H.222.0, annex A)."""
    found = 0xFFFFFFFF
    for octet in data:
        found ^= octet << 24
        for _ in range(8):
            found = (found << 1 ^ (0x04C11DB7 if found >> 31 else 0)) & 0xFFFFFFFF
    return found.to_bytes(4)


def section(table: int, version: int, content: bytes) -> bytes:
    """A table of its own (2.4.4.11)."""
    head = struct.pack(">BHHBBB", table, 0xB000 | len(content) + 9, 1, 0xC1 | version % 32 << 1, 0, 0)
    return head + content + checksum(head + content)


def packet(pid: int, sections: bytes) -> bytes:
    """A TS packet in which tables begin."""
    return (struct.pack(">BHBB", 0x47, 0x4000 | pid, 0x10, 0) + sections).ljust(TS_PACKET_BYTES, b"\xff")


def programmes(number: int, count: int = PROGRAMMES) -> bytes:
    """A list of the clip's programme and of others, which no other list has (2.4.4.3)."""
    others = (2 + number * count + place for place in range(count))
    content = b"".join(struct.pack(">HH", one, 0xE000 | MAP_PID + one % 2000) for one in others)
    return section(PAT_TABLE, number, struct.pack(">HH", 1, 0xE000 | MAP_PID) + content)


def services(number: int, count: int = SERVICES) -> bytes:
    """Names of programmes (ETSI EN 300 468, 5.2.3)."""
    named = (2 + number * count + place for place in range(count))
    content = b"".join(struct.pack(">HBH", one, 0xFC, 0x8005) + b"\x48\x03\x01\0\0" for one in named)
    return section(SDT_TABLE, number, b"\0\1\xff" + content)


def lists(number: int) -> bytes:
    return packet(PAT_PID, programmes(number))


def names(number: int) -> bytes:
    return packet(SDT_PID, services(number))


def two_lists(_number: int) -> bytes:
    """Both in one packet, so that each differs from the one before though the packets are all the same."""
    return packet(PAT_PID, programmes(0, 18) + programmes(1, 18))


@pytest.mark.parametrize("flood", [lists, names, two_lists])
def test_a_flood_of_programmes_is_refused(decoder: Decoder, flood: Callable[[int], bytes]) -> None:
    """Lists of 56 kB would take 18 s of CPU, and of 112 kB all the time that a decoder has, three times over."""
    with pytest.raises(TooLargeError, match="programmes"):
        decoder.sample(with_packets([flood(number) for number in range(MANY)], clip()), profile=BALANCED, seed=b"pat")


@pytest.mark.parametrize("count", [1, PROGRAMMES])
def test_lists_that_are_repeated_are_read(decoder: Decoder, count: int) -> None:
    """Broadcasters repeat theirs ten to forty times a second, and change them now and then."""
    flood = [packet(PAT_PID, programmes(number, count)) for number in range(2) for _ in range(REPEATS)]
    flood += [packet(SDT_PID, services(number, min(count, SERVICES))) for number in range(2) for _ in range(REPEATS)]
    seen = decoder.sample(with_packets(flood, clip()), profile=BALANCED, seed=b"pat")
    assert seen.frames
    assert seen.unmoderated == ()
