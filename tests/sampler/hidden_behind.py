"""Clips of keyframes with other pictures behind them in their packets, and what is to come of those."""

import numpy as np
import pytest
from media import FRAME_SECONDS, RATE, photograph
from mp4_packets import Coded, coded_in, mp4_of

from sampler.frames import SampledFrame, SampledSegment

PICTURES = 2 * RATE
SECOND = "second_video_stream"


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
