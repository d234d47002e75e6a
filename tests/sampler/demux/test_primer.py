"""Segments that begin without a keyframe: those of an intra refresh, and those that a packager cuts by the clock. Their
first pictures are decoded with the segment before."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from kinds import AV1, CLOSED, HEVC, MPEG2, VP9
from media import (
    CLOCK,
    RATE,
    cut,
    encode,
    encode_pictures,
    fragments,
    in_mp4,
    keyframes,
    level_error,
    number_in,
    photograph,
    remux,
    steady,
    x264,
)
from numpy.typing import NDArray

from config.profiles import BALANCED
from sampler.child.decoder import Decoder
from sampler.frames import HeadlessError, SampledSegment
from sampler.plan.budget import HANDED_OVER

PICTURE_MACROBLOCKS = 192 * 108 / 256
PICTURES = 50
"""Of a segment, which is shorter than a GOP of the kinds that have one."""
REFRESH = {"keyint": 50, "scenecut": 0, "intra_refresh": 1}
HEADLESS = {
    "refresh": x264(bframes=0, **REFRESH),
    "refresh, b-frames": x264(bframes=3, **REFRESH),
    "refresh, zerolatency": x264(preset="ultrafast", tune="zerolatency", **REFRESH),
    "refresh, slices": x264(slices=3, bframes=0, **REFRESH),
    "refresh, odd size": replace(x264(preset="medium", bframes=0, **REFRESH), width=322, height=178),
    "refresh in mp4": in_mp4(x264(bframes=0, **REFRESH), fragment_seconds=2),
    "cut by the clock": x264(bframes=0, **CLOSED),
    "cut by the clock, b-frames": x264(bframes=3, **CLOSED),
    "cut by the clock, open gops": x264(open_gop=1, bframes=3, **CLOSED),
    "hevc cut by the clock": HEVC,
    "mpeg-2 cut by the clock": MPEG2,
}


@cache
def segments(kind: str) -> tuple[tuple[bytes, ...], bytes, tuple[int, ...]]:
    """Three segments, their init section, and the number of the first picture of each."""
    recipe = HEADLESS[kind]
    data = encode(recipe, steady(3 * PICTURES))
    if recipe.container == "mp4":
        init, parts = fragments(data)
        return tuple(parts), init, tuple(range(0, 3 * PICTURES, PICTURES))
    starts = keyframes(data)[:3] if "refresh" in kind else range(0, 3 * PICTURES, PICTURES)
    parts = cut(data, [*starts, 3 * PICTURES])
    return tuple(part.data for part in parts), b"", tuple(part.numbers[0] for part in parts)


def with_before(decoder: Decoder, segment: bytes, before: bytes | None, init: bytes, sets: bytes) -> SampledSegment:
    """A segment's result as a worker has it: alone, then with the segment before."""
    try:
        first = decoder.sample(segment, init=init, profile=BALANCED, seed=b"primer", parameter_sets=sets)
    except HeadlessError as error:
        first = error.alone
    assert first.needs_before
    leading = decoder.sample(
        segment,
        init=init,
        profile=BALANCED,
        seed=b"primer",
        before=before,
        before_init=init,
        first=first,
        parameter_sets=sets,
    )
    return first.with_leading(leading)


def assert_right(segment: SampledSegment, first_number: int) -> None:
    for frame in segment.frames:
        if not frame.concealed:
            assert number_in(frame.picture.luma()) == first_number + round(frame.pts_seconds * RATE)
            assert level_error(frame.picture.luma()) < 4


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in a second pass"])
@pytest.mark.parametrize("kind", HEADLESS)
def test_first_pictures_are_sampled_with_the_segment_before(decoder: Decoder, kind: str, at_once: bool) -> None:
    """Honest streams would have up to two seconds of each segment unmoderated, and call for an operator for good."""
    parts, init, numbers = segments(kind)
    sets = decoder.sample(parts[0], init=init, profile=BALANCED, seed=b"primer").parameter_sets
    for before, data, number in zip(parts[:-1], parts[1:], numbers[1:], strict=True):
        seen = (
            decoder.sample(
                data, init=init, profile=BALANCED, seed=b"primer", before=before, before_init=init, parameter_sets=sets
            )
            if at_once
            else with_before(decoder, data, before, init, sets)
        )

        assert seen.unmoderated == ()
        assert not seen.needs_before
        assert next(frame.pts_seconds for frame in seen.frames if not frame.concealed) == 0
        assert_right(seen, number)


WITHIN_A_GOP = {"vp9": in_mp4(VP9, fragment_seconds=1), "av1": in_mp4(AV1, fragment_seconds=1)}
"""Not MPEG-2: such a segment does not say how large its pictures are."""


@pytest.mark.parametrize("kind", WITHIN_A_GOP)
def test_a_segment_without_any_keyframe_is_sampled_with_the_one_before(decoder: Decoder, kind: str) -> None:
    """A broadcaster with long GOPs, and a packager that cuts by the clock, would lose most of the stream."""
    init, [first, second, third] = fragments(encode(WITHIN_A_GOP[kind], steady(3 * RATE)))
    with pytest.raises(HeadlessError):
        decoder.sample(second, init=init, profile=BALANCED, seed=b"primer")
    seen = with_before(decoder, second, first, init, b"")

    assert seen.unmoderated == ()
    assert_right(seen, RATE)
    assert not with_before(decoder, third, second, init, b"").frames, "its keyframe is in neither"


@pytest.mark.parametrize("first", [8, 20, 33])
def test_a_segment_that_begins_within_a_wave_loses_no_more_than_the_rest_of_it(decoder: Decoder, first: int) -> None:
    """A packager that cuts by the clock would lose the first wave of each segment, up to all of it."""
    data = encode(HEADLESS["refresh"], steady(4 * PICTURES))
    edges = [number * PICTURES + first for number in range(4)]
    parts = cut(data, edges)
    sets = decoder.sample(cut(data, [0, first])[0].data, profile=BALANCED, seed=b"primer").parameter_sets
    for before, part in pairwise(parts):
        alone = decoder.sample(part.data, profile=BALANCED, seed=b"primer", parameter_sets=sets)
        seen = with_before(decoder, part.data, before.data, b"", sets)

        wave = 192 // 16
        assert sum(stretch.seconds for stretch in seen.unmoderated) * RATE <= max(wave - first, 0) + 1
        assert sum(stretch.seconds for stretch in alone.unmoderated) * RATE > PICTURES - first
        assert_right(seen, part.numbers[0])


@pytest.mark.parametrize("name", ["refresh", "refresh, b-frames", "cut by the clock, b-frames"])
def test_an_insert_at_the_beginning_is_sampled(decoder: Decoder, name: str) -> None:
    """Whoever uses an intra refresh would have a place in each segment where nobody ever sees anything."""
    recipe = HEADLESS[name]
    shown = range(PICTURES + 4, PICTURES + 17)
    insert = photograph("coffee", recipe.width, recipe.height)
    usual = photograph("astronaut", recipe.width, recipe.height)
    data = encode_pictures(recipe, steady(2 * PICTURES), lambda index: insert if index in shown else usual)
    first, second = cut(data, [0, PICTURES, 2 * PICTURES])
    sets = decoder.sample(first.data, profile=BALANCED, seed=b"primer").parameter_sets
    seen = with_before(decoder, second.data, first.data, b"", sets)
    nearest = [
        frame.pts_seconds
        for frame in seen.frames
        if not frame.concealed and distance(frame.picture.luma(), insert) < distance(frame.picture.luma(), usual)
    ]

    assert nearest
    assert all(second.numbers[0] + round(seconds * RATE) in shown for seconds in nearest)
    assert seen.unmoderated == ()


def distance(luma: NDArray[np.uint8], picture: NDArray[np.float64]) -> float:
    return float(np.abs(luma - picture).mean())


UNFIT = ("nothing", "none", "garbage", "another size", "another clock", "not the last but one", "itself", "damaged")


@cache
def unfit() -> dict[str, bytes | None]:
    """Bytes in the place of the segment before the second one of an intra refresh."""
    (first, second, _), _, _ = segments("refresh")
    large = encode(replace(HEADLESS["refresh"], width=320, height=180), steady(2 * PICTURES))
    damaged = bytearray(first)
    for start in range(len(first) // 8 // 188 * 188, len(first), 188):
        damaged[start + 20 : start + 188] = bytes(168)
    return {
        "nothing": b"",
        "none": None,
        "garbage": bytes(range(256)) * 100,
        "another size": cut(large, [0, PICTURES])[0].data,
        "another clock": remux(first, lambda _, pts: pts + 3600 * CLOCK),
        "not the last but one": remux(first, lambda _, pts: pts - CLOCK),
        "itself": second,
        "damaged": bytes(damaged),
    }


@pytest.mark.parametrize("kind", UNFIT)
def test_what_does_not_lead_up_to_the_segment_leaves_it_as_it_is(decoder: Decoder, kind: str) -> None:
    """Another stream's pictures would make up for what this one's refresh has not covered yet."""
    (first, second, _), _, (_, number, _) = segments("refresh")
    sets = decoder.sample(first, profile=BALANCED, seed=b"primer").parameter_sets
    alone = decoder.sample(second, profile=BALANCED, seed=b"primer", parameter_sets=sets)
    seen = with_before(decoder, second, unfit()[kind], b"", sets)

    assert alone.unmoderated
    assert seen.unmoderated == alone.unmoderated
    assert_right(seen, number)


@pytest.mark.parametrize("macroblocks", [1_000, 2_000, 4_000, 250_000])
@pytest.mark.parametrize("kind", ["refresh", "refresh, b-frames", "cut by the clock", "hevc cut by the clock"])
def test_both_passes_keep_to_one_bound(decoder: Decoder, kind: str, macroblocks: int) -> None:
    """A stream without keyframes would cost twice what its profile allows, or its pictures count as seen."""
    (before, data, _), _, (_, number, _) = segments(kind)
    profile = BALANCED.model_copy(update={"macroblocks_per_second": macroblocks})
    sets = decoder.sample(before, profile=BALANCED, seed=b"primer").parameter_sets
    alone = decoder.sample(data, profile=profile, seed=b"primer", parameter_sets=sets)
    leading = decoder.sample(data, profile=profile, seed=b"primer", before=before, first=alone, parameter_sets=sets)
    seen = alone.with_leading(leading)
    pictures = alone.frames_decoded + leading.frames_decoded + HANDED_OVER * len(alone.frames + leading.frames)

    assert pictures * PICTURE_MACROBLOCKS <= macroblocks * alone.duration_seconds
    assert_right(seen, number)
    assert_accounted(seen)


def assert_accounted(segment: SampledSegment) -> None:
    """Every picture has a right sample within the gap before it, or is in the ledger."""
    times = [frame.pts_seconds for frame in segment.frames if not frame.concealed]
    for index in range(PICTURES):
        seconds = index / RATE
        told = any(one.start_seconds <= seconds < one.end_seconds for one in segment.unmoderated)
        assert told or any(0 <= seconds - time <= BALANCED.max_gap_seconds + 1 / RATE for time in times)
