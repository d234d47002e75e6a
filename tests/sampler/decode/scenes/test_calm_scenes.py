"""A calm scene in a busy one: its first picture is no larger than those before it."""

import math

import numpy as np
import pytest
from media import CLOCK, encode_pictures, photograph, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

WIDTH, HEIGHT = 192, 108
GROUND, INSERT = photograph("astronaut", WIDTH, HEIGHT), photograph("rocket", WIDTH, HEIGHT)
GOP_SECONDS, GOPS = 2, 3


def grainy(index: int) -> NDArray[np.float64]:
    """The ground with noise, another in each picture."""
    return np.clip(GROUND + np.random.default_rng(index).normal(0, 6, GROUND.shape), 0, 255)


def sample(decoder: Decoder, rate: int, calm: range, shown: NDArray[np.float64]) -> SampledSegment:
    """Samples a segment of grain without B-frames, in which `shown` stands for some pictures."""
    gop = GOP_SECONDS * rate
    data = encode_pictures(
        x264(preset="ultrafast", tune="zerolatency", keyint=gop, min_keyint=gop, scenecut=0),
        [index * CLOCK // rate for index in range(GOPS * gop)],
        lambda index: shown if index in calm else grainy(index),
    )
    return decoder.sample(data, profile=BALANCED, seed=b"hidden")


def last(seconds: float, rate: int, gops: int = GOPS) -> range:
    """So many seconds of pictures, which end with a GOP."""
    end = gops * GOP_SECONDS * rate
    return range(end - math.ceil(seconds * rate), end)


@pytest.mark.parametrize(("rate", "seconds"), [(8, 0.5), (8, 0.7), (10, 0.7), (10, 0.9), (15, 1.0)])
@pytest.mark.parametrize("gops", [2, GOPS], ids=["before a keyframe", "before the end"])
def test_a_calm_scene_at_the_end_of_a_gop_is_sampled(decoder: Decoder, rate: int, seconds: float, gops: int) -> None:
    """Under grain no packet stands out: all are as large as that of a new picture, and nobody would see the scene."""
    calm = last(seconds, rate, gops)
    found = sample(decoder, rate, calm, INSERT)

    assert any(round(frame.pts_seconds * rate) in calm for frame in found.frames)
    assert found.unmoderated == ()


@pytest.mark.parametrize("rate", [10, 25])
def test_grain_that_stops_is_no_other_scene(decoder: Decoder, rate: int) -> None:
    """A camera that comes to rest would be sampled each time."""
    rests = sample(decoder, rate, last(1.0, rate, 2), GROUND)
    goes_on = sample(decoder, rate, range(0), GROUND)

    assert rests.unmoderated == ()
    assert len(rests.frames) <= len(goes_on.frames)
