"""Hostile segment numbers, durations and ENDLIST tags: a broadcaster gains no unseen time by them."""

from hypothesis import given
from hypothesis import strategies as st

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.missed_time import provisional_gap
from worker.ingest.playlist.outcome import MissedReason, PollAdvance
from worker.ingest.playlist.poll_pace import RESETS_AT_ONCE
from worker.ingest.playlist.timeline import advance, failed_poll

T0 = 1_700_000_000_000


def playlist(
    first: int, count: int, *, duration_ms: int = 4_000, target: float = 4.0, life: str = "a", ended: bool = False
) -> MediaPlaylist:
    return MediaPlaylist(
        url="http://origin.example/live.m3u8",
        target_duration_seconds=target,
        segments=tuple(
            Segment(sequence=sequence, uri=f"http://origin.example/{life}/{sequence}.ts", duration_ms=duration_ms)
            for sequence in range(first, first + count)
        ),
        ended=ended,
    )


def watched() -> Cursor:
    return Cursor(generation=1, rendition="360", watched_since_ms=T0)


def test_a_former_recording_hides_no_outage() -> None:
    """A broadcaster who once lists thousands of segments with ENDLIST could refuse every poll for days without missed
    time or an incident."""
    cursor = advance(watched(), playlist(0, 500, ended=True), now_ms=T0).cursor
    live = advance(cursor, playlist(64, 4), now_ms=T0 + 2_000)
    assert live.segments[-1].capture_ms == T0 + 2_000 - 4_000
    failed = failed_poll(live.cursor, now_ms=T0 + 62_000, reason="http_503")
    found = provisional_gap(failed.cursor)
    assert found is not None
    assert (found.since_ms, found.kept) == (T0 + 2_000, True)


def test_skipped_segments_count_although_their_durations_are_zero() -> None:
    """A broadcaster who declares durations of 0 s could leave out most segments without any missed time."""
    cursor = advance(watched(), playlist(0, 3, duration_ms=0), now_ms=T0).cursor
    outcome = advance(cursor, playlist(5, 3, duration_ms=0), now_ms=T0 + 30_000)
    assert [(one.reason, one.duration_ms) for one in outcome.missed] == [(MissedReason.LEFT_WINDOW, 8_000)]
    outcome = advance(cursor, playlist(2**40, 3, duration_ms=0), now_ms=T0 + 30_000)
    assert outcome.elapsed_ms == 30_000, "no more than the clock says"


def test_a_restart_at_each_reading_hides_nothing_between() -> None:
    """One short segment a poll, under new names each time, would count as the whole stream."""
    cursor, now_ms, elapsed_ms = advance(watched(), playlist(0, 1, duration_ms=500), now_ms=T0).cursor, T0, 0
    for number in range(20):
        now_ms += 2_000
        outcome = advance(cursor, playlist(0, 1, duration_ms=500, life=str(number)), now_ms=now_ms)
        cursor, elapsed_ms = outcome.cursor, elapsed_ms + outcome.elapsed_ms
    assert elapsed_ms == 20 * 2_000 - RESETS_AT_ONCE * 1_500


def test_paths_re_signed_at_each_reading_lose_nothing() -> None:
    """An origin whose names change with each request would have time counted as missed that it lists."""
    cursor = advance(watched(), playlist(0, 4), now_ms=T0).cursor
    for number in range(1, 20):
        outcome = advance(cursor, playlist(number, 4, life=str(number)), now_ms=T0 + 4_000 * number)
        cursor = outcome.cursor
        assert outcome.missed == ()


steps = st.lists(
    st.tuples(
        st.integers(0, 20_000),
        st.integers(-3, 8),
        st.integers(1, 5),
        st.sampled_from([0, 1, 4_000, 3_600_000]),
        st.sampled_from(["a", "a", "a", "b"]),
        st.booleans(),
    ),
    min_size=1,
    max_size=20,
)


@given(steps)
def test_nothing_is_dated_later_than_it_was_listed(steps: list[tuple[int, int, int, int, str, bool]]) -> None:
    """Hits would be later than all decisions to come, and an unwatched stream would show no lag for hours."""
    cursor, now_ms, at = watched(), T0, 100
    for later_ms, on, count, duration_ms, life, ended in steps:
        now_ms, at = now_ms + later_ms, max(0, at + on)
        outcome: PollAdvance = advance(
            cursor, playlist(at, count, duration_ms=duration_ms, target=3600.0, life=life, ended=ended), now_ms=now_ms
        )
        cursor = outcome.cursor
        # A millisecond a segment, where several polls come within less.
        assert all(new.capture_ms <= now_ms + 100 for new in outcome.segments)
        assert cursor.next_capture_ms <= now_ms + 100
        assert cursor.state in StreamState
