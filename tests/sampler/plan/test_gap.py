"""The bounded gap: no stretch longer than the profile's `max_gap_seconds` is without a sample, borders included."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from kinds import SAME, clip, distance, reference
from media import CLOCK, FRAME_SECONDS, Recipe, cut, encode, keyframes, number_in, steady, x264

from config.profiles import BALANCED, ECONOMY, PROFILES, VIGILANT, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment, SampleReason
from sampler.limits import Limits

PICTURES = 300
STREAMS = {
    "b-frames, gops of 3.6 s": x264(bframes=3, keyint=90, min_keyint=90, scenecut=0),
    "open gops of 2 s": x264(open_gop=1, bframes=3, keyint=50, min_keyint=50, scenecut=0),
    "zerolatency, gops of 4.4 s": x264(tune="zerolatency", preset="ultrafast", keyint=110, min_keyint=110, scenecut=0),
    "keyframes only": x264(keyint=1),
}
LONG_GOP = x264(bframes=3, keyint=500, scenecut=0)
SHORT_GOPS = x264(bframes=3, keyint=45, min_keyint=45, scenecut=0)
"""Shorter than the gap: keyframes are all that time asks for."""
NTSC_TICKS = 3003
"""A picture's time at 29.97 pictures a second."""
ROUNDING_SECONDS = 1e-6
AUDITED = BALANCED.model_copy(update={"audits_per_minute": 60.0})
"""An audit each second, so that five seconds surely have one."""


@pytest.fixture(scope="module")
def windowed() -> Iterator[Decoder]:
    with Decoder(limits=Limits(window_seconds=1.0)) as shared:
        yield shared


def longest_gap(times: list[float], end_seconds: float) -> float:
    """Longest stretch of [0, end) without a sample."""
    return max(after - before for before, after in pairwise([0.0, *sorted(times), end_seconds]))


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("recipe", STREAMS.values(), ids=STREAMS.keys())
def test_the_bound_holds_across_the_borders_of_segments(
    decoder: Decoder, recipe: Recipe, profile: SamplingProfile
) -> None:
    """The end of one segment and the start of the next would together hide more than either may."""
    data = encode(recipe, steady(PICTURES))
    edges = [*keyframes(data), PICTURES]
    parts = cut(data, edges if len(edges) < 10 else [*edges[:-1:60], PICTURES])
    times: list[float] = []
    befores = [None, *(part.data for part in parts)]
    for part, before in zip(reversed(parts), befores[-2::-1], strict=True):  # the order must not matter
        segment = decoder.sample(part.data, profile=profile, seed=b"borders", before=before)
        start_seconds = part.numbers[0] * FRAME_SECONDS
        times += [start_seconds + frame.pts_seconds for frame in segment.frames]
        for frame in segment.frames:
            assert number_in(frame.picture.luma()) == part.numbers[round(frame.pts_seconds / FRAME_SECONDS)]
        assert segment.unmoderated == ()

    assert len(parts) >= 3
    assert min(times) == 0
    assert longest_gap(times, PICTURES * FRAME_SECONDS) <= profile.max_gap_seconds + FRAME_SECONDS + ROUNDING_SECONDS


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("pictures", [1, 2, 49, 50, 51, 52, 101, 175])
def test_the_bound_holds_at_every_duration(decoder: Decoder, pictures: int, profile: SamplingProfile) -> None:
    """A segment of an odd duration would leave its end, or its only picture, unsampled."""
    segment = decoder.sample(encode(LONG_GOP, steady(pictures)), profile=profile, seed=b"lengths")
    times = [frame.pts_seconds for frame in segment.frames]

    assert segment.frames_total == pictures
    assert times[0] == 0
    assert len(set(times)) == len(times)
    assert [number_in(frame.picture.luma()) for frame in segment.frames] == [
        round(seconds / FRAME_SECONDS) for seconds in times
    ]
    assert longest_gap(times, pictures * FRAME_SECONDS) <= profile.max_gap_seconds + FRAME_SECONDS + ROUNDING_SECONDS


def test_the_bound_holds_where_pictures_are_shown_for_long(decoder: Decoder) -> None:
    """A slide show, a picture every 1.5 s, would be sampled as at 25 pictures a second, and missed."""
    ticks = [index * CLOCK * 3 // 2 for index in range(8)]
    segment = decoder.sample(encode(LONG_GOP, ticks), profile=BALANCED, seed=b"slides")
    times = [frame.pts_seconds for frame in segment.frames]

    assert times[0] == 0
    assert longest_gap(times, ticks[-1] / CLOCK) <= BALANCED.max_gap_seconds + 1.5


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("kind", ["b-frames in mp4", "open gop", "intra refresh", "hevc, open gop", "av1", "mpeg-2"])
def test_the_bound_holds_across_the_windows_of_a_file(windowed: Decoder, kind: str, profile: SamplingProfile) -> None:
    """A film is read in windows: pictures at their borders would go unsampled."""
    segment = windowed.sample(clip(kind), profile=profile, seed=b"windows")
    times = [frame.pts_seconds for frame in segment.frames]

    assert segment.frames_total == len(reference(kind))
    assert times[0] == 0
    assert times == sorted(set(times))
    assert longest_gap(times, segment.duration_seconds) <= profile.max_gap_seconds + FRAME_SECONDS + ROUNDING_SECONDS
    for frame in segment.frames:
        assert distance(frame.picture.luma(), reference(kind)[round(frame.pts_seconds / FRAME_SECONDS)]) < SAME
        assert not frame.concealed
    assert segment.unmoderated == ()


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
def test_a_storm_of_cuts_breaks_neither_the_bound_nor_the_budget(decoder: Decoder, profile: SamplingProfile) -> None:
    """A broadcaster who cuts all the time would draw the samples away from a quiet stretch, or use up the CPU."""
    stormy = range(50, 150)
    data = encode(LONG_GOP, steady(250), lambda index: index // 4 if index in stormy else 0)
    segment = decoder.sample(data, profile=profile, seed=b"storm")
    times = [frame.pts_seconds for frame in segment.frames]
    cuts = [frame for frame in segment.frames if frame.reason is SampleReason.CUT]

    assert longest_gap(times, 250 * FRAME_SECONDS) <= profile.max_gap_seconds + FRAME_SECONDS + ROUNDING_SECONDS
    assert len(cuts) <= 2 * (profile.cuts_per_second * 250 * FRAME_SECONDS + 1)
    assert segment.frames_decoded <= 250


def test_a_closer_profile_takes_more_samples(decoder: Decoder) -> None:
    """An operator who chooses vigilance would get no more samples, or fewer than with economy."""
    data = encode(LONG_GOP, steady(250))
    taken = [
        len(decoder.sample(data, profile=profile, seed=b"profiles").frames) for profile in (ECONOMY, BALANCED, VIGILANT)
    ]

    assert taken[0] < taken[1] < taken[2]


def choices(segment: SampledSegment) -> list[tuple[float, SampleReason, bytes]]:
    """The samples: time, reason and content."""
    return [(frame.pts_seconds, frame.reason, frame.picture.luma().tobytes()) for frame in segment.frames]


def test_the_same_seed_gives_the_same_samples(decoder: Decoder) -> None:
    """A segment processed again after a crash would raise other hits, and be judged twice."""
    data = encode(SHORT_GOPS, steady(125))
    first = choices(decoder.sample(data, profile=AUDITED, seed=b"one"))
    with Decoder() as another:
        again = choices(another.sample(data, profile=AUDITED, seed=b"one"))

    assert first == again
    assert SampleReason.AUDIT in [reason for _, reason, _ in first]


def test_another_seed_fills_gaps_elsewhere(decoder: Decoder) -> None:
    """Anyone who has read our source would know when nobody looks."""
    data = encode(LONG_GOP, steady(125))
    seen = [decoder.sample(data, profile=BALANCED, seed=bytes([value])) for value in range(12)]
    gaps = {frame.pts_seconds for segment in seen for frame in segment.frames if frame.reason is SampleReason.GAP}

    assert len(gaps) >= 12
    assert min(gaps) < BALANCED.max_gap_seconds * 0.75
    for segment in seen:
        assert segment.max_gap_seconds <= BALANCED.max_gap_seconds + FRAME_SECONDS + ROUNDING_SECONDS


def test_another_seed_audits_other_pictures(decoder: Decoder) -> None:
    """Anyone who has read our source would know which pictures are never sampled."""
    data = encode(SHORT_GOPS, steady(125))
    seen = [decoder.sample(data, profile=AUDITED, seed=bytes([value])) for value in range(12)]
    audits = {frame.pts_seconds for segment in seen for frame in segment.frames if frame.reason is SampleReason.AUDIT}
    others = {
        tuple(frame.pts_seconds for frame in segment.frames if frame.reason is not SampleReason.AUDIT)
        for segment in seen
    }

    assert len(audits) >= 6
    assert max(audits) - min(audits) > 1
    assert len(others) <= 2  # an audit may fall on a picture that is sampled anyway


@pytest.mark.parametrize("gop", [60, 30])
def test_two_seconds_of_american_television_are_no_longer_than_the_gap(decoder: Decoder, gop: int) -> None:
    """All streams of 29.97 pictures a second would take twice the samples that those of 30 do, for 1 ms in 2 s."""
    recipe = x264(keyint=gop, min_keyint=gop, scenecut=0)
    data = encode(recipe, [index * NTSC_TICKS for index in range(240)])
    unaudited = BALANCED.model_copy(update={"audits_per_minute": 0.0})
    segment = decoder.sample(data, profile=unaudited, seed=b"television")

    assert [round(frame.pts_seconds * CLOCK / NTSC_TICKS) for frame in segment.frames] == [0, 60, 120, 180]
    assert segment.unmoderated == ()
