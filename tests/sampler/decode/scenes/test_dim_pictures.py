"""Dim pictures over dim ones are sampled where all pictures are compared, as bright ones are."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from kinds import AV1, VP9
from media import FRAME_SECONDS, Recipe, encode_pictures, photograph, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder

Luma = NDArray[np.float64]
WIDTH, HEIGHT = 320, 180
PICTURES = 100
START, STOP = 57, 71
"""Pictures [START, STOP) are the insert's."""
CONTRAST, GREY = 0.1, 40.0
BARS = 60
"""Columns of the bars at both sides of a narrow picture."""
RECIPES = {
    "av1": replace(AV1, width=WIDTH, height=HEIGHT, options=AV1.options | {"g": str(PICTURES)}),
    "vp9": replace(VP9, width=WIDTH, height=HEIGHT, options=VP9.options | {"g": str(PICTURES)}),
    "h264": replace(
        x264(keyint=PICTURES, scenecut=0, bframes=0, bitrate=300, vbv_maxrate=300, vbv_bufsize=15),
        width=WIDTH,
        height=HEIGHT,
    ),
}


def dim(name: str, *, bars: float | None) -> Luma:
    """A photograph as in a dark room, between bars of a level."""
    luma = GREY + CONTRAST * (photograph(name, WIDTH, HEIGHT) - 110)
    if bars is not None:
        luma[:, :BARS] = luma[:, -BARS:] = bars
    return luma


def noisy(luma: Luma, index: int, sigma: float) -> Luma:
    return np.clip(luma + np.random.default_rng(index).normal(0, sigma, luma.shape), 0, 255)


def cuts(decoder: Decoder, recipe: Recipe, shown: Luma, ground: Callable[[int], Luma], sigma: float = 0.5) -> list[int]:
    """Numbers of the sampled pictures that neither a keyframe nor a gap called for."""
    data = encode_pictures(
        recipe, steady(PICTURES), lambda index: noisy(shown if START <= index < STOP else ground(index), index, sigma)
    )
    segment = decoder.sample(data, profile=BALANCED, seed=b"dim")
    return [round(frame.pts_seconds / FRAME_SECONDS) for frame in segment.frames if frame.reason == "cut"]


@pytest.mark.parametrize(
    ("recipe", "bars"), [*((recipe, None) for recipe in RECIPES.values()), (RECIPES["av1"], 255.0)]
)
def test_a_dim_picture_over_another_one_is_sampled(decoder: Decoder, recipe: Recipe, bars: float | None) -> None:
    """What a dark room shows would go unseen, and bright bars beside it would hide it."""
    ground = dim("astronaut", bars=bars)
    found = cuts(decoder, recipe, dim("coffee", bars=bars), lambda _: ground)

    assert [number for number in found if START <= number < STOP]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_dim_scene_with_noise_shows_no_cuts(decoder: Decoder, recipe: Recipe) -> None:
    """The noise of a dark room would be hashed and classified picture by picture."""
    ground = dim("astronaut", bars=None)

    assert cuts(decoder, recipe, ground, lambda _: ground, 3) == []


def test_a_dim_picture_after_a_dim_strobe_is_sampled(decoder: Decoder) -> None:
    """All changes would be usual there, and none strong enough to be a strobe's."""
    levels = np.random.default_rng(1).uniform(0, 255, (PICTURES // 2, HEIGHT // 20, WIDTH // 20))
    flashes = [GREY + CONTRAST * (np.kron(one, np.ones((20, 20))) - 110) for one in levels]
    found = cuts(decoder, RECIPES["av1"], dim("coffee", bars=None), lambda index: flashes[index // 2])

    assert [number for number in found if START <= number < STOP]


FAINT, LIGHT = 0.15, 180.0
SIDE = 2
"""Windows are such a part of the picture's sides."""


def faint(recipe: Recipe, decoder: Decoder, window: Callable[[int], Luma | None], light: float = 0.0) -> list[int]:
    """Cuts of a bright picture with an even window, in which something faint is shown; all of its light changes by so
    many levels twice a second."""
    bright = photograph("astronaut", WIDTH, HEIGHT)

    def shown(index: int) -> Luma:
        luma = bright.copy()
        part = luma[20 : 20 + HEIGHT // SIDE, 40 : 40 + WIDTH // SIDE]
        inside = window(index)
        part[:] = LIGHT if inside is None else LIGHT + FAINT * (inside - 110)
        return noisy(luma + light * (index // 12 % 2), index, 1.0)

    data = encode_pictures(recipe, steady(PICTURES), shown)
    segment = decoder.sample(data, profile=BALANCED, seed=b"faint")
    return [round(frame.pts_seconds / FRAME_SECONDS) for frame in segment.frames if frame.reason == "cut"]


@pytest.mark.parametrize("name", ["coffee", "chelsea"])
@pytest.mark.parametrize("recipe", [RECIPES["av1"], RECIPES["vp9"], RECIPES["h264"]], ids=["av1", "vp9", "h264"])
def test_a_faint_picture_in_an_even_part_of_a_bright_one_is_sampled(
    decoder: Decoder, recipe: Recipe, name: str
) -> None:
    """It differs from the ground by a few levels wherever it does, of which none counts beside a bright picture's."""
    small = photograph(name, WIDTH // SIDE, HEIGHT // SIDE)
    found = faint(recipe, decoder, lambda index: small if START <= index < STOP else None)

    assert [number for number in found if START <= number < STOP]


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_light_that_changes_over_even_ground_shows_no_cuts(decoder: Decoder, recipe: Recipe) -> None:
    """Every camera that sets its exposure in front of a wall would be sampled all the time."""
    assert faint(recipe, decoder, lambda _: None, light=4.0) == []
