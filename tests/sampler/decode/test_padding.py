"""Bytes behind the ends of slices, which decoders skip: they hide no insert, and honest streams cost what they did."""

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import replace

import av
import numpy as np
import pytest
from kinds import x265
from media import FRAME_SECONDS, Recipe, encode_pictures, in_mp4, photograph, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.decode.probe import prober
from sampler.demux.packet_reader import Demuxer, PacketWindow
from sampler.demux.source import InputFile
from sampler.frames import SampledSegment
from sampler.limits import Limits
from sampler.plan.padding import LEAST_BYTES

PICTURES, GOP = 100, 50
START, STOP = 82, 96
"""Pictures [START, STOP) are the insert's: after the last one of the GOP that time calls for."""
CLOSED = {"keyint": GOP, "min_keyint": GOP, "scenecut": 0}
SIZE = {"width": 320, "height": 180}
X264 = replace(x264(bframes=0, qp=26, **CLOSED), **SIZE)
RECIPES = {
    "h264": X264,
    "h264, b-frames": replace(x264(bframes=3, qp=26, **CLOSED), **SIZE),
    "h264, cavlc": replace(x264(bframes=0, qp=26, cabac=0, **CLOSED), **SIZE),
    "h264, slices": replace(x264(bframes=0, qp=26, slices=4, **CLOSED), **SIZE),
    "h264, mp4": replace(in_mp4(x264(bframes=0, qp=26, **CLOSED), whole=True), **SIZE),
    "hevc": replace(x265(bframes=0, crf=28, open_gop=0, **CLOSED), **SIZE),
    "hevc, b-frames": replace(x265(bframes=3, crf=28, open_gop=0, **CLOSED), **SIZE),
    "hevc, slices": replace(x265(bframes=0, crf=28, open_gop=0, slices=3, **CLOSED), **SIZE),
    "hevc, mp4": replace(in_mp4(x265(bframes=0, crf=28, open_gop=0, **CLOSED), whole=True), **SIZE),
}
START_CODE = b"\0\0\1"
RATES = {
    "filler": {"bitrate": 400, "vbv_maxrate": 400, "vbv_bufsize": 200, "nal_hrd": "cbr"},
    "a tight buffer": {"bitrate": 300, "vbv_maxrate": 300, "vbv_bufsize": 60},
    "one quantiser": {"qp": 24},
}

Amount = Callable[[int, int, int], int]
"""Bytes that a packet shall have, of its number, its own size, and that of the largest that is no keyframe."""


def drifting(recipe: Recipe, index: int) -> NDArray[np.float64]:
    """Luma of a photograph that moves as a hand-held camera's does."""
    return np.roll(photograph("astronaut", recipe.width, recipe.height), index // 2, axis=1)


def with_insert(recipe: Recipe) -> bytes:
    other = photograph("coffee", recipe.width, recipe.height)
    return encode_pictures(
        recipe, steady(PICTURES), lambda index: other if START <= index < STOP else drifting(recipe, index)
    )


def uneven(number: int, size: int, most: int) -> int:
    """No two packets alike, so that their sizes seem to say something."""
    share = np.random.default_rng(number).uniform(0.6, 1.0) if number % GOP else 8
    return max(round(share * most), size)


def padded(recipe: Recipe, data: bytes, amount: Amount = uneven) -> bytes:
    """The same with bytes behind the last slice of each packet: random ones, as slices have."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data)) as source, av.open(file, "w", format=recipe.container) as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        most = max(packet.size for packet in packets if not packet.is_keyframe)
        for number, packet in enumerate(packets):
            missing = amount(number, packet.size, most) - packet.size
            tail = np.random.default_rng(number).integers(1, 256, missing, np.uint8).tobytes()
            made = av.Packet(_lengthened(bytes(packet), tail, measured=recipe.container == "mp4"))
            made.pts, made.dts, made.time_base = packet.pts, packet.dts, packet.time_base
            made.is_keyframe, made.stream = packet.is_keyframe, stream
            output.mux(made)
    return file.getvalue()


def _lengthened(data: bytes, tail: bytes, *, measured: bool) -> bytes:
    if not measured:
        return data + tail
    position = 0
    while (end := position + 4 + int.from_bytes(data[position : position + 4], "big")) < len(data):
        position = end
    length = len(data) - position - 4 + len(tail)
    return data[:position] + length.to_bytes(4, "big") + data[position + 4 :] + tail


def is_seen(segment: SampledSegment) -> bool:
    numbers = [round(frame.pts_seconds / FRAME_SECONDS) for frame in segment.frames if not frame.concealed]
    return any(START <= number < STOP for number in numbers)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_an_insert_among_padded_packets_is_sampled(decoder: Decoder, recipe: Recipe) -> None:
    """It stands out from none of them, and nobody would learn of it."""
    data = padded(recipe, with_insert(recipe))

    assert is_seen(decoder.sample(data, profile=BALANCED, seed=b"padding"))


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
