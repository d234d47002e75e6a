"""Pictures that a broadcaster repeats, to send a film at another rate, are no news."""

import numpy as np
import pytest
from kinds import AV1, VP9
from media import CLOCK, Recipe, encode_pictures, photograph, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

SECONDS = 4.0
WIDTH, HEIGHT = 192, 108
PIXELS_A_SECOND = 90
"""Of the camera, in the mean."""
PHOTOGRAPH = np.hstack([photograph("astronaut", 4 * WIDTH, 4 * HEIGHT)[:HEIGHT]] * 2)
RECIPES = {"h264": x264(tune="zerolatency", keyint=500, scenecut=0), "vp9": VP9, "av1": AV1}
RATES = [(25, 59.94), (24, 60), (15, 59.94), (25, 30)]


def panned(seconds: float) -> NDArray[np.float64]:
    """A part of a photograph, along which the camera moves, fastest in the middle."""
    angle = 2 * np.pi * seconds / SECONDS
    moved = round(PIXELS_A_SECOND * (seconds - np.sin(angle) * SECONDS / (2 * np.pi)))
    return PHOTOGRAPH[:, moved : moved + WIDTH]


def sent(decoder: Decoder, recipe: Recipe, rate: float, sent_rate: float) -> SampledSegment:
    """A film of `rate` pictures a second, sent as more by repeating some."""
    ticks = [round(index * CLOCK / sent_rate) for index in range(round(SECONDS * sent_rate))]
    times = [np.floor(tick / CLOCK * rate + 1e-3) / rate for tick in ticks]
    data = encode_pictures(recipe, ticks, lambda index: panned(times[index]))
    return decoder.sample(data, profile=BALANCED, seed=b"repeats")


@pytest.mark.parametrize(("rate", "sent_rate"), RATES)
@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_film_that_is_sent_at_another_rate_is_sampled_as_often(
    decoder: Decoder, recipe: Recipe, rate: float, sent_rate: float
) -> None:
    """Every repeat in fast motion would look like the end of a strobe or a fade, until the budget refused pictures."""
    film, repeated = (sent(decoder, recipe, rate, shown) for shown in (rate, sent_rate))

    assert repeated.unmoderated == ()
    assert len(repeated.frames) <= len(film.frames) + 1
