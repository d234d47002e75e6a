"""Tables of programmes that change all the time, and that no player needs."""

import struct
from collections.abc import Callable, Sequence
from functools import cache
from random import Random

import pytest
from media import encode, steady, x264
from ts_tables import TS_PACKET_BYTES, packet, section

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.errors import InputError, TooLargeError

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


def in_longer_packets(data: bytes, before: bytes) -> bytes:
    """The MPEG-TS in packets of 192 bytes but for the first three, with other bytes in front of all but the next."""
    packets = [data[start : start + TS_PACKET_BYTES] for start in range(0, len(data), TS_PACKET_BYTES)]
    return b"".join(packets[:3]) + bytes(4) + packets[3] + b"".join(before + packet for packet in packets[4:])


def behind_a_shift(data: bytes, before: bytes, count: int) -> bytes:
    """The same in packets of 188 bytes, which FFmpeg finds 12 bytes behind a place where others find one too."""
    size = count * TS_PACKET_BYTES
    return data[:size] + b"\x80" + before + bytes(11 - len(before)) + data[size:]


def test_a_flood_in_packets_of_another_size_is_refused(decoder: Decoder) -> None:
    """Whoever looks for sync bytes would see nothing but null packets, in which FFmpeg sees no packets at all."""
    data = in_longer_packets(with_packets([lists(number) for number in range(MANY)], clip()), b"\x47\x1f\xff\x10")
    with pytest.raises(InputError):
        decoder.sample(data, profile=BALANCED, seed=b"pat")


def test_a_flood_behind_a_shift_is_refused(decoder: Decoder) -> None:
    """FFmpeg has a rule of its own for files of one old recorder."""
    flood = [bytearray(lists(number)) for number in range(MANY)]
    for packet_ in flood:
        packet_[177:181] = b"\x47\x1f\xff\x10"
    data = clip() * 2
    count = len(data) // (2 * TS_PACKET_BYTES)
    flooded = data[: count * TS_PACKET_BYTES] + b"".join(map(bytes, flood)) + data[count * TS_PACKET_BYTES :]
    with pytest.raises(InputError, match="programmes"):
        decoder.sample(behind_a_shift(flooded, b"\x47\x1f\xff\x10", count), profile=BALANCED, seed=b"pat")


@pytest.mark.parametrize("stuffing", [b"\xff", b"\0"])
@pytest.mark.parametrize("count", [1, PROGRAMMES])
def test_lists_that_are_repeated_are_read(decoder: Decoder, count: int, stuffing: bytes) -> None:
    """Broadcasters repeat theirs ten to forty times a second, and change them now and then."""
    flood = [packet(PAT_PID, programmes(number, count), stuffing) for number in range(2) for _ in range(REPEATS)]
    flood += [packet(SDT_PID, services(number, min(count, SERVICES))) for number in range(2) for _ in range(REPEATS)]
    seen = decoder.sample(with_packets(flood, clip()), profile=BALANCED, seed=b"pat")
    assert seen.frames
    assert seen.unmoderated == ()


@pytest.mark.parametrize("between", [b"\x47", b"\x47\x00", b"\x00"])
def test_what_is_behind_packets_that_are_never_where_the_one_before_ends_is_not_read(
    decoder: Decoder, between: bytes
) -> None:
    """FFmpeg would guess their size anew for each: 8 MB took 3 s of CPU. A player may show what is behind them."""
    random = Random(7)
    others = b"".join(packet(0x1FFF, random.randbytes(184)) + between for _ in range(10 * MANY))
    seen = decoder.sample(clip() + others + clip(), profile=BALANCED, seed=b"lost")

    assert seen.frames
    assert seen.frames_total == 50
    assert {one.reason for one in seen.unmoderated} == {"second_video_stream"}
