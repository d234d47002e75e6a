"""Bytes behind the ends of slices, which decoders skip: they hide no insert, and honest streams cost what they did."""

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
from kinds import x265
from media import FRAME_SECONDS, Recipe, encode_pictures, in_mp4, steady, x264
from numpy.typing import NDArray
from padded_clips import CLOSED, GOP, PICTURES, SIZE, START, STOP, X264, drifting, is_seen, mildly, padded, with_insert

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.decode.runs.probe import prober
from sampler.demux.packet_reader import Demuxer
from sampler.demux.packet_window import PacketWindow
from sampler.demux.source import InputFile
from sampler.limits import Limits
from sampler.plan.padding import LEAST_BYTES

RECIPES = {
    "h264": X264,
    "h264, b-frames": replace(x264(bframes=3, qp=26, **CLOSED), **SIZE),
    "h264, cavlc": replace(x264(bframes=0, qp=26, cabac=0, **CLOSED), **SIZE),
    "h264, slices": replace(x264(bframes=0, qp=26, slices=4, **CLOSED), **SIZE),
    "h264, mp4": replace(in_mp4(x264(bframes=0, qp=26, **CLOSED), whole=True), **SIZE),
    "hevc": replace(x265(bframes=0, crf=28, open_gop=0, **CLOSED), **SIZE),
    "hevc, b-frames": replace(x265(bframes=3, crf=28, open_gop=0, **CLOSED), **SIZE),
    "hevc, slices": replace(x265(bframes=0, crf=28, open_gop=0, slices=3, **CLOSED), **SIZE),
    "hevc, 12 bit": replace(x265(bframes=0, crf=28, open_gop=0, **CLOSED), **SIZE, pixel_format="yuv420p12le"),
    "hevc, 10 bit 4:4:4": replace(x265(bframes=0, crf=28, open_gop=0, **CLOSED), **SIZE, pixel_format="yuv444p10le"),
    "hevc, mp4": replace(in_mp4(x265(bframes=0, crf=28, open_gop=0, **CLOSED), whole=True), **SIZE),
}
RATES = {
    "filler": {"bitrate": 400, "vbv_maxrate": 400, "vbv_bufsize": 200, "nal_hrd": "cbr"},
    "a tight buffer": {"bitrate": 300, "vbv_maxrate": 300, "vbv_bufsize": 60},
    "one quantiser": {"qp": 24},
}


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_an_insert_among_padded_packets_is_sampled(decoder: Decoder, recipe: Recipe) -> None:
    """It stands out from none of them, and nobody would learn of it."""
    data = padded(recipe, with_insert(recipe))

    segment = decoder.sample(data, profile=BALANCED, seed=b"padding")
    assert is_seen(segment)
    assert "padded" in segment.notes


def test_where_padding_was_found_before_all_is_decoded(decoder: Decoder) -> None:
    """A broadcaster whose padding was found would hide the next insert under less of it."""
    segment = decoder.sample(padded(X264, with_insert(X264), mildly), profile=BALANCED, seed=b"padding", padded=True)

    assert is_seen(segment)
    assert segment.frames_decoded >= PICTURES
    assert segment.notes == (), "what was found before is no news"


def test_what_cannot_be_watched_for_padding_is_in_the_ledger(decoder: Decoder) -> None:
    """Padding that costs more than there is a budget for would hide an insert again."""
    poor = BALANCED.model_copy(update={"macroblocks_per_second": 10_000})
    segment = decoder.sample(padded(X264, with_insert(X264)), profile=poor, seed=b"padding")

    assert not is_seen(segment)
    for number in range(START, STOP):
        seconds = (number + 0.5) * FRAME_SECONDS
        reasons = [one.reason for one in segment.unmoderated if one.start_seconds <= seconds < one.end_seconds]
        assert reasons == ["budget"]


@pytest.mark.parametrize("rate", RATES.values(), ids=RATES.keys())
def test_an_honest_stream_is_not_watched(decoder: Decoder, rate: dict[str, int | str]) -> None:
    """Filler and small buffers make packets alike too, and watching costs ten times as much."""
    recipe = replace(x264(bframes=0, **CLOSED, **rate), **SIZE)
    data = encode_pictures(recipe, steady(PICTURES), lambda index: drifting(recipe, index))
    segment = decoder.sample(data, profile=BALANCED, seed=b"padding")

    assert segment.notes == ()
    assert segment.frames_decoded < PICTURES / 2
    assert not segment.unmoderated


@pytest.fixture
def window_of() -> Iterator[Callable[[bytes], tuple[Demuxer, PacketWindow]]]:
    """Reads a clip of one window."""
    opened: list[tuple[Demuxer, int]] = []

    def read(data: bytes) -> tuple[Demuxer, PacketWindow]:
        descriptor = os.memfd_create("clip")
        os.write(descriptor, data)
        demuxer = Demuxer(InputFile(descriptor, len(data)), Limits())
        opened.append((demuxer, descriptor))
        (window,) = demuxer.windows()
        return demuxer, window

    yield read
    for demuxer, descriptor in opened:
        demuxer.close()
        os.close(descriptor)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_padding_is_told_from_pictures(
    window_of: Callable[[bytes], tuple[Demuxer, PacketWindow]], recipe: Recipe
) -> None:
    """Honest streams would be decoded whole, and hostile ones not be. Pictures that forget some
    which are not there, as in a pyramid of B-frames, cannot be told."""
    noisy = np.random.default_rng(7).normal(0, 6, (PICTURES, recipe.height, recipe.width))

    def luma(index: int) -> NDArray[np.float64]:
        return np.clip(drifting(recipe, index) + noisy[index], 0, 255)

    plain = encode_pictures(recipe, steady(PICTURES), luma)
    found = []
    for data in (plain, padded(recipe, plain, lambda number, size, _most: 4 * size if number % GOP else size)):
        demuxer, window = window_of(data)
        prepared = prober(demuxer.codec_context, max_pixels=1 << 20, extradata=demuxer.probing_extradata)
        assert prepared is not None
        predicted = [
            payload
            for packet, payload in zip(window.packets, window.payloads, strict=True)
            if not packet.keyframe and packet.size_bytes >= LEAST_BYTES
        ]
        # Of several slices the last is padded.
        found.append([prepared.is_padded(payload, share=0.4, place=0.999) for payload in predicted])

    assert sum(found[0]) == 0
    assert sum(found[1]) >= 0.6 * len(found[1])
