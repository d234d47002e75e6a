"""Other details over the same means, and other colours, are other pictures where all pictures are compared."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from kinds import AV1, VP9
from media import FRAME_SECONDS, Recipe, encode_pictures, no_tint, photograph, steady
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

Luma = NDArray[np.float64]
WIDTH, HEIGHT = 320, 180
PICTURES = 100
START, STOP = 57, 71
"""Pictures [START, STOP) are the insert's."""
RECIPES = {
    "av1": replace(AV1, width=WIDTH, height=HEIGHT, options=AV1.options | {"g": str(PICTURES)}),
    "vp9": replace(VP9, width=WIDTH, height=HEIGHT, options=VP9.options | {"g": str(PICTURES)}),
}
GROUND = photograph("astronaut", WIDTH, HEIGHT)


def coarse(luma: Luma) -> Luma:
    """Each pixel's mean over its part of 32 × 18 parts of the picture."""
    means = cv2.resize(luma, (32, 18), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(means, (WIDTH, HEIGHT), interpolation=cv2.INTER_NEAREST), np.float64)


def noisy(luma: Luma, index: int) -> Luma:
    return np.clip(luma + np.random.default_rng(index).normal(0, 1.5, luma.shape), 0, 255)


def cuts(
    decoder: Decoder,
    recipe: Recipe,
    luma: Callable[[int], Luma],
    tint: Callable[[int], tuple[float, float]] = no_tint,
) -> list[int]:
    """Numbers of the sampled pictures that neither a keyframe nor a gap called for."""
    data = encode_pictures(recipe, steady(PICTURES), luma, tint)
    segment = decoder.sample(data, profile=BALANCED, seed=b"details")
    return [round(frame.pts_seconds / FRAME_SECONDS) for frame in segment.frames if frame.reason == "cut"]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
@pytest.mark.parametrize("name", ["coffee", "rocket"])
def test_another_picture_s_details_over_the_same_means_are_sampled(decoder: Decoder, recipe: Recipe, name: str) -> None:
    """A picture that everybody recognises would go unseen, for as long as its parts are as bright as before."""
    other = photograph(name, WIDTH, HEIGHT)
    shown = np.clip(coarse(GROUND) + other - coarse(other), 0, 255)

    found = cuts(decoder, recipe, lambda index: noisy(shown if START <= index < STOP else GROUND, index))

    assert [number for number in found if START <= number < STOP]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_other_colours_alone_are_sampled(decoder: Decoder, recipe: Recipe) -> None:
    """A picture whose colours are all that it shows would go unseen."""

    def tint(index: int) -> tuple[float, float]:
        return (100.0, 150.0) if START <= index < STOP else (128.0, 128.0)

    found = cuts(decoder, recipe, lambda index: noisy(GROUND, index), tint)

    assert [number for number in found if START <= number < STOP]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_still_scene_with_noise_shows_no_cuts(decoder: Decoder, recipe: Recipe) -> None:
    """The noise of a dark room would be hashed and classified picture by picture."""
    assert cuts(decoder, recipe, lambda index: noisy(GROUND, index)) == []
