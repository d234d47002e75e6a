"""Parts of a picture that some players show in place of all of it: they are sampled besides."""

import io
from collections.abc import Callable
from dataclasses import replace

import av
import av.logging
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext
from hostile_media import entry_of_size
from kinds import AV1, VP9
from media import Recipe, encode_pictures, in_mp4, photograph, rotated, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

WIDTH, HEIGHT = 320, 176
PART = (208, 112)
MATCH_BITS = 31
RENDER_FLAG = "render_and_frame_size_different"
RECIPES = {"vp9": replace(VP9, width=WIDTH, height=HEIGHT), "av1": replace(AV1, width=WIDTH, height=HEIGHT)}
WHOLE = photograph("coffee", WIDTH, HEIGHT)
WHOLE[: PART[1], : PART[0]] = photograph("astronaut", *PART)
FRAGMENTED = {"movflags": "frag_keyframe+empty_moov+default_base_moof"}


def matches(segment: SampledSegment, picture: NDArray[np.float64]) -> bool:
    """True if at each instant that is sampled a sample matches the picture."""
    listed = hash_luma(np.ascontiguousarray(picture).astype(np.uint8))
    hashes = {(frame.pts_seconds, hash_luma(frame.picture.luma()).distance(listed)) for frame in segment.frames}
    return {time for time, bits in hashes if bits <= MATCH_BITS} == {time for time, _ in hashes}


def sample(decoder: Decoder, data: bytes) -> SampledSegment:
    return decoder.sample(data, profile=BALANCED, seed=b"parts")


def render_flags(data: bytes) -> list[list[int | None]]:
    """Of each packet, by FFmpeg's own reading, the place of the flag in each OBU (of VP9 in the packet), in bits."""
    found: list[list[int | None]] = []
    level = av.logging.get_level()
    av.logging.set_level(av.logging.INFO)
    try:
        with av.open(io.BytesIO(data)) as source, av.logging.Capture() as lines:
            stream = source.streams.video[0]
            trace = BitStreamFilterContext("trace_headers", stream)
            for packet in source.demux(stream):
                trace.filter(packet)
        is_packet = False
        for _, _, line in lines:
            place, _, name = line.strip().partition(" ")
            if line.startswith(("Packet:", "Extradata")):
                is_packet = line.startswith("Packet:")
                if is_packet:
                    found.append([])
            elif is_packet and (name.strip().startswith(("obu_type", "frame_marker"))):
                found[-1].append(None)
            elif is_packet and name.strip().startswith(RENDER_FLAG):
                found[-1][-1] = int(place)
    finally:
        av.logging.set_level(level)
    return found


def with_size(unit: bytes, place: int, size: tuple[int, int]) -> bytes:
    """A unit with its flag set, and the size behind it."""
    bits = "".join(f"{octet:08b}" for octet in unit)
    assert bits[place] == "0"
    grown = f"{bits[:place]}1{size[0] - 1:016b}{size[1] - 1:016b}{bits[place + 1 :]}"
    return int(grown, 2).to_bytes(len(grown) // 8, "big")


def vp9_named(packet: bytes, places: list[int | None], size: tuple[int, int]) -> bytes:
    (place,) = places
    return packet if place is None else with_size(packet, place, size)


def av1_named(packet: bytes, places: list[int | None], size: tuple[int, int]) -> bytes:
    units, position = [], 0
    for place in places:
        length = shift = 0
        head = position + 1
        while True:
            length |= (packet[head] & 0x7F) << shift
            shift += 7
            head += 1
            if not packet[head - 1] & 0x80:
                break
        unit = packet[position : head + length]
        position = head + length
        if place is not None:
            start = len(unit) - length
            content = with_size(unit[start:], place - 8 * start, size)
            unit = unit[:1] + _leb128(len(content)) + content
        units.append(unit)
    return b"".join(units) + packet[position:]


def _leb128(value: int) -> bytes:
    found = []
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def rendered(kind: str, size: tuple[int, int], *, pictures: int = 30) -> bytes:
    """A clip whose every picture names that size."""
    recipe: Recipe = RECIPES[kind]
    data = encode_pictures(recipe, steady(pictures), lambda _: WHOLE)
    places = iter(render_flags(data))
    named: Callable[[bytes, list[int | None], tuple[int, int]], bytes] = vp9_named if kind == "vp9" else av1_named
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format="mp4", options=FRAGMENTED) as output:
        stream = output.add_stream_from_template(source.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                one = av.Packet(named(bytes(packet), next(places), size))
                one.pts, one.dts, one.time_base = packet.pts, packet.dts, packet.time_base
                one.stream, one.is_keyframe = stream, packet.is_keyframe
                output.mux(one)
    return file.getvalue()


@pytest.mark.parametrize("kind", RECIPES)
def test_a_listed_picture_that_fills_what_is_rendered_is_found(decoder: Decoder, kind: str) -> None:
    """Chromium's hardware decoders show that part alone: a listed one, of which we would hash what is around it."""
    seen = sample(decoder, rendered(kind, PART))

    assert matches(seen, WHOLE[: PART[1], : PART[0]])
    assert matches(seen, WHOLE)
    assert seen.unmoderated == ()


@pytest.mark.parametrize("kind", RECIPES)
@pytest.mark.parametrize("size", [(WIDTH, HEIGHT - 2), (2 * WIDTH, 2 * HEIGHT), (PART[0], 2 * HEIGHT)])
def test_a_size_that_crops_nothing_costs_nothing(decoder: Decoder, kind: str, size: tuple[int, int]) -> None:
    """Streams that change their size name the largest, and some chips code two rows more: each would count twice."""
    seen = sample(decoder, rendered(kind, size))
    times = [frame.pts_seconds for frame in seen.frames]

    assert len(times) == len(set(times))
    assert seen.notes == ()


@pytest.mark.parametrize("kind", RECIPES)
def test_a_part_too_small_to_be_sampled_is_reported(decoder: Decoder, kind: str) -> None:
    """It would end the decoder, or be passed over in silence."""
    assert {stretch.reason for stretch in sample(decoder, rendered(kind, (8, 8))).unmoderated} == {"cropped"}


@pytest.mark.parametrize("kind", RECIPES)
def test_more_views_than_are_sampled_are_reported(decoder: Decoder, kind: str) -> None:
    """Of a mirrored track in two sizes some view would be left out in silence."""
    data = rotated(rendered(kind, PART), 0, mirrored=True)

    assert {stretch.reason for stretch in sample(decoder, data).unmoderated} == {"cropped"}


@pytest.mark.parametrize("size", [(WIDTH - 15, HEIGHT - 15), (WIDTH, HEIGHT - 8), (WIDTH - 15, HEIGHT)])
def test_a_size_of_the_container_hides_no_edge_of_the_pictures(decoder: Decoder, size: tuple[int, int]) -> None:
    """FFmpeg, and Chromium with it, crops H.264 by up to 15 pixels to what the MP4 says; hardware decoders do not."""
    recipe = in_mp4(replace(x264(bframes=0), width=WIDTH, height=HEIGHT))
    listed = photograph("astronaut", WIDTH, HEIGHT)
    data = entry_of_size(encode_pictures(recipe, steady(30), lambda _: listed), b"avc1", *size)
    seen = sample(decoder, data)

    assert matches(seen, listed)
    assert matches(seen, listed[: size[1], : size[0]])
    assert seen.unmoderated == ()


@pytest.mark.parametrize("size", [(WIDTH - 16, HEIGHT - 16), (WIDTH, HEIGHT - 2), (2 * WIDTH, HEIGHT)])
def test_other_sizes_of_the_container_crop_nothing(decoder: Decoder, size: tuple[int, int]) -> None:
    """Where FFmpeg does not crop nobody does: each sample would be taken twice."""
    recipe = in_mp4(replace(x264(bframes=0), width=WIDTH, height=HEIGHT))
    data = entry_of_size(encode_pictures(recipe, steady(30), lambda _: WHOLE), b"avc1", *size)
    seen = sample(decoder, data)
    times = [frame.pts_seconds for frame in seen.frames]

    assert matches(seen, WHOLE)
    assert len(times) == len(set(times))


def woven(upper: NDArray[np.float64], lower: NDArray[np.float64]) -> NDArray[np.float64]:
    both = upper.copy()
    both[1::2] = lower[1::2]
    return both


INTERLACED = {
    "8 bit": replace(x264(tff=1, qp=18), width=WIDTH, height=HEIGHT),
    "10 bit": replace(x264(tff=1, qp=18), width=WIDTH, height=HEIGHT, pixel_format="yuv420p10le"),
    "4:4:4": replace(x264(tff=1, qp=18), width=WIDTH, height=HEIGHT + 2, pixel_format="yuv444p"),
}


@pytest.mark.parametrize("place", [0, 1], ids=["upper", "lower"])
@pytest.mark.parametrize("recipe", INTERLACED.values(), ids=INTERLACED.keys())
def test_a_listed_picture_in_one_field_is_found(decoder: Decoder, recipe: Recipe, place: int) -> None:
    """Televisions and Safari show one field after the other: viewers see it 25 times a second, and the mean of both
    matches no list."""
    listed = photograph("astronaut", recipe.width, recipe.height)
    fields = (listed, 255 - listed) if place == 0 else (255 - listed, listed)
    seen = sample(decoder, encode_pictures(recipe, steady(30), lambda _: woven(*fields)))

    assert matches(seen, listed)
    assert seen.unmoderated == ()


@pytest.mark.parametrize("place", [0, 1], ids=["upper", "lower"])
@pytest.mark.parametrize("seed", [b"0", b"1", b"2", b"3"])
def test_an_insert_in_one_field_is_found(decoder: Decoder, seed: bytes, place: int) -> None:
    """Pictures were compared by rows of the upper field alone: the lower one could hide anything."""
    recipe = replace(x264(tff=1, keyint=1000, scenecut=0), width=WIDTH, height=HEIGHT)
    ground, listed = photograph("chelsea", WIDTH, HEIGHT), photograph("astronaut", WIDTH, HEIGHT)

    def painted(index: int) -> NDArray[np.float64]:
        both = np.roll(ground, index, axis=1)
        if 45 <= index < 57:
            both[place::2] = listed[place::2]
        return both

    seen = decoder.sample(encode_pictures(recipe, steady(100), painted), profile=BALANCED, seed=seed)
    hashes = [hash_luma(frame.picture.luma()) for frame in seen.frames]

    assert min(one.distance(hash_luma(listed.astype(np.uint8))) for one in hashes) <= MATCH_BITS


def test_interlaced_pictures_of_one_scene_are_sampled_once(decoder: Decoder) -> None:
    """Each television camera would cost three times as much."""
    ground = photograph("astronaut", WIDTH, HEIGHT)

    def moving(index: int) -> NDArray[np.float64]:
        return woven(np.roll(ground, 4 * index, axis=1), np.roll(ground, 4 * index + 2, axis=1))

    seen = sample(decoder, encode_pictures(INTERLACED["8 bit"], steady(60), moving))
    times = [frame.pts_seconds for frame in seen.frames]

    assert len(times) == len(set(times))
