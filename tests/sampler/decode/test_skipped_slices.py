"""Slices that decoders skip say nothing of the picture that they are in."""

import io
import random

import av
import numpy as np
import pytest
from kinds import HEVC_OPEN_GOP, OPEN_GOP
from media import Recipe, encode_pictures, in_mp4, number_in, painted, photograph, steady, x264
from mp4_packets import Coded, coded_in
from numpy.typing import NDArray
from skipped_slices import (
    IDR,
    SLICE,
    Sequence,
    joined,
    outside_of_the_picture,
    parameter_sets,
    redundant,
    rewritten_mp4,
    saying_primary,
    units,
    with_redundant_pictures,
)

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.demux.codecs.nal import NalCodec, NalReader
from sampler.demux.codecs.picture_head import PictureHead

PICTURES = 100
SETTLED_SECONDS = 1.6
SAME_LEVELS = 12.0
CLOSED = {"keyint": 1000, "min_keyint": 1000, "scenecut": 0, "bframes": 0}
CAVLC = in_mp4(x264(cabac=0, weightp=0, ref=1, **CLOSED))
INTERLACED = in_mp4(x264(tff=1, **CLOSED))
BLOCK = 12
OTHER = 512


def is_like(luma: NDArray[np.uint8], other: NDArray[np.float64]) -> bool:
    return float(np.abs(luma - other).mean()) < SAME_LEVELS


def block_by_block(recipe: Recipe, other: NDArray[np.float64]) -> bytes:
    """Another picture that comes in from 0.5 to 1.5 s, a few blocks with each picture, and stays."""
    places = [(y, x) for y in range(0, recipe.height, BLOCK) for x in range(0, recipe.width, BLOCK)]
    random.Random(1).shuffle(places)

    def luma(index: int) -> NDArray[np.float64]:
        shown = painted(recipe, 0, 0)
        for y, x in places[: len(places) * min(max(index - 12, 0), 25) // 25]:
            shown[y : y + BLOCK, x : x + BLOCK] = other[y : y + BLOCK, x : x + BLOCK]
        return shown

    return encode_pictures(recipe, steady(PICTURES), luma)


def with_redundant_slices(data: bytes, *, padding_bytes: int = 0) -> bytes:
    """The clip with a redundant slice in front of every picture but the first, that says no other leans on it."""
    sps, pps = parameter_sets(data)
    sequence = Sequence(sps)

    def change(index: int, units: list[bytes]) -> list[bytes]:
        slices = [saying_primary(unit, sequence) for unit in units if unit[0] & 0x1F in (SLICE, IDR)]
        front = [redundant(slices[0][1], sequence, padding_bytes=padding_bytes)] if index else []
        return [*front, *(unit for unit, _ in slices)]

    sets = [sequence.with_gaps, with_redundant_pictures(pps)]
    return rewritten_mp4(data, sets, change, ticks=lambda index: 40 * index)


def test_a_redundant_slice_makes_no_picture_needless(decoder: Decoder) -> None:
    """Pictures would be decoded without those that they lean on, and show what no player does, without any error."""
    other = photograph("astronaut", CAVLC.width, CAVLC.height)
    data = with_redundant_slices(block_by_block(CAVLC, other))
    seen = decoder.sample(data, profile=BALANCED, seed=b"redundant")

    assert all(is_like(frame.picture.luma(), other) for frame in seen.frames if frame.pts_seconds > SETTLED_SECONDS)
    assert seen.frames[-1].pts_seconds > SETTLED_SECONDS
    assert seen.unmoderated == ()


def test_redundant_slices_with_room_for_a_picture_are_in_the_ledger(decoder: Decoder) -> None:
    """A decoder that does not know of them draws them over the picture that every sample shows."""
    data = with_redundant_slices(
        encode_pictures(CAVLC, steady(PICTURES), lambda _: painted(CAVLC, 0, 0)), padding_bytes=1_000
    )
    seen = decoder.sample(data, profile=BALANCED, seed=b"redundant")

    assert seen.notes == ("second_video_stream",)
    assert sum(stretch.seconds for stretch in seen.unmoderated) == pytest.approx(seen.duration_seconds)


def test_a_skipped_slice_makes_no_field_of_a_picture(decoder: Decoder) -> None:
    """Every other picture would be taken for a second field, which is never sampled by itself: the pictures between
    them may be shown for a millisecond each."""

    def shown(index: int) -> NDArray[np.float64]:
        return painted(INTERLACED, OTHER if index % 2 and index > 3 else 0, index % 2)

    clip = encode_pictures(INTERLACED, steady(PICTURES), shown)
    sps, pps = parameter_sets(clip)
    sequence = Sequence(sps)

    def change(index: int, units: list[bytes]) -> list[bytes]:
        return (
            [outside_of_the_picture(index // 2 % 16, sequence, bottom=index % 2 == 1), *units] if index > 1 else units
        )

    ticks = [40 * (index - index % 2) + index % 2 for index in range(PICTURES)]
    data = rewritten_mp4(clip, [sps, pps], change, ticks=ticks.__getitem__)
    seen = decoder.sample(data, profile=BALANCED, seed=b"fields")

    assert {number_in(frame.picture.luma()) for frame in seen.frames} == {0, OTHER}


@pytest.mark.parametrize("padding_bytes", [10, 1_000])
def test_redundant_slices_have_no_size(padding_bytes: int) -> None:
    """With them a broadcaster could make packets of any size, and hide any cut."""
    clip = encode_pictures(CAVLC, steady(10), lambda index: painted(CAVLC, index, 0))
    plain, padded = (heads(with_redundant_slices(clip, padding_bytes=count)) for count in (0, padding_bytes))

    assert [head.size_bytes for head in plain] == [head.size_bytes for head in padded]
    assert plain[1].size_bytes < heads(clip)[1].size_bytes + 10


@pytest.mark.parametrize("front", [True, False], ids=["in front", "behind"])
def test_a_slice_of_another_picture_leaves_nothing_to_lean_on(front: bool) -> None:
    """It could name the picture before the keyframe as one that came after it, and what leans on that would be made up
    without a word."""
    clip = encode_pictures(in_mp4(OPEN_GOP), steady(PICTURES), lambda index: painted(OPEN_GOP, index, 0))
    sequence = Sequence(parameter_sets(clip)[0])
    other = joined([outside_of_the_picture(9, sequence)])
    extradata, packets = coded(clip)
    keyframe = next(index for index, one in enumerate(packets) if index and one.keyframe)
    honest = NalReader(NalCodec.H264, extradata)
    for data, _ in packets:
        head = honest.read(data)
        assert not head.outside or head.leading
    for spoiled in (keyframe, keyframe + 5):
        reader = NalReader(NalCodec.H264, extradata)
        for data, _ in packets[:spoiled]:
            reader.read(data)
        data = packets[spoiled].data
        head = reader.read(other + data if front else data + other)

        assert not head.begins
        assert spoiled == keyframe or head.outside


def test_a_second_first_slice_leaves_nothing_to_lean_on() -> None:
    """The same in HEVC: decoders skip it, and its order would be taken for that of a picture that is there."""
    clip = encode_pictures(in_mp4(HEVC_OPEN_GOP), steady(PICTURES), lambda index: painted(HEVC_OPEN_GOP, index, 0))
    extradata, packets = coded(clip)
    keyframe = next(index for index, one in enumerate(packets) if index and one.keyframe)
    for spoiled in (keyframe, keyframe + 5):
        for copies in (0, 1):
            reader = NalReader(NalCodec.HEVC, extradata)
            for data, _ in packets[:spoiled]:
                reader.read(data)
            data = packets[spoiled].data
            head = reader.read(data + joined(units(data)[-1:] * copies))

            assert head.begins == (spoiled == keyframe and not copies)
            assert head.outside == (spoiled != keyframe and copies > 0)


def coded(data: bytes) -> tuple[bytes, list[Coded]]:
    """The record of an MP4, and its packets."""
    with av.open(io.BytesIO(data)) as source:
        return source.streams.video[0].codec_context.extradata or b"", coded_in(data)


def heads(data: bytes) -> list[PictureHead]:
    extradata, packets = coded(data)
    reader = NalReader(NalCodec.H264, extradata)
    return [reader.read(packet) for packet, _ in packets]
