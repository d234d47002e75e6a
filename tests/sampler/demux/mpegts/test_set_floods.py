"""Parameter sets that FFmpeg reads, and no picture uses."""

import re
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
from media import Recipe, encode_pictures, painted, rewritten, steady, x264
from mp4_packets import repacked

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.container import Container
from sampler.demux.open_input import open_input
from sampler.demux.source import InputFile
from sampler.errors import TooLargeError
from sampler.limits import Limits

PICTURES = 50
H264 = x264(bframes=0)
HEVC = Recipe(codec="libx265", options={"preset": "ultrafast", "x265-params": "log-level=none:bframes=0"})
RECIPES = {"h264": H264, "hevc": HEVC}
VIDEO_PID, TS_PACKET_BYTES = 0x100, 188

Units = list[bytes]


def clip(recipe: Recipe, count: int = PICTURES) -> bytes:
    return encode_pictures(recipe, steady(count), lambda index: painted(recipe, index, 0))


def is_set(recipe: Recipe, unit: bytes) -> bool:
    return unit[0] & 0x1F in (7, 8) if recipe.codec == "libx264" else unit[0] >> 1 in (32, 33, 34)


def parameter_sets(recipe: Recipe) -> Units:
    """Those in front of a recipe's keyframe, PPS last."""
    found: list[Units] = []
    rewritten(clip(recipe, 1), lambda _, units: found.append(units) or units)
    return [unit for unit in found[0] if is_set(recipe, unit)]


def in_front(recipe: Recipe, flood: Units, *, of_all: bool = True) -> Callable[[int, Units], Units]:
    """Puts a flood in front of each picture, or of one, and the right ones behind it."""
    own = parameter_sets(recipe)

    def change(index: int, units: Units) -> Units:
        if index != PICTURES // 2 and not of_all:
            return units
        return [*units[:1], *flood, *own, *(unit for unit in units[1:] if unit not in own)]

    return change


@cache
def of_4k() -> tuple[bytes, bytes, bytes]:
    """An SPS, and two PPS with one identifier."""
    large = replace(HEVC, width=3840, height=2160)
    other = replace(large, options=HEVC.options | {"x265-params": "log-level=none:bframes=0:cbqpoffs=1"})
    _, sps, pps = parameter_sets(large)
    return sps, pps, parameter_sets(other)[-1]


def alternating(times: int) -> Units:
    """PPS of 4K of which each differs from the one before."""
    sps, *both = of_4k()
    return [sps, *both * times]


def of_another_layer(units: Units) -> Units:
    """The same, the PPS in a layer of their own."""
    return [units[0], *(unit[:1] + bytes([unit[1] | 1 << 3]) + unit[2:] for unit in units[1:])]


FLOODS = {"h264": lambda count: parameter_sets(H264)[-1:] * count, "hevc": lambda count: alternating(count // 2)}
MANY = {"h264": 25_000, "hevc": 1_400}


def refused_unread(data: bytes) -> None:
    """FFmpeg would have read all of it by the first packet."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        with pytest.raises(TooLargeError, match="parameter sets"):
            open_input(InputFile(file.fileno(), len(data)), Container.MPEG_TS, Limits())


@pytest.mark.parametrize("codec", RECIPES)
def test_a_flood_of_parameter_sets_is_refused(codec: str) -> None:
    """A segment of 400 kB would take 3 s of CPU before a picture of it is decoded."""
    recipe, flood = RECIPES[codec], FLOODS[codec](MANY[codec] // PICTURES + 1)
    refused_unread(rewritten(clip(recipe), in_front(recipe, flood)))


@pytest.mark.parametrize("codec", RECIPES)
def test_a_flood_in_front_of_one_picture_is_refused(codec: str) -> None:
    """No packet comes before it by which it could be refused."""
    recipe, flood = RECIPES[codec], FLOODS[codec](MANY[codec])
    refused_unread(rewritten(clip(recipe), in_front(recipe, flood, of_all=False)))


@pytest.mark.parametrize("of_all", [True, False], ids=["each picture", "one picture"])
@pytest.mark.parametrize("layer", [False, True], ids=["base", "another layer"])
def test_a_flood_in_an_mp4_is_refused(decoder: Decoder, of_all: bool, layer: bool) -> None:
    """The decoder would read each one, of layers too that it shows nothing of."""
    flood = alternating(MANY["hevc"] // (2 * PICTURES) + 1 if of_all else MANY["hevc"] // 2)
    flood = of_another_layer(flood) if layer else flood
    data = repacked(clip(replace(HEVC, container="mp4")), in_front(HEVC, flood, of_all=of_all))
    with pytest.raises(TooLargeError, match="parameter sets"):
        decoder.sample(data, profile=BALANCED, seed=b"sets")


def test_a_flood_in_the_header_of_an_mp4_is_refused(decoder: Decoder) -> None:
    """Each decoder that is opened would read all of it: 350 kB for 1.3 s of CPU at 4K."""
    sps, *both = of_4k()

    def with_arrays(record: bytes) -> bytes:
        arrays = b""
        for kind, units in ((33, [sps]), (34, both * (MANY["hevc"] // 2))):
            arrays += bytes([kind]) + len(units).to_bytes(2)
            arrays += b"".join(len(unit).to_bytes(2) + unit for unit in units)
        return record[:22] + bytes([record[22] + 2]) + record[23:] + arrays

    data = clip(replace(HEVC, container="mp4"), 10)
    with pytest.raises(TooLargeError, match="parameter sets"):
        decoder.sample(grown(data, b"hvcC", with_arrays), profile=BALANCED, seed=b"sets")


def grown(data: bytes, kind: bytes, change: Callable[[bytes], bytes]) -> bytes:
    """The MP4 with the content of a box in its sample entry changed."""
    at = data.index(kind)
    end = at - 4 + int.from_bytes(data[at - 4 : at])
    content = change(data[at + 4 : end])
    found = bytearray(data[: at + 4] + content + data[end:])
    for outer in (kind, b"hev1", b"stsd", b"stbl", b"minf", b"mdia", b"trak", b"moov"):
        place = data.rindex(outer, 0, at + 4) - 4
        size = int.from_bytes(data[place : place + 4]) + len(found) - len(data)
        found[place : place + 4] = size.to_bytes(4)
    return bytes(found)


LARGEST_PIECE = 160
WITH_HEAD = b"\0\0\1\xe0"
"""A PES packet's beginning (H.222.0, 2.4.3.6)."""

Edges = Callable[[bytes], list[int]]


def every(size: int) -> Edges:
    """Edges so far apart."""
    return lambda payload: [*range(size, len(payload), size)]


def within_codes(place: int) -> Edges:
    """Edges so many bytes behind the beginning of each start code."""
    return lambda payload: [found.start() + place for found in re.finditer(b"\0\0\1", payload)]


def pieces(payload: bytes, edges: Edges) -> Iterator[bytes]:
    for begin, end in pairwise([0, *(edge for edge in edges(payload) if edge < len(payload)), len(payload)]):
        for start in range(begin, end, LARGEST_PIECE):
            yield payload[start : min(start + LARGEST_PIECE, end)]


def plain(piece: bytes) -> tuple[bytes, bytes]:
    """A piece that goes on with a PES packet; and what is behind it."""
    return piece, b""


def pes(piece: bytes) -> tuple[bytes, bytes]:
    """A PES packet of any size."""
    return WITH_HEAD + b"\0\0\x80\0\0" + piece, b""


def short_pes(piece: bytes) -> tuple[bytes, bytes]:
    """One that says its size, and ends before its TS packet does."""
    return WITH_HEAD + (3 + len(piece)).to_bytes(2) + b"\x80\0\0" + piece, b"\xff" * 7


def private_pes(piece: bytes) -> tuple[bytes, bytes]:
    """One of a kind without optional fields, where their size would be over all of it."""
    return b"\0\0\1\xbf\0\0" + piece, b""


Wrap = Callable[[bytes], tuple[bytes, bytes]]


def shattered(data: bytes, edges: Edges, wrap: Wrap = plain) -> bytes:
    """The MPEG-TS with its video parted anew; the first piece of a PES packet has the head that it had."""
    tables, packets = bytearray(), list[bytearray]()
    for start in range(0, len(data), TS_PACKET_BYTES):
        packet = data[start : start + TS_PACKET_BYTES]
        if (packet[1] & 0x1F) << 8 | packet[2] != VIDEO_PID:
            tables += packet if not packets else b""
            continue
        packets += [bytearray()] if packet[1] & 0x40 else []
        packets[-1] += packet[4 + (1 + packet[4] if packet[3] & 0x20 else 0) :]
    found, count = tables, 0
    for whole in packets:
        head, content = bytes(whole[: 9 + whole[8]]), bytes(whole[9 + whole[8] :])
        for number, piece in enumerate(pieces(content, edges)):
            payload, behind = (head + piece, b"") if number == 0 else wrap(piece)
            starts = number == 0 or wrap is not plain
            found += ts_packet(payload, behind, starts=starts, count=count)
            count = (count + 1) % 16
    return bytes(found)


def ts_packet(payload: bytes, behind: bytes, *, starts: bool, count: int) -> bytes:
    """A packet of the video; `starts`: a PES packet begins with it."""
    stuffing = TS_PACKET_BYTES - 5 - len(payload) - len(behind)
    head = bytes([0x47, 0x40 * starts | VIDEO_PID >> 8, VIDEO_PID & 0xFF, 0x30 | count, stuffing])
    return head + (b"\0" + b"\xff" * (stuffing - 1) if stuffing else b"") + payload + behind


@pytest.mark.parametrize("wrap", [plain, pes, short_pes, private_pes])
@pytest.mark.parametrize(
    "edges",
    [every(1), every(2), every(3), every(5), within_codes(1), within_codes(2), within_codes(3)],
    ids=["1", "2", "3", "5", "after 00", "after 00 00", "after 00 00 01"],
)
def test_a_flood_over_the_edges_of_packets_is_refused(edges: Edges, wrap: Wrap) -> None:
    """Start codes that are in several packets are as good as others."""
    flood = FLOODS["hevc"](MANY["hevc"] // PICTURES + 2)
    refused_unread(shattered(rewritten(clip(HEVC), in_front(HEVC, flood)), edges, wrap))


def test_a_flood_around_the_heads_of_pes_packets_is_refused() -> None:
    """A head that is in several TS packets would part start codes, unseen."""
    flood = FLOODS["hevc"](MANY["hevc"] // PICTURES + 2)
    data = shattered(rewritten(clip(HEVC), in_front(HEVC, flood)), within_codes(1), pes)
    refused_unread(b"".join(torn_heads(data)))


def torn_heads(data: bytes) -> Iterator[bytes]:
    """The MPEG-TS with the heads of the PES packets without time stamps in two packets each."""
    for start in range(0, len(data), TS_PACKET_BYTES):
        packet = data[start : start + TS_PACKET_BYTES]
        begin = 5 + packet[4]
        if packet[1] != 0x41 or packet[2] or packet[begin + 8]:
            yield packet
            continue
        for flags, content in ((0x41, packet[begin : begin + 5]), (0x01, packet[begin + 5 :])):
            stuffing = TS_PACKET_BYTES - 5 - len(content)
            yield bytes([0x47, flags, 0, packet[3], stuffing, 0]) + b"\xff" * (stuffing - 1) + content


@pytest.mark.parametrize("size", [1, 3, 64])
def test_a_video_in_many_packets_is_sampled(decoder: Decoder, size: int) -> None:
    """Edges of packets would be taken for parameter sets."""
    seen = decoder.sample(shattered(clip(H264), every(size)), profile=BALANCED, seed=b"sets")
    assert seen.frames
    assert seen.unmoderated == ()


@pytest.mark.parametrize("codec", RECIPES)
@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_parameter_sets_with_each_picture_are_read(decoder: Decoder, codec: str, container: str) -> None:
    """Broadcast encoders repeat theirs with each picture, and few have several: such streams would be unmoderated."""
    recipe = RECIPES[codec]
    change = in_front(recipe, parameter_sets(recipe) * 3)
    data = clip(replace(recipe, container=container))
    seen = decoder.sample(
        rewritten(data, change) if container == "mpegts" else repacked(data, change), profile=BALANCED, seed=b"sets"
    )
    assert seen.frames
    assert seen.unmoderated == ()
