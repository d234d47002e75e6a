"""The result of an input with two video tracks: lost is what either of them lost, and each second once."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from sampler.frames import SampledSegment, Stretch
from sampler.plan.intervals import joined, length
from sampler.plan.tracks import as_one

SECONDS = 10.0
REASONS = ("gap", "budget", "leading")


def track(*unmoderated: Stretch, seconds: float = SECONDS) -> SampledSegment:
    return SampledSegment(
        frames=(),
        duration_seconds=seconds,
        frames_total=25,
        frames_decoded=5,
        max_gap_seconds=1.0,
        unmoderated=unmoderated,
        cpu_seconds={"demux": 0.1, "decode": 0.2},
        leading_seconds=0.5,
        macroblocks_left=100.0,
    )


def stretch(start: float, end: float, reason: str = "gap") -> Stretch:
    return Stretch(start_seconds=start, end_seconds=end, reason=reason)


@st.composite
def stretches(draw: st.DrawFn) -> list[Stretch]:
    edges = sorted(draw(st.sets(st.integers(0, int(SECONDS)), max_size=8)))
    pairs = list(zip(edges[::2], edges[1::2], strict=False))
    return [stretch(start, end, draw(st.sampled_from(REASONS))) for start, end in pairs]


@given(stretches(), stretches())
def test_time_is_lost_where_either_track_lost_it(first: list[Stretch], second: list[Stretch]) -> None:
    """A ledger would count a second twice, or as moderated that nobody saw of the track that is shown."""
    found = as_one([track(*first), track(*second)], leading_only=False).unmoderated

    lost = joined((one.start_seconds, one.end_seconds) for one in (*first, *second))
    assert joined((one.start_seconds, one.end_seconds) for one in found) == lost
    assert sum(one.seconds for one in found) == length(lost)
    assert all(before.end_seconds <= after.start_seconds for before, after in pairwise(found))


def test_before_the_first_picture_of_one_track_the_other_is_shown() -> None:
    """A segment whose tracks begin apart would count as lost for a time in which there was something to see."""
    late, later = (stretch(-seconds, 0.0, "no_pictures") for seconds in (1.0, 3.0))
    assert as_one([track(later), track(late)], leading_only=False).unmoderated == (late,)
    assert as_one([track(later), track()], leading_only=False).unmoderated == ()


def test_the_end_of_a_shorter_track_is_known_only_if_all_was_read() -> None:
    """Segments of open GOPs would count as lost after their leading pictures."""
    tracks = [track(), track(seconds=4.0)]
    assert as_one(tracks, leading_only=True).unmoderated == ()
    (end,) = as_one(tracks, leading_only=False).unmoderated
    assert end == stretch(4.0, SECONDS, "no_pictures")
    assert as_one([track(), track(seconds=SECONDS - 0.4)], leading_only=False).unmoderated == ()


def test_costs_add_up() -> None:
    """A second track would look free, and its leading pictures not worth fetching the segment before."""
    both = as_one([track(), track()], leading_only=False)
    assert (both.frames_total, both.frames_decoded, both.macroblocks_left) == (50, 10, 200)
    assert both.leading_seconds == 1
    assert both.cpu_seconds == {"demux": 0.2, "decode": 0.4}


def test_a_track_that_fails_in_the_second_pass_stays_lost() -> None:
    """Leading pictures would count as moderated because the track could not be read again."""
    alone = track(stretch(0.0, 0.5, "leading"))
    failed = SampledSegment(
        frames=(),
        duration_seconds=SECONDS,
        frames_total=25,
        frames_decoded=0,
        max_gap_seconds=SECONDS,
        unmoderated=(),
        cpu_seconds={},
        notes=("second_video_stream",),
    )
    assert alone.with_leading(failed).unmoderated == alone.unmoderated
