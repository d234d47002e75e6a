"""Other content that is hidden by more than its place between keyframes is sampled, or its time is not called seen."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from kinds import AV1, x265
from media import CLOCK, FRAME_SECONDS, Recipe, encode_pictures, photograph, steady, x264
from numpy.typing import NDArray

from config.profiles import BALANCED, SamplingProfile
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment
from sampler.limits import Limits

Luma = NDArray[np.float64]
WIDTH, HEIGHT = 192, 108
PICTURES = 100
START, STOP = 57, 71
"""Pictures [START, STOP) are the insert's, if nothing else is said."""
CLOSED = {"keyint": PICTURES, "min_keyint": PICTURES, "scenecut": 0}
X264 = x264(bframes=3, **CLOSED)
BLOCK = 12
"""Pixels of one side of the blocks of patterns, which encoders keep apart."""


def patterns(count: int, seed: int) -> list[Luma]:
    """Patterns of which no two are alike, (HEIGHT, WIDTH)."""
    levels = np.random.default_rng(seed).uniform(0, 255, (count, HEIGHT // BLOCK, WIDTH // BLOCK))
    return [np.kron(one, np.ones((BLOCK, BLOCK))) for one in levels]


GROUND, OTHER = (photograph(name, WIDTH, HEIGHT) for name in ("astronaut", "coffee"))


def drifting(index: int) -> Luma:
    """The ground, which moves a little as a hand-held camera's."""
    return np.roll(GROUND, index // 3, axis=1)


def sampled(
    decoder: Decoder, recipe: Recipe, luma: Callable[[int], Luma], profile: SamplingProfile = BALANCED
) -> SampledSegment:
    return decoder.sample(encode_pictures(recipe, steady(PICTURES), luma), profile=profile, seed=b"hidden")


def seen(segment: SampledSegment, start: int = START, stop: int = STOP) -> list[int]:
    """Numbers of the sampled pictures in [start, stop)."""
    numbers = [round(frame.pts_seconds / FRAME_SECONDS) for frame in segment.frames if not frame.concealed]
    return [number for number in numbers if start <= number < stop]


@pytest.mark.parametrize(
    "recipe",
    [
        x264(open_gop=1, bframes=16, b_adapt=0, keyint=34, min_keyint=34, scenecut=0),
        x265(bframes=16, b_adapt=0, rc_lookahead=30, keyint=34, min_keyint=34, scenecut=0),
    ],
    ids=["h264", "hevc"],
)
def test_an_insert_in_leading_pictures_is_sampled(decoder: Decoder, recipe: Recipe) -> None:
    """Pictures that are shown before a keyframe and coded after it were never decoded, and called seen."""
    segment = sampled(decoder, recipe, lambda index: OTHER if 56 <= index < 67 else drifting(index))

    assert seen(segment, 56, 67)


@pytest.mark.parametrize("rate", [8, 10, 12])
@pytest.mark.parametrize("late", [1, 2, 3, 4])
def test_an_insert_up_to_a_keyframe_is_sampled_however_few_pictures_there_are(
    decoder: Decoder, rate: int, late: int
) -> None:
    """It has one end among three P-frames of a GOP, and was in silence nowhere, if it is calmer than the scene."""
    recipe = x264(bframes=3, keyint=rate, min_keyint=rate, scenecut=0)
    insert, start, stop = photograph("rocket", WIDTH, HEIGHT), rate + late, 2 * rate
    ticks = [index * CLOCK // rate for index in range(4 * rate)]
    data = encode_pictures(recipe, ticks, lambda index: insert if start <= index < stop else GROUND)
    found = decoder.sample(data, profile=BALANCED, seed=b"hidden")

    assert any(start <= round(frame.pts_seconds * rate) < stop for frame in found.frames)


@pytest.mark.parametrize("rate", [6, 8, 10])
@pytest.mark.parametrize("seconds", [0.5, 0.7, 0.9])
def test_a_still_insert_into_grain_is_sampled_however_few_pictures_there_are(
    decoder: Decoder, rate: int, seconds: float
) -> None:
    """Its pictures are a sixth as large as those before it, and were taken for repeats, as a slow camera's are."""
    gop, insert = 2 * rate, photograph("rocket", WIDTH, HEIGHT)
    start, stop = 2 * gop - math.ceil(seconds * rate), 2 * gop
    recipe = x264(bframes=2, keyint=gop, min_keyint=gop, scenecut=0)

    def grain(index: int) -> Luma:
        return np.clip(GROUND + np.random.default_rng(index).normal(0, 6, GROUND.shape), 0, 255)

    ticks = [index * CLOCK // rate for index in range(3 * gop)]
    data = encode_pictures(recipe, ticks, lambda index: insert if start <= index < stop else grain(index))
    found = decoder.sample(data, profile=BALANCED, seed=b"hidden")

    assert any(start <= round(frame.pts_seconds * rate) < stop for frame in found.frames)


@pytest.mark.parametrize("share", [2, 3])
def test_an_insert_in_a_small_window_is_sampled(decoder: Decoder, share: int) -> None:
    """Most of a picture is predicted while another one runs in a corner of it."""
    small = photograph("coffee", WIDTH // share, HEIGHT // share)

    def composed(index: int) -> Luma:
        luma = drifting(index).copy()
        if START <= index < STOP:
            luma[8 : 8 + small.shape[0], 16 : 16 + small.shape[1]] = small
        return luma

    assert seen(sampled(decoder, X264, composed))


@pytest.mark.parametrize("recipe", [X264, AV1], ids=["h264", "av1"])
def test_a_strobe_does_not_pay_with_an_insert_elsewhere(decoder: Decoder, recipe: Recipe) -> None:
    """The strongest cuts of a segment would all be the strobe's."""
    flashes = patterns(PICTURES, 1)

    def flashing(index: int) -> Luma:
        if index < 40:
            return flashes[index]
        return OTHER if START <= index < STOP else drifting(index)

    segment = sampled(decoder, recipe, flashing)

    assert seen(segment)
    assert len(segment.frames) <= BALANCED.samples_per_second * (PICTURES * FRAME_SECONDS + 1)


def test_an_insert_under_grain_beside_bars_is_sampled(decoder: Decoder) -> None:
    """Grain makes every packet as large as a cut's, and still bars make most of the picture predicted."""
    random = np.random.default_rng(2)

    def upright(index: int) -> Luma:
        luma = np.full((HEIGHT, WIDTH), 16.0)
        inner = OTHER if START <= index < STOP else drifting(index)
        grain = random.normal(0, 12, (HEIGHT, WIDTH // 3))
        luma[:, WIDTH // 3 : 2 * WIDTH // 3] = np.clip(inner[:, WIDTH // 3 : 2 * WIDTH // 3] + grain, 0, 255)
        return luma

    assert seen(sampled(decoder, X264, upright))


def test_a_fade_is_sampled_where_it_has_settled(decoder: Decoder) -> None:
    """A blend of two pictures matches no list."""
    fade = 10
    start, stop = 30, 60

    def faded(index: int) -> Luma:
        weight = np.clip(min(index - start, stop - index) / fade, 0.0, 1.0)
        return weight * OTHER + (1 - weight) * GROUND

    profile = BALANCED.model_copy(update={"max_gap_seconds": 4.0})
    segment = sampled(decoder, AV1, faded, profile)
    listed = hash_luma(OTHER.astype(np.uint8))

    assert min(listed.distance(hash_luma(frame.picture.luma())) for frame in segment.frames) <= 31


@pytest.mark.parametrize("start", [30, 50, 60])
def test_an_insert_is_sampled_where_its_pictures_are_decoded_for_others(decoder: Decoder, start: int) -> None:
    """What fades in and out stands out in no packet, and nobody looked at what was decoded on the way."""
    fade, stop = 8, start + 12
    recipe = x264(tune="zerolatency", **CLOSED)

    def faded(index: int) -> Luma:
        weight = np.clip(min(index - start, stop - index) / fade + 1, 0.0, 1.0)
        return weight * OTHER + (1 - weight) * drifting(index)

    assert seen(sampled(decoder, recipe, faded), start, stop)


WIPED = {
    "by columns": np.tile(np.arange(WIDTH) / WIDTH, (HEIGHT, 1)),
    "by blocks": np.kron(
        np.random.default_rng(5).permutation(144).reshape(9, 16) / 144, np.ones((HEIGHT // 9, WIDTH // 16))
    ),
}
"""Share of the change at which each pixel shows the other picture."""


@pytest.mark.parametrize("order", WIPED.values(), ids=WIPED.keys())
@pytest.mark.parametrize("duration", [8, 12])
@pytest.mark.parametrize(
    "recipe",
    [x264(tune="zerolatency", **CLOSED), x265(bframes=0, rc_lookahead=0, **CLOSED), AV1],
    ids=["h264", "hevc", "av1"],
)
def test_a_scene_that_comes_in_piece_by_piece_is_sampled_whole(
    decoder: Decoder, recipe: Recipe, duration: int, order: Luma
) -> None:
    """A wipe is a little new in every picture, none of which stands out, and a blend of two scenes matches no list."""
    start, stop = 40, 58

    def wiped(index: int) -> Luma:
        share = np.clip(min(index - start, stop - index) / duration + 1, 0.0, 1.0)
        return np.where(order < share, OTHER, drifting(index))

    profile = BALANCED.model_copy(update={"max_gap_seconds": 4.0, "audits_per_minute": 0.0})
    segment = sampled(decoder, recipe, wiped, profile)

    assert seen(segment, start, stop)


TIGHT = x264(bframes=3, bitrate=60, vbv_maxrate=60, vbv_bufsize=12, **CLOSED)


@pytest.mark.parametrize("start", [40, 55, 60])
def test_blocks_that_change_one_by_one_between_b_frames_are_sampled(decoder: Decoder, start: int) -> None:
    """Few packets build up there, a small buffer evens them out, and each one's own blocks prove nothing."""
    stop, duration = start + 14, 14

    def blended(index: int) -> Luma:
        share = np.clip(min(index - start, stop - index) / duration + 1, 0.0, 1.0)
        return np.where(WIPED["by blocks"] < share, OTHER, GROUND)

    profile = BALANCED.model_copy(update={"max_gap_seconds": 4.0, "audits_per_minute": 0.0})
    segment = sampled(decoder, TIGHT, blended, profile)

    assert seen(segment, start, stop)


def test_a_sample_of_a_blend_is_not_the_last_of_what_comes_in(decoder: Decoder) -> None:
    """Three quarters of a picture match no list."""
    start, stop, duration = 40, 54, 18

    def blended(index: int) -> Luma:
        share = np.clip(min(index - start, stop - index) / duration + 1, 0.0, 1.0)
        return np.where(WIPED["by blocks"] < share, OTHER, drifting(index))

    profile = BALANCED.model_copy(update={"max_gap_seconds": 4.0, "audits_per_minute": 0.0})
    segment = sampled(decoder, TIGHT, blended, profile)

    assert seen(segment, start - 12, start)
    assert seen(segment, start, stop)


def test_a_sample_that_falls_into_a_change_is_not_the_last_of_what_comes_in(decoder: Decoder) -> None:
    """Its gap is drawn: some segments had a blend sampled that was too much like the whole to sample that as well."""
    start, stop, duration = 40, 58, 10

    def wiped(index: int) -> Luma:
        share = np.clip(min(index - start, stop - index) / duration + 1, 0.0, 1.0)
        return np.where(WIPED["by blocks"] < share, OTHER, GROUND)

    data = encode_pictures(AV1, steady(PICTURES), wiped)
    segments = [decoder.sample(data, profile=BALANCED, seed=bytes([seed])) for seed in range(24)]

    assert any(seen(segment, start - 4, start) for segment in segments)
    assert all(seen(segment, start, stop) for segment in segments)


def test_a_file_s_busy_beginning_leaves_the_rest_its_samples() -> None:
    """A scan of a trailer took 107 of its 120 pictures in the first four seconds."""
    flashes = patterns(PICTURES, 3)

    def trailer(index: int) -> Luma:
        if index < PICTURES:
            return flashes[index]
        return OTHER if 3 * PICTURES <= index < 3 * PICTURES + 14 else drifting(index)

    data = encode_pictures(X264, steady(4 * PICTURES), trailer)
    with Decoder(limits=Limits.for_files()) as decoder:
        segment = decoder.sample(data, profile=BALANCED, seed=b"file")

    assert seen(segment, 3 * PICTURES, 3 * PICTURES + 14)
    assert len(seen(segment, 0, PICTURES)) <= BALANCED.samples_per_second * (PICTURES * FRAME_SECONDS + 1)


def test_an_ordinary_stream_is_refused_nothing(decoder: Decoder) -> None:
    """Honest broadcasters would be reported for their coverage."""
    segment = sampled(decoder, X264, drifting)

    assert segment.unmoderated == ()
    assert len(segment.frames) <= 3


def test_time_that_the_budget_refuses_is_unmoderated(decoder: Decoder) -> None:
    """What nobody has seen would count as seen."""
    flashes = patterns(PICTURES, 4)
    segment = sampled(decoder, X264, lambda index: flashes[index])

    assert {stretch.reason for stretch in segment.unmoderated} == {"budget"}
    assert sum(stretch.seconds for stretch in segment.unmoderated) > 1
