"""The arithmetic of the coverage ledger."""

from hypothesis import given
from hypothesis import strategies as st

from sampler.frames import Stretch
from sampler.plan.intervals import length, without
from worker.moderation.accounting import account, reach

SECONDS = st.floats(min_value=0, max_value=60, allow_nan=False)
INSTANTS = st.lists(SECONDS, max_size=20)


@st.composite
def stretches(draw: st.DrawFn) -> list[Stretch]:
    """Ordered, disjoint stretches, as in a verdict."""
    marks = sorted(draw(st.lists(SECONDS, max_size=12, unique=True)))
    reasons = st.sampled_from(["gap", "undecodable", "classifier_failed", "budget", "leading"])
    return [
        Stretch(start_seconds=start - shift, end_seconds=end - shift, reason=draw(reasons))
        for shift in [draw(st.sampled_from([0, 0, 30]))]
        for start, end in zip(marks[::2], marks[1::2], strict=False)
    ]


@given(extinf_ms=st.integers(0, 60_000), duration=SECONDS, late=SECONDS, dark=stretches(), unhashable=SECONDS)
def test_shares_sum_to_extinf_exactly(
    extinf_ms: int, duration: float, late: float, dark: list[Stretch], unhashable: float
) -> None:
    """The coverage equation would be off by a millisecond a segment, and raise false alarms."""
    share = account(
        extinf_ms,
        duration_seconds=duration,
        reordered_seconds=late,
        unmoderated=dark,
        unhashable_seconds=unhashable,
    )
    assert share.moderated_ms + sum(share.failed_ms.values()) + sum(share.skipped_ms.values()) == extinf_ms
    assert set(share.skipped_ms) <= {"budget"}
    assert "budget" not in share.failed_ms
    assert 0 <= share.unhashable_ms <= share.moderated_ms
    assert all(part > 0 for part in share.lost_ms.values())


def test_a_segment_shorter_than_declared_is_failed_short() -> None:
    """A truncated segment would count as moderated to its end."""
    share = account(4_000, duration_seconds=2.5, unmoderated=(), unhashable_seconds=0)
    assert share.failed_ms == {"short": 1_500}
    assert share.moderated_ms == 2_500


def test_time_of_the_next_segments_leading_pictures_is_no_loss() -> None:
    """Each second segment of a slow camera with open GOPs would be reported as truncated."""
    share = account(4_000, duration_seconds=2.5, reordered_seconds=1.0, unmoderated=(), unhashable_seconds=0)
    assert (share.moderated_ms, share.failed_ms) == (4_000, {})
    share = account(4_000, duration_seconds=2.4, reordered_seconds=1.0, unmoderated=(), unhashable_seconds=0)
    assert share.failed_ms == {"short": 1_600}


def test_no_more_is_excused_than_there_are_pictures() -> None:
    """A broadcaster could have a segment of half a second counted as ten, by stamping a picture far too late."""
    share = account(10_000, duration_seconds=0.5, reordered_seconds=9.0, unmoderated=(), unhashable_seconds=0)
    assert (share.moderated_ms, share.failed_ms) == (500, {"short": 9_500})


def test_sound_without_pictures_is_lost_beside_leading_pictures_that_come_late() -> None:
    """The excuse of an open GOP would hide that there was sound, and nothing was shown."""
    before = Stretch(start_seconds=-0.8, end_seconds=0, reason="no_pictures")
    share = account(4_000, duration_seconds=2.5, reordered_seconds=1.0, unmoderated=[before], unhashable_seconds=0)
    assert (share.moderated_ms, share.failed_ms) == (3_200, {"no_pictures": 800})


def test_rounded_extinf_is_no_loss() -> None:
    """Older playlists round EXTINF to whole seconds: each of their segments would report a gap."""
    for duration in (3.5, 3.7, 4.4):
        share = account(4_000, duration_seconds=duration, unmoderated=(), unhashable_seconds=0)
        assert share.moderated_ms == 4_000
        assert not share.failed_ms


def test_nothing_decoded_is_nothing_moderated() -> None:
    """A segment with an EXTINF of a few frames and no picture would count as moderated."""
    share = account(400, duration_seconds=0, unmoderated=(), unhashable_seconds=0)
    assert share.moderated_ms == 0
    assert share.failed_ms == {"short": 400}


def test_unmoderated_stretches_keep_their_reasons() -> None:
    """An operator could not distinguish a broken encoder from a broken classifier."""
    dark = [
        Stretch(start_seconds=0, end_seconds=1, reason="undecodable"),
        Stretch(start_seconds=2, end_seconds=2.5, reason="classifier_failed"),
        Stretch(start_seconds=3, end_seconds=3.5, reason="undecodable"),
    ]
    share = account(4_000, duration_seconds=4, unmoderated=dark, unhashable_seconds=0.25)
    assert share.failed_ms == {"undecodable": 1_500, "classifier_failed": 500}
    assert (share.moderated_ms, share.unhashable_ms) == (2_000, 250)


def test_unmoderated_time_is_scaled_to_extinf() -> None:
    """Where EXTINF and the pictures differ slightly, parts would be counted by different clocks: half of a segment
    unseen would be shown as more, or less, than half."""
    dark = [Stretch(start_seconds=1.1, end_seconds=3.3, reason="undecodable")]
    share = account(4_000, duration_seconds=4.4, unmoderated=dark, unhashable_seconds=1.1)
    assert (share.moderated_ms, share.failed_ms, share.unhashable_ms) == (2_000, {"undecodable": 2_000}, 1_000)
    dark = [Stretch(start_seconds=0, end_seconds=1.8, reason="undecodable")]
    share = account(4_000, duration_seconds=3.6, unmoderated=dark, unhashable_seconds=0.9)
    assert (share.moderated_ms, share.failed_ms, share.unhashable_ms) == (2_000, {"undecodable": 2_000}, 1_000)


def test_time_before_the_first_picture_explains_a_short_segment() -> None:
    """Sound without pictures would count as a truncated end, or be subtracted from the moderated time."""
    before = Stretch(start_seconds=-3.02, end_seconds=0, reason="no_pictures")
    share = account(4_000, duration_seconds=1, unmoderated=[before], unhashable_seconds=0)
    assert (share.moderated_ms, share.failed_ms) == (1_000, {"no_pictures": 3_000})
    share = account(6_000, duration_seconds=1, unmoderated=[before], unhashable_seconds=0)
    assert (share.moderated_ms, share.failed_ms) == (1_000, {"no_pictures": 3_020, "short": 1_980})
    share = account(1_000, duration_seconds=1, unmoderated=[before], unhashable_seconds=0)
    assert (share.moderated_ms, share.failed_ms) == (1_000, {})


def test_a_hole_between_two_samples_is_not_filled_from_behind() -> None:
    """A sample would count for the time before it: a hole could be twice as long as the profile promises."""
    assert reach([0, 4], 2, 5) == [(0, 2), (4, 5)]
    assert reach([1, 4], 2, 5) == [(0, 3), (4, 5)]


@given(instants=INSTANTS, reach_seconds=st.floats(0.1, 5), duration=SECONDS)
def test_each_instant_is_either_reached_or_beyond_the_reach(
    instants: list[float], reach_seconds: float, duration: float
) -> None:
    """The ledger would call stretches moderated that no sample covers."""
    reached = reach(instants, reach_seconds, duration)
    dark = without([(0.0, duration)], reached)
    assert abs(length(reached) + length(dark) - duration) < 1e-6
    for start, end in dark:
        middle = (start + end) / 2
        assert all(instant > middle or middle - instant >= reach_seconds - 1e-9 for instant in instants)
        assert all(instant < middle or instant - middle >= reach_seconds - 1e-9 for instant in sorted(instants)[:1])


def test_time_over_the_budget_is_skipped_and_no_rule_takes_it_for_moderated() -> None:
    """An operator would look for damage where a stream costs more than its profile allows."""
    dark = [
        Stretch(start_seconds=0, end_seconds=0.5, reason="leading"),
        Stretch(start_seconds=1, end_seconds=2.5, reason="budget"),
    ]
    share = account(4_000, duration_seconds=4, unmoderated=dark, unhashable_seconds=0)
    assert (share.moderated_ms, share.failed_ms, share.skipped_ms) == (2_000, {"leading": 500}, {"budget": 1_500})
    assert share.lost_ms == {"leading": 500, "budget": 1_500}
    assert share.coverage(4_000).failed_seconds == 2.0
