"""Clips of keyframes with other pictures behind them in their packets, and what is to come of those."""

import numpy as np
import pytest
from media import FRAME_SECONDS, RATE, Recipe, encode_pictures, photograph, steady
from mp4_packets import Coded, coded_in, mp4_of

from sampler.frames import SampledFrame, SampledSegment

PICTURES = 2 * RATE
SECOND = "second_video_stream"


def still(recipe: Recipe, name: str) -> bytes:
    """A clip of one photograph."""
    photo = photograph(name, recipe.width, recipe.height)
    return encode_pictures(recipe, steady(PICTURES), lambda _index: photo)


def in_layers(*pictures: bytes, shown: int = 0x301, temporal: bool = False) -> bytes:
    """Keyframes of AV1 as spatial layers of one, or as temporal ones, with the bits of those that the only operating
    point has (AV1 specification, 5.5.1)."""
    size = pictures[0][1]
    header = bytearray(pictures[0][: 2 + size])
    # operating_point_idc
    header[3], header[4] = header[3] & 0xF0 | shown >> 8, shown & 0xFF
    frames = [picture[2 + size :] for picture in pictures]
    return bytes(header) + b"".join(
        bytes([frame[0] | 0x04, layer << (5 if temporal else 3)]) + frame[1:] for layer, frame in enumerate(frames)
    )


def behind(first: bytes, second: bytes, *, start: int = 0, stop: int = PICTURES) -> bytes:
    """Clips of keyframes, the pictures of the second behind the first's in its packets."""
    pairs = zip(coded_in(first), coded_in(second), strict=True)
    packets = [
        Coded(one.data + other.data if start <= number < stop else one.data, True)
        for number, (one, other) in enumerate(pairs)
    ]
    return mp4_of(packets, first)


def shows(frame: SampledFrame, name: str) -> bool:
    """True if a sample shows that photograph."""
    luma = frame.picture.luma().astype(np.float64)
    return float(np.abs(luma - photograph(name, frame.picture.width, frame.picture.height)).mean()) < 8


def assert_unmoderated(segment: SampledSegment) -> None:
    assert SECOND in segment.notes
    assert [one.reason for one in segment.unmoderated] == [SECOND]
    assert segment.unmoderated[0].seconds == pytest.approx(PICTURES * FRAME_SECONDS)
