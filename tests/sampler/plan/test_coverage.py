"""Unmoderated stretches: nothing longer than the profile's gap goes unreported."""

import pytest
from hostile_media import RATE, segment, with_damage
from hypothesis import given
from hypothesis import strategies as st
from media import CLOCK, encode, x264

from config.profiles import BALANCED, ECONOMY, VIGILANT, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.frames import Stretch
from sampler.plan.coverage import longest_gap_seconds, spoken_for_until, unseen_stretches

FRAME_SECONDS = 1 / RATE
ROUNDING_SECONDS = 1e-6


def unseen(samples: list[int], *, pictures: int, gap: int, cut: int = 0) -> list[tuple[int, int]]:
    """Unmoderated stretches, in pictures, of an input with a picture a second."""
    shown = [float(second) for second in range(pictures)]
    found = unseen_stretches(
        [
            (float(second), spoken_for_until(shown, second, end_seconds=pictures, max_gap_seconds=gap))
            for second in samples
        ],
        duration_seconds=pictures,
        frame_seconds=0.0,
        max_gap_seconds=gap,
        reason="gap",
        cut_seconds=cut,
    )
    return [(round(stretch.start_seconds), round(stretch.end_seconds)) for stretch in found]


def test_the_first_sample_speaks_for_no_scene_before_its_own() -> None:
    """Concealed pictures of an insert would be moderated by the first right picture after it."""
    assert unseen([3], pictures=5, gap=3, cut=2) == [(0, 2)]
    assert unseen([3], pictures=5, gap=3, cut=3) == [(0, 3)]
    assert unseen([3], pictures=5, gap=3) == []


def test_a_sample_covers_what_follows_it_and_the_first_also_what_precedes_it() -> None:
    """A hole of up to twice the promised gap would count as moderated."""
    assert unseen([0, 3], pictures=6, gap=2) == []
    assert unseen([0, 4], pictures=6, gap=2) == [(3, 4)]
    assert unseen([0, 9], pictures=12, gap=2) == [(3, 9)]
    assert unseen([2], pictures=5, gap=2) == []
    assert unseen([5], pictures=12, gap=2) == [(0, 3), (8, 12)]
    assert unseen([], pictures=5, gap=2) == [(0, 5)]


@given(samples=st.sets(st.integers(0, 40), min_size=1), gap=st.integers(1, 6))
def test_each_picture_is_covered_or_reported(samples: set[int], gap: int) -> None:
    """A picture would be in neither column of the ledger, or in both."""
    told = unseen(sorted(samples), pictures=41, gap=gap)
    first = min(samples)
    for picture in range(41):
        spoken_for = any(0 <= picture - sample <= gap for sample in samples) or 0 < first - picture <= gap
        assert spoken_for is not any(start <= picture < end for start, end in told)


@pytest.mark.parametrize("profile", [ECONOMY, BALANCED, VIGILANT], ids=lambda profile: profile.name)
def test_a_hole_between_two_samples_is_reported(decoder: Decoder, profile: SamplingProfile) -> None:
    """Well-timed damage would hide twice as much as the profile promises, unnoticed.

    Pictures that were decoded and lean on the damage are told, too."""
    first, last = RATE + 1, RATE * (1 + round(2 * profile.max_gap_seconds)) - 1
    data = with_damage(segment(seconds=last * FRAME_SECONDS + 3), first, last + 1)
    seen = decoder.sample(data, profile=profile, seed=b"")
    clean = [frame.pts_seconds for frame in seen.frames if not frame.concealed]
    before = max(seconds for seconds in clean if seconds < first * FRAME_SECONDS - ROUNDING_SECONDS)
    after = min(seconds for seconds in clean if seconds > last * FRAME_SECONDS + ROUNDING_SECONDS)
    assert profile.max_gap_seconds + FRAME_SECONDS < after - before
    (stretch,) = seen.unmoderated
    earliest, latest = first * FRAME_SECONDS, before + profile.max_gap_seconds + FRAME_SECONDS
    assert earliest - ROUNDING_SECONDS <= stretch.start_seconds <= latest + ROUNDING_SECONDS
    assert stretch.end_seconds == pytest.approx(after, abs=ROUNDING_SECONDS)
    assert {stretch.reason for stretch in seen.unmoderated} <= {"concealed", "undecodable"}


def test_a_picture_shown_for_long_is_no_hole(decoder: Decoder) -> None:
    """A slide show whose pictures are all sampled would report gaps all the time."""
    ticks = [index * 5 * CLOCK for index in range(4)]
    seen = decoder.sample(encode(x264(keyint=1), ticks), profile=BALANCED, seed=b"")
    assert [round(frame.pts_seconds) for frame in seen.frames] == [0, 5, 10, 15]
    assert seen.unmoderated == ()


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
def test_time_before_the_first_picture_is_reported(decoder: Decoder, container: str) -> None:
    """A segment with sound from the start and pictures only in its last second would count as short and wholly
    moderated."""
    data = segment(container, seconds=4.0, audio_seconds=4.0, video_from_seconds=3.0)
    seen = decoder.sample(data, profile=BALANCED, seed=b"")
    assert seen.duration_seconds == pytest.approx(1.0)
    (stretch,) = seen.unmoderated
    assert stretch == Stretch(start_seconds=stretch.start_seconds, end_seconds=0.0, reason="no_pictures")
    assert stretch.seconds == pytest.approx(3.0, abs=0.05)


def test_sound_that_begins_slightly_earlier_is_no_gap(decoder: Decoder) -> None:
    """Every segment of a packager that cuts sound and pictures some frames apart would report a gap."""
    seen = decoder.sample(segment(audio_seconds=2.0, video_from_seconds=0.3), profile=BALANCED, seed=b"")
    assert seen.unmoderated == ()


def test_the_longest_gap_includes_both_ends() -> None:
    """A scan that sampled only the middle of a file would claim to cover all of it."""
    assert longest_gap_seconds([3.0, 4.0], 10.0) == 6.0
    assert longest_gap_seconds([3.0, 9.0, 9.5], 10.0) == 6.0
    assert longest_gap_seconds([5.5], 10.0) == 5.5
    assert longest_gap_seconds([], 10.0) == 10.0
