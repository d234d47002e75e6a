"""A broadcaster who says what he likes of his segments' numbers, durations and end: by the clock he gains nothing."""

from hypothesis import given
from hypothesis import strategies as st

from worker.polling.cursor import Cursor, StreamState
from worker.polling.hls import MediaPlaylist, Segment
from worker.polling.missing import missing
from worker.polling.outcome import Advance
from worker.polling.timeline import advance, failed_poll

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


def test_a_list_that_was_a_recording_once_hides_no_outage() -> None:
    """Who lists thousands of segments with ENDLIST once could refuse every poll for days: nothing would be missed, and
    nobody called."""
    cursor = advance(watched(), playlist(0, 500, ended=True), now_ms=T0).cursor
    live = advance(cursor, playlist(64, 4), now_ms=T0 + 2_000)
    assert live.segments[-1].capture_ms == T0 + 2_000 - 4_000
    failed = failed_poll(live.cursor, now_ms=T0 + 62_000, reason="http_503")
    found = missing(failed.cursor)
    assert found is not None
    assert (found.since_ms, found.kept) == (T0 + 2_000, True)


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
def test_nothing_is_dated_after_it_was_listed(steps: list[tuple[int, int, int, int, str, bool]]) -> None:
    """Hits would be later than all decisions to come, and a stream that nobody looks at would have no lag for hours."""
    cursor, now_ms, at = watched(), T0, 100
    for later_ms, on, count, duration_ms, life, ended in steps:
        now_ms, at = now_ms + later_ms, max(0, at + on)
        outcome: Advance = advance(
            cursor, playlist(at, count, duration_ms=duration_ms, target=3600.0, life=life, ended=ended), now_ms=now_ms
        )
        cursor = outcome.cursor
        # A millisecond a segment, where several polls come within less.
        assert all(new.capture_ms <= now_ms + 100 for new in outcome.segments)
        assert cursor.next_capture_ms <= now_ms + 100
        assert cursor.state in StreamState
