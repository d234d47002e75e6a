"""Missed time by the wall clock: provisional while its cause is unknown, and counted once."""

from dataclasses import replace

import pytest

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.missed_time import provisional_gap
from worker.ingest.playlist.outcome import MissedReason, PollAdvance, Reading
from worker.ingest.playlist.playlist_diff import possible_restarts
from worker.ingest.playlist.poll_pace import POLLED_AFTER_END_MS
from worker.ingest.playlist.timeline import ENDED_AFTER_FAILING_MS, ENDED_AFTER_STALL_MS, advance, failed_poll

T0 = 1_700_000_000_000
SEGMENT_MS = 4_000
MINUTE_MS = 60_000


def playlist(first: int, last: int, *, life: str = "a", ended: bool = False) -> MediaPlaylist:
    return MediaPlaylist(
        url="http://origin.example/live.m3u8",
        target_duration_seconds=4.0,
        segments=tuple(
            Segment(sequence=sequence, uri=f"http://origin.example/{life}/{sequence}.ts", duration_ms=SEGMENT_MS)
            for sequence in range(first, last + 1)
        ),
        ended=ended,
    )


def registered() -> Cursor:
    """A stream registered at T0 and not read yet."""
    return Cursor(generation=1, rendition="360", watched_since_ms=T0)


def live() -> Cursor:
    """A stream whose segments 10 to 15 were read at T0."""
    return advance(registered(), playlist(10, 15), now_ms=T0).cursor


def failing(cursor: Cursor, *, from_ms: int, until_ms: int, reason: str) -> PollAdvance:
    """Polls every 10 s, all of which fail."""
    for now_ms in range(from_ms, until_ms + 1, 10_000):
        outcome = failed_poll(cursor, now_ms=now_ms, reason=reason)
        cursor = outcome.cursor
        assert Cursor.from_json(cursor.to_json()) == cursor
    return outcome


def counted(outcome: PollAdvance) -> list[tuple[MissedReason, int]]:
    assert outcome.elapsed_ms == (
        sum(stretch.duration_ms for stretch in outcome.missed)
        + outcome.skipped_ms
        + sum(new.segment.duration_ms for new in outcome.segments)
    )
    return [(stretch.reason, stretch.duration_ms) for stretch in outcome.missed]


def test_an_outage_begins_at_the_last_reading() -> None:
    """Time in which the playlist was read, but had nothing new, would count as missed."""
    cursor = advance(live(), playlist(10, 15), now_ms=T0 + 3_000).cursor
    cursor = failed_poll(cursor, now_ms=T0 + 5_000, reason="unreachable").cursor
    found = provisional_gap(cursor)
    assert found is not None
    assert (found.reason, found.since_ms) == (MissedReason.UNREACHABLE, T0 + 3_000)


def test_a_wrong_url_is_missed_since_its_registration() -> None:
    """A stream that answers 404 from the start would show no missed second, and nobody would notice."""
    cursor = failed_poll(registered(), now_ms=T0 + 300, reason="http_404").cursor
    found = provisional_gap(cursor)
    assert found is not None
    assert (found.reason, found.since_ms, found.kept) == (MissedReason.UNREACHABLE, T0, True)
    outcome = failing(cursor, from_ms=T0 + 1_000, until_ms=T0 + 1_000 + ENDED_AFTER_FAILING_MS, reason="http_404")
    assert outcome.cursor.state is StreamState.ENDED
    assert counted(outcome) == [(MissedReason.UNREACHABLE, ENDED_AFTER_FAILING_MS + 1_000)]
    assert provisional_gap(outcome.cursor) is None, "or it would count twice"


def test_a_stream_with_an_empty_playlist_is_missed_too() -> None:
    """A broadcast whose packager hangs before its first segment would look watched."""
    cursor = advance(registered(), playlist(1, 0), now_ms=T0 + 1_000).cursor
    later = advance(cursor, playlist(1, 0), now_ms=T0 + 60_000).cursor
    assert (provisional_gap(cursor), provisional_gap(later)) == (provisional_gap(later), provisional_gap(cursor))
    found = provisional_gap(later)
    assert found is not None
    assert (found.reason, found.since_ms) == (MissedReason.UNREACHABLE, T0)
    outcome = advance(later, playlist(1, 0), now_ms=T0 + 1_000 + ENDED_AFTER_STALL_MS)
    assert outcome.cursor.state is StreamState.ENDED
    assert counted(outcome) == [(MissedReason.UNREACHABLE, ENDED_AFTER_STALL_MS + 1_000)]


def test_the_first_reading_counts_what_was_streamed_unseen() -> None:
    """Minutes in which an origin was unreadable would vanish with its first playlist, or its listed segments count
    twice."""
    cursor = failing(registered(), from_ms=T0, until_ms=T0 + 2 * MINUTE_MS, reason="http_503").cursor
    outcome = advance(cursor, playlist(100, 105), now_ms=T0 + 2 * MINUTE_MS + 4_000)
    assert counted(outcome) == [(MissedReason.UNREACHABLE, 2 * MINUTE_MS + 4_000 - 6 * SEGMENT_MS)]
    assert outcome.elapsed_ms == 2 * MINUTE_MS + 4_000, "all of the time since it was registered, once"
    assert provisional_gap(outcome.cursor) is None


def test_a_broadcast_that_began_after_its_registration_missed_nothing() -> None:
    """A stream registered before it is live would show the time before its beginning as missed."""
    cursor = failing(registered(), from_ms=T0, until_ms=T0 + 2 * MINUTE_MS, reason="http_404").cursor
    assert counted(advance(cursor, playlist(0, 1), now_ms=T0 + 2 * MINUTE_MS + 4_000)) == []
    a_little = advance(cursor, playlist(3, 5), now_ms=T0 + 2 * MINUTE_MS + 4_000)
    assert counted(a_little) == [(MissedReason.UNREACHABLE, 3 * SEGMENT_MS)]


def test_a_stream_read_immediately_missed_nothing_before() -> None:
    """Each stream would begin with a gap from its registration to its first poll."""
    assert counted(advance(registered(), playlist(10, 15), now_ms=T0 + 2_000)) == []


@pytest.mark.parametrize("reason", ["http_503", "timeout", "dns", "refused", "malformed"])
def test_an_outage_grows_until_the_sequence_shows_its_length(reason: str) -> None:
    """The ledger would look healthy during the outage, or count the same time twice after it."""
    cursor = failing(live(), from_ms=T0 + 10_000, until_ms=T0 + 40_000, reason=reason).cursor
    found = provisional_gap(cursor)
    assert found is not None
    assert (found.reason, found.since_ms, found.kept) == (MissedReason.UNREACHABLE, T0, True)
    went_on = advance(cursor, playlist(20, 25), now_ms=T0 + 40_000)
    assert counted(went_on) == [(MissedReason.LEFT_WINDOW, 4 * SEGMENT_MS)]
    assert went_on.elapsed_ms == 40_000
    assert provisional_gap(went_on.cursor) is None
    anew = advance(cursor, playlist(0, 1, life="b"), now_ms=T0 + 41_000)
    assert counted(anew) == [(MissedReason.OUTAGE, 33_000)]
    assert provisional_gap(anew.cursor) is None


def test_an_outage_that_never_ends_is_missed_for_good() -> None:
    """The end of a broadcast behind a broken origin would vanish when its watch ends."""
    outcome = failing(live(), from_ms=T0, until_ms=T0 + ENDED_AFTER_FAILING_MS, reason="http_503")
    assert outcome.cursor.state is StreamState.ENDED
    assert counted(outcome) == [(MissedReason.UNREACHABLE, ENDED_AFTER_FAILING_MS)]
    assert outcome.counts == {}


@pytest.mark.parametrize("reason", ["http_404", "http_410"])
def test_a_broadcast_whose_playlist_goes_away_has_ended(reason: str) -> None:
    """Each broadcast that ends without ENDLIST would leave a gap of ten minutes."""
    outcome = failing(live(), from_ms=T0 + 10_000, until_ms=T0 + MINUTE_MS, reason=reason)
    found = provisional_gap(outcome.cursor)
    assert found is not None
    assert not found.kept
    outcome = failing(outcome.cursor, from_ms=T0 + 70_000, until_ms=T0 + 610_000, reason=reason)
    assert outcome.cursor.state is StreamState.ENDED
    assert (counted(outcome), outcome.counts) == ([], {"after_end": 1})


def test_a_stall_grows_and_is_withdrawn() -> None:
    """A hanging stream would look watched; or one that was paused or has ended would look missed."""
    stalled = advance(live(), playlist(10, 15), now_ms=T0 + 20_000).cursor
    found = provisional_gap(stalled)
    assert found is not None
    assert (found.reason, found.since_ms, found.kept) == (MissedReason.STALLED, T0, False)
    went_on = advance(stalled, playlist(11, 16), now_ms=T0 + 60_000)
    assert (counted(went_on), provisional_gap(went_on.cursor)) == ([], None)
    over = advance(stalled, playlist(10, 15), now_ms=T0 + ENDED_AFTER_STALL_MS)
    assert over.cursor.state is StreamState.ENDED
    assert (counted(over), over.counts, provisional_gap(over.cursor)) == ([], {"after_end": 1}, None)


def test_a_stall_that_becomes_an_outage_is_one_stretch() -> None:
    """The shown seconds would drop when a hanging origin fails altogether."""
    stalled = advance(live(), playlist(10, 15), now_ms=T0 + 20_000).cursor
    found = provisional_gap(failed_poll(stalled, now_ms=T0 + 30_000, reason="http_502").cursor)
    assert found is not None
    assert (found.reason, found.since_ms) == (MissedReason.UNREACHABLE, T0)


def test_a_waiting_recording_misses_nothing_by_the_clock() -> None:
    """Segments of a recording that are still to come would be counted as missed, and then again."""
    cursor = advance(registered(), playlist(0, 99, ended=True), now_ms=T0).cursor
    assert provisional_gap(failed_poll(cursor, now_ms=T0 + 60_000, reason="http_503").cursor) is None


def over() -> Cursor:
    """A recording that was read completely at T0."""
    outcome = advance(registered(), playlist(0, 5, ended=True), now_ms=T0)
    assert (outcome.cursor.state, outcome.cursor.reason) == (StreamState.ENDED, "endlist")
    return outcome.cursor


def test_an_old_endlist_is_polled_for_some_minutes() -> None:
    """A broadcaster who comes back while the old playlist is still served would never be watched."""
    cursor, now_ms, polls = over(), T0, 0
    while True:
        outcome = advance(cursor, playlist(0, 5, ended=True), now_ms=now_ms)
        cursor = outcome.cursor
        assert outcome.elapsed_ms == 0, "a recording is moderated once"
        assert cursor.state is StreamState.ENDED
        if outcome.next_poll_in_ms is None:
            break
        assert outcome.next_poll_in_ms == 10_000
        now_ms, polls = now_ms + outcome.next_poll_in_ms, polls + 1
    assert now_ms - T0 == POLLED_AFTER_END_MS
    assert polls == 30


def test_a_long_broadcast_that_ends_is_polled_for_some_minutes() -> None:
    """A broadcaster whose encoder restarts would stay unseen if the packager closes the playlist in between."""
    cursor, now_ms = live(), T0 + 20 * POLLED_AFTER_END_MS
    outcome = advance(cursor, playlist(12, 17, ended=True), now_ms=now_ms)
    assert (outcome.cursor.state, outcome.next_poll_in_ms) == (StreamState.ENDED, 10_000)
    again = advance(outcome.cursor, playlist(12, 17, ended=True), now_ms=now_ms + POLLED_AFTER_END_MS)
    assert again.next_poll_in_ms is None


def test_a_broadcast_that_replaces_an_old_endlist_is_watched() -> None:
    """The new broadcast would be unseen from its beginning, or be taken for the old one where names repeat."""
    outcome = advance(over(), playlist(0, 1, life="b"), now_ms=T0 + MINUTE_MS)
    assert outcome.reading is Reading.RESET
    assert [new.segment.sequence for new in outcome.segments] == [0, 1]
    assert counted(outcome) == [], "what was over was no outage"
    assert outcome.next_poll_in_ms == 2_000
    assert advance(outcome.cursor, playlist(0, 2, life="b"), now_ms=T0 + 64_000).cursor.state is StreamState.LIVE
    assert possible_restarts(over(), playlist(0, 7), now_ms=T0 + 10_000), "under the same names only validators tell"
    assert possible_restarts(over(), playlist(0, 5, ended=True), now_ms=T0 + 10_000) == ()


def test_a_broadcast_that_continues_after_endlist_is_watched() -> None:
    """A broadcaster who reconnects to a packager that had closed its playlist would stay unseen."""
    outcome = advance(over(), playlist(2, 7), now_ms=T0 + MINUTE_MS, validators_changed=False)
    assert [new.segment.sequence for new in outcome.segments] == [6, 7]
    assert outcome.segments[0].capture_ms == T0 + MINUTE_MS - 2 * SEGMENT_MS, "not right after what was before"
    assert (outcome.cursor.state, counted(outcome)) == (StreamState.LIVE, [])


def test_an_ended_stream_whose_playlist_goes_away_stays_ended() -> None:
    """A recording deleted after its moderation would look like an outage."""
    gone = failed_poll(over(), now_ms=T0 + 10_000, reason="http_404")
    assert (gone.cursor.state, gone.cursor.reason) == (StreamState.ENDED, "endlist")
    assert gone.next_poll_in_ms == 10_000
    assert provisional_gap(gone.cursor) is None
    back = advance(gone.cursor, playlist(0, 1, life="b"), now_ms=T0 + MINUTE_MS)
    assert (len(back.segments), counted(back)) == (2, [])
    assert failed_poll(gone.cursor, now_ms=T0 + POLLED_AFTER_END_MS, reason="http_404").next_poll_in_ms is None


def test_an_ended_recording_that_is_cut_is_counted_once() -> None:
    """Each poll would count again what the recording withdrew."""
    cursor = advance(registered(), playlist(0, 99, ended=True), now_ms=T0).cursor
    cut = playlist(0, 63, ended=True)
    outcome = advance(cursor, cut, now_ms=T0 + 2_000)
    assert counted(outcome) == [(MissedReason.LEFT_WINDOW, 36 * SEGMENT_MS)]
    assert counted(advance(outcome.cursor, cut, now_ms=T0 + 12_000)) == []


def test_a_cursor_of_another_version_is_read() -> None:
    """An upgraded worker would start every stream anew."""
    old = replace(live(), missing_since_ms=None, watched_since_ms=None)
    text = old.to_json().replace('"missing_since_ms":null,', "").replace('"watched_since_ms":null,', "")
    assert "missing" not in text
    assert Cursor.from_json(text) == old
    assert provisional_gap(failed_poll(old, now_ms=T0 + 4_000, reason="timeout").cursor) is not None


def test_time_that_failed_before_a_404_stays_missed() -> None:
    """An origin that refuses livewarden for nine minutes could have them withdrawn by one 404 at the end."""
    cursor = failing(live(), from_ms=T0 + 10_000, until_ms=T0 + 310_000, reason="http_503").cursor
    gone = failed_poll(cursor, now_ms=T0 + 320_000, reason="http_404")
    found = provisional_gap(gone.cursor)
    assert found is not None
    assert (found.kept, found.certain_ms) == (False, 310_000)
    outcome = failing(gone.cursor, from_ms=T0 + 330_000, until_ms=T0 + 610_000, reason="http_404")
    assert outcome.cursor.state is StreamState.ENDED
    assert counted(outcome) == [(MissedReason.UNREACHABLE, 310_000)]
    assert outcome.counts == {"after_end": 1}


def test_an_outage_is_remembered_until_the_stream_was_read_for_long() -> None:
    """One refused minute would call a moderator at a hiccup hours later; or repeated refusals never would."""
    cursor = failing(live(), from_ms=T0 + 10_000, until_ms=T0 + 50_000, reason="http_503").cursor
    back = advance(cursor, playlist(11, 16), now_ms=T0 + 59_000)
    assert back.counts == {"outage_seconds_unshown": 55}
    assert back.elapsed_ms == SEGMENT_MS, "nothing says that it was streamed"
    again = failed_poll(back.cursor, now_ms=T0 + 61_000, reason="http_503").cursor
    found = provisional_gap(again)
    assert found is not None
    assert (found.since_ms, found.from_ms) == (T0 + 59_000, T0 + 4_000)
    cursor = back.cursor
    for number in range(1, 61):
        cursor = advance(cursor, playlist(11 + number, 16 + number), now_ms=T0 + 59_000 + number * SEGMENT_MS).cursor
    found = provisional_gap(failed_poll(cursor, now_ms=T0 + 300_000, reason="http_503").cursor)
    assert found is not None
    assert found.from_ms == found.since_ms
