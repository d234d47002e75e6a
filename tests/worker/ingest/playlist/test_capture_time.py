"""Capture times follow the clock, whatever an origin's clock, encoder and EXTINF do."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from worker.ingest.pending.segments import SegmentRecord
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.outcome import PollAdvance
from worker.ingest.playlist.timeline import advance

T0 = 1_700_000_000_000
HOUR_MS = 3_600_000


def playlist(first: int, durations_ms: list[int], *, target: float = 4.0, ended: bool = False) -> MediaPlaylist:
    """Segments from number `first` on, of these durations."""
    return MediaPlaylist(
        url="http://origin.example/live.m3u8",
        target_duration_seconds=target,
        segments=tuple(
            Segment(sequence=sequence, uri=f"http://origin.example/{sequence}.ts", duration_ms=duration_ms)
            for sequence, duration_ms in enumerate(durations_ms, first)
        ),
        ended=ended,
    )


def fresh() -> Cursor:
    return Cursor(generation=1, rendition="360")


class Clocked:
    """A watch that checks each capture time as it is assigned."""

    def __init__(self, target: float = 4.0) -> None:
        self.cursor = fresh()
        self.last_ms = 0
        self.furthest_ms = 0
        self.target = target

    def read(self, first: int, durations_ms: list[int], now_ms: int) -> PollAdvance:
        listed = playlist(first, durations_ms, target=self.target)
        outcome = advance(self.cursor, listed, now_ms=now_ms)
        self.cursor = outcome.cursor
        window_ms = outcome.cursor.window_ms
        for new in outcome.segments:
            assert new.capture_ms > self.last_ms, "capture time does not rise"
            assert new.capture_ms <= now_ms, "captured after it was listed"
            assert new.capture_ms >= now_ms - window_ms, "further away than the window"
            self.last_ms = new.capture_ms
            self.furthest_ms = max(self.furthest_ms, now_ms - new.capture_ms)
        return outcome


def test_encoder_hiccups_do_not_accumulate() -> None:
    """After eight hours pictures would be dated 22 minutes early, and their hits would count as older than a
    decision."""
    watch, now_ms, published = Clocked(), T0, 6
    watch.read(0, [4_000] * 6, now_ms)
    while now_ms < T0 + 8 * HOUR_MS:
        for _ in range(30):
            now_ms += 4_000
            published += 1
            watch.read(published - 6, [4_000] * 6, now_ms)
        now_ms += 6_000
    assert published > 6_000
    assert watch.furthest_ms <= 24_000


def test_hiccups_do_not_accumulate_where_the_whole_broadcast_is_listed() -> None:
    """The playlist of an event lists hours, so its window would not bound the error."""
    watch, now_ms, published = Clocked(), T0, 6
    watch.read(0, [4_000] * published, now_ms)
    for _ in range(30):
        now_ms += 5 * 4_000 + 6_000
        published += 5
        watch.read(0, [4_000] * published, now_ms)
    assert watch.furthest_ms <= 60_000


def test_an_origin_that_lists_more_than_real_time_does_not_run_ahead() -> None:
    """Pictures would be dated in the future, and hits after a decision would count as older."""
    watch = Clocked()
    watch.read(0, [4_000] * 6, T0)
    for step in range(1, 500):
        watch.read(step * 3, [4_000] * 6, T0 + step * 2_000)


def test_a_clock_set_back_is_caught_up_with() -> None:
    """Ten minutes would all be dated to one instant; or the dates would stay ahead."""
    cursor = advance(fresh(), playlist(0, [4_000] * 6), now_ms=T0).cursor
    captured, now_ms = [T0 - 4_000], T0 - 600_000
    for published in range(7, 307):
        now_ms += 4_000
        outcome = advance(cursor, playlist(published - 6, [4_000] * 6), now_ms=now_ms)
        cursor = outcome.cursor
        captured += [new.capture_ms for new in outcome.segments]
    assert len(captured) == 301
    steps = [after - before for before, after in pairwise(captured)]
    assert min(steps) > 0
    assert min(steps[:200]) >= 2_000
    assert captured[-1] <= now_ms


@given(
    st.integers(1, 6),
    st.lists(st.tuples(st.integers(500, 30_000), st.lists(st.integers(1, 60_000), max_size=8)), max_size=60),
)
def test_capture_times_stay_plausible_whatever_is_listed(window: int, polls: list[tuple[int, list[int]]]) -> None:
    """Some order of pauses, bursts and durations would give impossible capture times."""
    watch, now_ms, listed = Clocked(), T0, [4_000]
    watch.read(0, listed, now_ms)
    for pause_ms, durations_ms in polls:
        now_ms += pause_ms
        listed += durations_ms
        shown = listed[-window:]
        watch.read(len(listed) - len(shown), shown, now_ms)


def test_a_duration_above_the_target_counts_as_the_target() -> None:
    """One entry of an hour would add an hour of elapsed time, and shift all later dates by it."""
    cursor = advance(fresh(), playlist(0, [4_000] * 6), now_ms=T0).cursor
    outcome = advance(cursor, playlist(1, [4_000] * 5 + [3_600_000]), now_ms=T0 + 4_000)
    assert [new.segment.duration_ms for new in outcome.segments] == [4_000]
    assert outcome.elapsed_ms == 4_000
    assert outcome.counts == {"long_extinf": 1}
    record = SegmentRecord.of(outcome.segments[0], generation=1, purpose="live", admitted_ms=T0)
    assert record.duration_ms == 4_000, "or the ledger's parts would not sum to what elapsed"
    assert outcome.cursor.window_ms == 24_000


def test_a_duration_that_rounds_to_the_target_counts_whole() -> None:
    """Segments of 4.004 s under a target of 4 s (29.97 pictures a second) are common: each would be logged."""
    outcome = advance(fresh(), playlist(0, [4_004, 4_500]), now_ms=T0)
    assert outcome.elapsed_ms == 8_504
    assert outcome.counts == {}


def test_a_recording_is_dated_from_the_window_that_lists_it() -> None:
    """A long recording is admitted in portions: later ones would be dated by their admission."""
    recording = playlist(0, [4_000] * 100, ended=True)
    first = advance(fresh(), recording, now_ms=T0)
    later = advance(first.cursor, recording, now_ms=T0 + HOUR_MS)
    captured = [new.capture_ms for new in (*first.segments, *later.segments)]
    assert captured == [T0 - 400_000 + 4_000 * place for place in range(100)]


def test_an_origins_clock_is_kept_where_it_is_credible() -> None:
    """A report would give the origin's time of day, which may be years off."""
    at = datetime.fromtimestamp((T0 - 8_000) / 1000, UTC) + timedelta(seconds=3)
    listed = playlist(0, [4_000, 4_000])
    for shift, kept in ((timedelta(0), True), (timedelta(days=365), False), (timedelta(hours=-1), False)):
        segments = tuple(
            replace(segment, program_date_time=at + shift + timedelta(seconds=4 * place))
            for place, segment in enumerate(listed.segments)
        )
        outcome = advance(fresh(), replace(listed, segments=segments), now_ms=T0)
        records = [SegmentRecord.of(new, generation=1, purpose="live", admitted_ms=T0) for new in outcome.segments]
        assert [record.program_ms for record in records] == ([T0 - 5_000, T0 - 1_000] if kept else [None, None])
    standing = tuple(replace(segment, program_date_time=at) for segment in listed.segments)
    outcome = advance(fresh(), replace(listed, segments=standing), now_ms=T0)
    assert [new.program_ms for new in outcome.segments] == [T0 - 5_000, None], "of a clock that stands still"
    nowhere = tuple(replace(segment, program_date_time=at.replace(tzinfo=None)) for segment in listed.segments)
    outcome = advance(fresh(), replace(listed, segments=nowhere), now_ms=T0)
    assert {new.program_ms for new in outcome.segments} == {None}, "of no zone, and so of no instant"
