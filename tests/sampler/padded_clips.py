"""Clips with an insert among packets that have bytes behind their pictures."""

import io
from collections.abc import Callable
from dataclasses import replace

import av
import numpy as np
from media import FRAME_SECONDS, Recipe, encode_pictures, photograph, steady, x264
from numpy.typing import NDArray

from sampler.frames import SampledSegment

PICTURES, GOP = 100, 50
START, STOP = 82, 96
"""Pictures [START, STOP) are the insert's: after the last one of the GOP that time calls for."""
CLOSED = {"keyint": GOP, "min_keyint": GOP, "scenecut": 0}
SIZE = {"width": 320, "height": 180}
X264 = replace(x264(bframes=0, qp=26, **CLOSED), **SIZE)

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


def mildly(number: int, size: int, most: int) -> int:
    """Only around the insert, where half of each packet is real."""
    share = np.random.default_rng(number).uniform(0.9, 1.1)
    return max(round(share * most), size) if START - 12 <= number < STOP + 8 else size


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
