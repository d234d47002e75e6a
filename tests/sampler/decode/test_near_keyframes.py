"""Keyframes nearer to each other than the gap are taken if they show something new. Low-latency encoders make them."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from kinds import AV1, x265
from media import RATE, Recipe, changed, encode_pictures, photograph, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment, SampleReason

SECONDS = 4
WIDTH, HEIGHT = 192, 108
GROUND = photograph("astronaut", 4 * WIDTH, 4 * HEIGHT)[:HEIGHT]
OTHER = photograph("coffee", WIDTH, HEIGHT)
GOP_SECONDS = [0.48, 1.0]
CODECS = ["h264", "hevc", "av1"]


def recipe(codec: str, gop_seconds: float) -> Recipe:
    """Keyframes so far apart, and no others."""
    gop = round(gop_seconds * RATE)
    if codec == "av1":
        return replace(AV1, options=AV1.options | {"g": str(gop)})
    if codec == "hevc":
        return x265(keyint=gop, min_keyint=gop, open_gop=0)
    return x264(tune="zerolatency", keyint=gop, min_keyint=gop, scenecut=0)


def sample(decoder: Decoder, data: bytes) -> SampledSegment:
    found = decoder.sample(data, profile=BALANCED, seed=b"near keyframes")
    assert found.max_gap_seconds <= BALANCED.max_gap_seconds + 1 / RATE
    return found


def clip(codec: str, gop_seconds: float, show: Callable[[int], NDArray[np.float64]]) -> bytes:
    return encode_pictures(recipe(codec, gop_seconds), steady(SECONDS * RATE), show)


def resting(_index: int) -> NDArray[np.float64]:
    return GROUND[:, :WIDTH]


def panned(index: int) -> NDArray[np.float64]:
    """A camera that moves along: after half a second much of the picture is another."""
    return GROUND[:, 2 * index : 2 * index + WIDTH]


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("gop_seconds", GOP_SECONDS)
def test_a_scene_is_sampled_for_its_time_however_many_keyframes_it_has(
    decoder: Decoder, codec: str, gop_seconds: float
) -> None:
    """Each keyframe of a still camera would be handed over and hashed, four times as many as its time calls for."""
    found = sample(decoder, clip(codec, gop_seconds, resting))

    assert len(found.frames) <= SECONDS / BALANCED.max_gap_seconds + 1
    assert found.unmoderated == ()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("gop_seconds", GOP_SECONDS)
@pytest.mark.parametrize("times", [1, 3], ids=["each picture once", "each picture three times"])
def test_a_camera_that_moves_is_sampled_for_its_time(
    decoder: Decoder, codec: str, gop_seconds: float, times: int
) -> None:
    """A keyframe with another view would be classified though no cut led to it: before a keyframe a picture that is
    sent again rests."""
    slower = round(gop_seconds / GOP_SECONDS[0])
    found = sample(decoder, clip(codec, gop_seconds, lambda index: panned((index - index % times) // slower)))

    assert len(found.frames) <= SECONDS / BALANCED.max_gap_seconds + 1
    assert found.unmoderated == ()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("gop_seconds", GOP_SECONDS)
@pytest.mark.parametrize("gop", [1, 3])
@pytest.mark.parametrize("ground", [resting, panned])
def test_an_insert_from_keyframe_to_keyframe_is_sampled(
    decoder: Decoder, codec: str, gop_seconds: float, gop: int, ground: Callable[[int], NDArray[np.float64]]
) -> None:
    """Whoever cuts at keyframes would be seen nowhere: no packet of a GOP tells that its keyframe is another scene."""
    start, stop = (round(number * gop_seconds * RATE) for number in (gop, gop + 1))
    found = sample(decoder, clip(codec, gop_seconds, lambda index: OTHER if start <= index < stop else ground(index)))

    assert any(start <= round(frame.pts_seconds * RATE) < stop for frame in found.frames)


def refined(_index: int) -> NDArray[np.float64]:
    """A slide, which an encoder in haste makes clear little by little."""
    return photograph("astronaut", WIDTH, HEIGHT)


def fast(index: int) -> NDArray[np.float64]:
    """A camera so fast that the next picture shows a twentieth of another view."""
    return GROUND[:, 8 * index % (3 * WIDTH) :][:, :WIDTH]


HASTY = x264(preset="ultrafast", tune="zerolatency", keyint=2 * RATE, min_keyint=2 * RATE, scenecut=0)


@pytest.mark.parametrize(
    ("used", "ground", "seconds"),
    [(HASTY, refined, 3), (recipe("hevc", 1.0), fast, 4)],
    ids=["a slide", "a fast camera"],
)
def test_a_scene_from_a_keyframe_on_is_sampled_however_late_the_sample_before(
    decoder: Decoder, used: Recipe, ground: Callable[[int], NDArray[np.float64]], seconds: int
) -> None:
    """An audit would speak for what comes up to 2 s later, another scene or not, and the ledger would say nothing."""
    start, stop = 2 * RATE, 3 * RATE
    data = encode_pictures(
        used, steady(seconds * RATE), lambda index: OTHER if start <= index < stop else ground(index)
    )
    often = BALANCED.model_copy(update={"audits_per_minute": 25.0})
    for seed in range(12):
        found = decoder.sample(data, profile=often, seed=seed.to_bytes(8))
        inside = [frame for frame in found.frames if start <= round(frame.pts_seconds * RATE) < stop]
        assert any(frame.reason is not SampleReason.AUDIT for frame in inside)


@pytest.mark.parametrize("codec", CODECS)
def test_a_picture_that_came_slowly_over_a_keyframe_is_sampled(decoder: Decoder, codec: str) -> None:
    """Each of its pictures differs little from the one before, so that it would seem to go on with the scene."""
    start, whole, stop = (round(seconds * RATE) for seconds in (1.4, 2.6, 3.6))

    def show(index: int) -> NDArray[np.float64]:
        share = float(np.clip((index - start) / (whole - start), 0, 1))
        return panned(index) if index >= stop else (1 - share) * panned(index) + share * OTHER

    found = sample(decoder, clip(codec, 1.0, show))

    assert any(whole <= round(frame.pts_seconds * RATE) < stop for frame in found.frames)


def test_a_broken_keyframe_leaves_no_gap_that_another_would_have_filled(decoder: Decoder) -> None:
    """Keyframes that were left out for one that cannot be decoded would leave the rest of the segment unmoderated."""
    broken = 2 * RATE

    def damage(number: int, data: bytes) -> bytes:
        return data[:40] + bytes(len(data) - 40) if number == broken else data

    data = changed(clip("h264", 1.0, resting), damage, lambda _, stamp: stamp)
    often = BALANCED.model_copy(update={"audits_per_minute": 25.0})
    for profile, seed in ((BALANCED, 0), *((often, seed) for seed in range(12))):
        found = decoder.sample(data, profile=profile, seed=seed.to_bytes(8))

        assert any(3 - 1e-3 <= frame.pts_seconds < 3.5 and not frame.concealed for frame in found.frames)
        assert all(one.start_seconds >= 2 - 1e-3 and one.end_seconds <= 3 + 1e-3 for one in found.unmoderated)
