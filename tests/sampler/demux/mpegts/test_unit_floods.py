"""NAL units by the hundred thousand in one picture, and more streams than any input has."""

import struct
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from kinds import MPEG2
from media import Recipe, encode, encode_pictures, in_mp4, rewritten, steady, x264
from mp4_packets import repacked
from ts_tables import IN_FORCE, TS_PACKET_BYTES, checksum, packet, section

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.mpegts.set_search import SEARCHED_BYTES
from sampler.demux.mpegts.unit_floods import MOST_A_PICTURE, MOST_UNKNOWN
from sampler.errors import TooLargeError
from sampler.limits import Limits

PICTURES = 50
H264 = x264(bframes=0)
HEVC = Recipe(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none:bframes=0"})
CODECS = {"h264": (H264, b"\x09\x10"), "hevc": (HEVC, b"\x46\x01\x10")}
"""Recipes, and delimiters that players pass over."""
MANY = 450_000
LONG = 800
"""Pictures: 32 s."""
LIST_PID, VIDEO_PID, MAP_PID = 0, 0x100, 0x1000
FFMPEG_STREAMS = 1_000
"""As many as FFmpeg opens, unless it is told otherwise."""


def flooded(unit: bytes, place: int) -> Callable[[int, list[bytes]], list[bytes]]:
    return lambda index, units: [*units[:1], *([unit] * MANY), *units[1:]] if index == place else units


@pytest.mark.parametrize("place", [0, PICTURES // 2])
def test_a_flood_of_units_in_one_picture_is_refused(decoder: Decoder, place: int) -> None:
    """FFmpeg keeps all of them at once: 2 MB would take all memory that a decoder has, three times over."""
    data = rewritten(encode(HEVC, steady(PICTURES)), flooded(CODECS["hevc"][1], place))
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(data, profile=BALANCED, seed=b"aud")


def test_a_flood_of_units_in_the_first_picture_of_h264_is_refused(decoder: Decoder) -> None:
    """There it keeps all of them as well, in search of parameter sets."""
    data = rewritten(encode(H264, steady(PICTURES)), flooded(CODECS["h264"][1], 0))
    with pytest.raises(TooLargeError):
        decoder.sample(data, profile=BALANCED, seed=b"aud")


@pytest.mark.parametrize("lead", [0, 3])
def test_a_flood_where_parameter_sets_are_searched_is_refused(decoder: Decoder, lead: int) -> None:
    """1.2 MB of H.264 would take 1.1 s, and what comes before parameter sets is searched picture by picture."""

    def change(index: int, units: list[bytes]) -> list[bytes]:
        slices = [unit for unit in units if unit[0] & 0x1F in (1, 5)]
        return [CODECS["h264"][1]] * (2 * MOST_A_PICTURE * (index == lead)) + (units if index > lead else slices)

    data = rewritten(encode(H264, steady(PICTURES)), change)
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(data, profile=BALANCED, seed=b"aud")


def from_the_fourth_picture(index: int, units: list[bytes]) -> list[bytes]:
    """Parameter sets come with the picture behind a flooded one."""
    slices = [unit for unit in units if unit[0] & 0x1F in (1, 5)]
    return [CODECS["h264"][1]] * (MANY * (index == 3)) + (units if index > 3 else slices)


def before_the_video(data: bytes, packets: list[bytes]) -> bytes:
    """The MPEG-TS with more packets in front of those of its video."""
    at = next(at for at in range(0, len(data), TS_PACKET_BYTES) if data[at + 1] & 0x1F == VIDEO_PID >> 8)
    return data[:at] + b"".join(packets) + data[at:]


def packets_of(pid: int, content: bytes, mark: int = 0x10) -> list[bytes]:
    """TS packets with some content, the first of which begins something."""
    size = TS_PACKET_BYTES - 4
    parts = [content[start : start + size].ljust(size, b"\xaa") for start in range(0, len(content), size)]
    return [
        struct.pack(">BHB", 0x47, pid | 0x4000 * (not number), mark | number % 16) + part
        for number, part in enumerate(parts)
    ]


PES = b"\0\0\1\xe0\0\0\x80\0\0"
SETS = b"\0\0\0\1\x67\x64\0\x0a\xac\x72\0\0\0\1\x68\xee\x3c\x80"
PASSED_OVER = {
    "scrambled": packets_of(VIDEO_PID, PES + SETS, 0x90),
    "padding": packets_of(VIDEO_PID, b"\0\0\1\xbe\0\0" + SETS),
    "in no PES packet": packets_of(VIDEO_PID, b"\0\0\2\xe0\0\0" + SETS),
    "behind the end of one": packets_of(VIDEO_PID, b"\0\0\1\xe0\0\4\x80\0\0" + b"\xaa" * 200 + SETS),
}
"""Parameter sets in packets of which FFmpeg gives nothing."""


@pytest.mark.parametrize("kind", PASSED_OVER)
def test_a_flood_is_found_behind_parameter_sets_that_ffmpeg_passes_over(decoder: Decoder, kind: str) -> None:
    """The search would seem to be over, and goes on: 2.8 MB took 1.5 s."""
    data = rewritten(encode(H264, steady(PICTURES)), from_the_fourth_picture)
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(before_the_video(data, PASSED_OVER[kind]), profile=BALANCED, seed=b"aud")


def test_a_flood_is_found_behind_a_picture_without_end_of_another_video(decoder: Decoder) -> None:
    """FFmpeg counts no bytes of that, so that it goes on with its search as long."""
    picture = packets_of(VIDEO_PID + 1, PES + b"\0\0\1\x65\x88\x84" + b"\xaa" * 2 * SEARCHED_BYTES)
    streams = struct.pack(">BHHBHH", 0x1B, 0xE000 | VIDEO_PID, 0xF000, 0x1B, 0xE000 | VIDEO_PID + 1, 0xF000)
    table = packet(MAP_PID, section(2, 0, struct.pack(">HH", 0xE000 | VIDEO_PID, 0xF000) + streams))
    data = rewritten(encode(H264, steady(PICTURES)), from_the_fourth_picture)
    packets = [data[start : start + TS_PACKET_BYTES] for start in range(0, len(data), TS_PACKET_BYTES)]
    data = b"".join(table if one[1:3] == bytes([0x40 | MAP_PID >> 8, 0]) else one for one in packets)
    assert data.count(table) > 0
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(before_the_video(data, picture), profile=BALANCED, seed=b"aud")


def test_a_flood_is_found_behind_long_units_before_its_picture(decoder: Decoder) -> None:
    """They belong to the picture behind them, which is not read before it ends."""

    def change(index: int, units: list[bytes]) -> list[bytes]:
        slices = [unit for unit in units if unit[0] & 0x1F in (1, 5)]
        filler = [b"\x0c" + b"\xff" * 2 * SEARCHED_BYTES + b"\x80"] * (index == 3)
        return filler + (units if index > 3 else slices) + [CODECS["h264"][1]] * (MANY * (index == 3))

    data = rewritten(encode(H264, steady(PICTURES)), change)
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(data, profile=BALANCED, seed=b"aud")


def test_a_flood_is_found_behind_packets_of_nothing(decoder: Decoder) -> None:
    """They are in the way of no search."""
    nothing = [struct.pack(">BHB", 0x47, 0x1FFF, 0x10).ljust(TS_PACKET_BYTES, b"\xff")] * 20_000
    data = rewritten(encode(H264, steady(PICTURES)), from_the_fourth_picture)
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(before_the_video(data, nothing), profile=BALANCED, seed=b"aud")


def test_a_flood_of_units_in_a_later_picture_of_h264_costs_that_alone(decoder: Decoder) -> None:
    """A segment would not be moderated for nothing: of H.264 FFmpeg keeps none of them."""
    data = rewritten(encode(H264, steady(PICTURES)), flooded(CODECS["h264"][1], PICTURES // 2))
    seen = decoder.sample(data, profile=BALANCED, seed=b"aud")

    assert seen.frames
    assert seen.frames_total == PICTURES


def test_a_long_segment_of_slices_is_sampled(decoder: Decoder) -> None:
    """MPEG-2 has a slice for each row of blocks: half a minute of 4K would not be moderated."""
    tall = replace(MPEG2, width=64, height=2160, options={"g": "75", "bf": "0", "qscale": "20"})
    data = encode_pictures(tall, steady(LONG), lambda index: np.full((2160, 64), 100.0 + index % 50))
    assert data.count(b"\0\0\1") > MOST_UNKNOWN
    seen = decoder.sample(data, profile=BALANCED, seed=b"long")

    assert seen.frames_total == LONG
    assert seen.unmoderated == ()


SPREAD = 3_000


@pytest.mark.parametrize("codec", CODECS)
def test_as_many_units_in_many_pictures_are_sampled(decoder: Decoder, codec: str) -> None:
    """They cost little: FFmpeg keeps those of one picture at a time."""
    recipe, unit = CODECS[codec]
    data = rewritten(encode(recipe, steady(PICTURES)), lambda _, units: [*units[:1], *[unit] * SPREAD, *units[1:]])
    seen = decoder.sample(data, profile=BALANCED, seed=b"aud")

    assert seen.frames
    assert seen.frames_total == PICTURES


@pytest.mark.parametrize("shift", range(1, 4))
def test_units_that_lie_over_edges_of_packets_count(decoder: Decoder, shift: int) -> None:
    """Else one in each packet would be seen by nobody."""
    piece = b"\0\0\1\x46"
    data = encode(HEVC, steady(PICTURES))
    at = len(data) // 2 // 188 * 188
    packets = b"".join(
        struct.pack(">BHB", 0x47, VIDEO_PID, 0x10 | number % 16) + piece[shift:] + b"\1\xf0" * 90 + piece[:shift]
        for number in range(MOST_A_PICTURE + 100)
    )
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(data[:at] + packets + data[at:], profile=BALANCED, seed=b"aud")


@pytest.mark.parametrize("kind", [0x06, 0x1B])
def test_a_flood_is_found_whatever_a_map_says(decoder: Decoder, kind: int) -> None:
    """FFmpeg goes by one map, and another would have the flood read as one of another codec."""
    data = rewritten(encode(HEVC, steady(PICTURES)), flooded(CODECS["hevc"][1], PICTURES // 2))
    lying = bytearray(data)
    at = data.rindex(b"\x24\xe1\x00")
    lying[at] = kind
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(bytes(lying), profile=BALANCED, seed=b"aud")


def of_h264(table: bytes) -> bytes:
    """The clip's programme map, which calls its video H.264."""
    return table[:-4].replace(b"\x24\xe1\x00", b"\x1b\xe1\x00")


def damaged(table: bytes) -> bytes:
    """The same, with a checksum that is wrong."""
    return of_h264(table) + bytes(4)


def not_in_force(table: bytes) -> bytes:
    """The same, as one that is to come."""
    content = of_h264(table)
    content = content[:5] + bytes([content[5] & ~IN_FORCE]) + content[6:]
    return content + checksum(content)


def unlisted(table: bytes) -> bytes:
    """The same, of which no list tells."""
    content = of_h264(table)
    return content + checksum(content)


@pytest.mark.parametrize("change", [damaged, not_in_force, unlisted])
def test_a_flood_is_found_though_ffmpeg_reads_no_map(decoder: Decoder, change: Callable[[bytes], bytes]) -> None:
    """It finds the codec by itself, and a map that it does not read would name another."""
    # In H.264 these are a parameter set and pictures.
    seeming = [b"\x67\x01\x80", *[b"\x65\x88\x80"] * 3]
    flood = flooded(CODECS["hevc"][1], PICTURES // 2)
    data = rewritten(
        encode(replace(HEVC, width=960, height=540), steady(PICTURES)),
        lambda index, units: [*flood(index, units), *(seeming if index == 0 else [])],
    )
    assert data.index((CODECS["hevc"][1] + b"\0\0\0\1") * 3) > 2 * SEARCHED_BYTES
    packets = []
    for start in range(0, len(data), TS_PACKET_BYTES):
        one = data[start : start + TS_PACKET_BYTES]
        pid = (one[1] & 0x1F) << 8 | one[2]
        if pid == MAP_PID:
            end = 8 + ((one[6] & 0xF) << 8 | one[7])
            one = (one[:5] + change(one[5:end])).ljust(TS_PACKET_BYTES, b"\xff")
        if pid != LIST_PID or change is not unlisted:
            packets.append(one)
    with pytest.raises(TooLargeError, match="NAL units"):
        decoder.sample(b"".join(packets), profile=BALANCED, seed=b"aud")


@pytest.mark.parametrize("place", [0, PICTURES // 2])
@pytest.mark.parametrize("codec", CODECS)
def test_a_flood_of_units_in_an_mp4_is_refused(decoder: Decoder, codec: str, place: int) -> None:
    """The same where they have lengths, and FFmpeg would part a picture's as it reads its packet."""
    recipe, unit = CODECS[codec]
    data = repacked(encode(in_mp4(recipe), steady(PICTURES)), flooded(unit, place))
    with pytest.raises(TooLargeError):
        decoder.sample(data, profile=BALANCED, seed=b"aud")


@pytest.mark.parametrize("count", [Limits().streams, FFMPEG_STREAMS + 10])
def test_more_streams_than_any_input_has_are_refused(decoder: Decoder, count: int) -> None:
    """FFmpeg calls it a lack of memory, after which a worker would try again."""
    data = encode(in_mp4(H264), steady(2))
    with pytest.raises(TooLargeError, match="streams"):
        decoder.sample(with_tracks(data, count), profile=BALANCED, seed=b"streams")


def with_tracks(data: bytes, count: int) -> bytes:
    """The fragmented MP4 with so many copies of its track in the header."""
    header, track = data.index(b"moov") - 4, data.index(b"trak") - 4
    end = track + int.from_bytes(data[track : track + 4])
    size = int.from_bytes(data[header : header + 4]) + count * (end - track)
    return data[:header] + size.to_bytes(4) + data[header + 4 : end] + data[track:end] * count + data[end:]
