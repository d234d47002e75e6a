"""Pictures of more samples, or deeper ones, than most."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from media import Recipe, encode, encode_pictures, in_mp4, painted, photograph, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment
from sampler.plan.budget import cost_of

PICTURES, GOP = 100, 10
SECONDS = 4
MACROBLOCKS = 12 * 7
ENOUGH = 1.15
"""Times what decoding all pictures costs, of which samples count for some."""
LARGER = 3
"""Times the size of other clips: what pictures have to show must cost more than their bytes."""
FEW_SAMPLES = {"keyframe_spacing_seconds": 4, "max_gap_seconds": 4, "audits_per_minute": 0}
HIGH_BIT_DEPTH = 0x40
"""In the third byte of an av1C box."""
X265 = Recipe(
    codec="libx265", options={"preset": "ultrafast", "x265-params": f"keyint={GOP}:scenecut=0:crf=45:log-level=none"}
)
AV1 = Recipe(
    codec="libsvtav1",
    options={"preset": "12", "g": str(GOP), "svtav1-params": f"keyint={GOP}:scd=0:lp=1:crf=63"},
    container="mp4",
    width=208,
    height=128,
)
AV1_MACROBLOCKS = 13 * 8
VP9 = Recipe(
    codec="libvpx-vp9",
    options={"g": str(GOP), "keyint_min": str(GOP), "crf": "60", "b": "0", "deadline": "realtime", "cpu-used": "8"},
    container="mp4",
)


def look(decoder: Decoder, data: bytes, *, macroblocks_per_second: int) -> SampledSegment:
    """Samples a clip within a budget."""
    profile = BALANCED.model_copy(update=FEW_SAMPLES | {"macroblocks_per_second": macroblocks_per_second})
    return decoder.sample(data, profile=profile, seed=b"meter")


@pytest.mark.parametrize(
    ("recipe", "pixel_format", "weight", "macroblocks", "name"),
    [
        (in_mp4(x264(preset="ultrafast", keyint=GOP, scenecut=0, crf=45)), "yuv444p10le", 3.0, MACROBLOCKS, "h264"),
        (x264(preset="ultrafast", keyint=GOP, scenecut=0, crf=45), "yuv422p10le", 2.0, MACROBLOCKS, "h264"),
        (X265, "yuv444p12le", 3.0, MACROBLOCKS, "hevc"),
        (X265, "yuv420p10le", 1.5, MACROBLOCKS, "hevc"),
        (VP9, "yuv444p", 2.0, MACROBLOCKS, "vp9"),
        (AV1, "yuv420p10le", 1.5, AV1_MACROBLOCKS, "libdav1d"),
    ],
    ids=[
        "x264 4:4:4 of 10 bits",
        "x264 4:2:2 of 10 bits",
        "x265 4:4:4 of 12 bits",
        "x265 of 10 bits",
        "VP9 4:4:4",
        "AV1 of 10 bits",
    ],
)
def test_heavy_pictures_are_decoded_for_what_they_cost(
    decoder: Decoder, recipe: Recipe, pixel_format: str, weight: float, macroblocks: float, name: str
) -> None:
    """Counted as others, H.265 of 4:4:4 took 25 times a talking head's CPU."""
    large = replace(recipe, width=LARGER * recipe.width, height=LARGER * recipe.height)
    luma = cv2.GaussianBlur(painted(large, 0, 0), (0, 0), 12)
    data = encode_pictures(large, steady(PICTURES), lambda _index: luma)
    cost = cost_of(name)
    macroblocks *= LARGER**2
    budget = round(ENOUGH * (cost.macroblock * macroblocks * PICTURES + cost.byte * len(data)) / SECONDS)
    plain = look(decoder, data, macroblocks_per_second=budget)
    heavy_data = encode_pictures(replace(large, pixel_format=pixel_format), steady(PICTURES), lambda _index: luma)
    heavy = look(decoder, heavy_data, macroblocks_per_second=budget)

    assert plain.frames_decoded >= 0.7 * PICTURES
    assert heavy.frames
    assert heavy.frames_decoded * weight <= 1.4 * plain.frames_decoded
    assert {stretch.reason for stretch in heavy.unmoderated} == {"budget"}


def test_pictures_that_are_heavier_than_announced_end_decoding(decoder: Decoder) -> None:
    """A container may say anything of what is in it; only decoding tells."""
    data = bytearray(encode(replace(AV1, pixel_format="yuv420p10le"), steady(PICTURES)))
    place = data.index(b"av1C") + 4
    assert data[place + 2] & HIGH_BIT_DEPTH
    data[place + 2] &= ~HIGH_BIT_DEPTH
    budget = round(0.9 * AV1_MACROBLOCKS * PICTURES / SECONDS)
    segment = look(decoder, bytes(data), macroblocks_per_second=budget)

    assert segment.frames
    assert segment.frames_decoded < PICTURES
    assert {stretch.reason for stretch in segment.unmoderated} == {"budget"}
    assert segment.unmoderated[-1].end_seconds == pytest.approx(segment.duration_seconds)


def test_suspects_that_are_no_cuts_cost_no_samples(decoder: Decoder) -> None:
    """The last pictures of a noisy stream would go unseen, since samples were set aside for what is no cut."""
    recipe = x264(keyint=PICTURES, min_keyint=PICTURES, scenecut=0, crf=30, bframes=0)
    room = photograph("astronaut", recipe.width, recipe.height)
    noise = np.random.default_rng(3).normal(0, 1, (PICTURES, recipe.height, recipe.width))

    def swelling(index: int) -> NDArray[np.float64]:
        sigma = 10 + 14 * max(1 - abs(index % 33 - 16) / 6, 0)
        return np.clip(room + sigma * noise[index], 0, 255)

    data = encode_pictures(recipe, steady(PICTURES), swelling)
    profile = BALANCED.model_copy(update={"macroblocks_per_second": 9_000})
    segment = decoder.sample(data, profile=profile, seed=b"meter")

    assert segment.frames_decoded >= PICTURES
    assert segment.unmoderated == ()
