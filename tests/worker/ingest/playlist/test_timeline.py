"""The effect of successive polls on a stream: nothing twice, nothing lost, and all time counted."""

from dataclasses import replace

import pytest

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.outcome import Missed, MissedReason, PollAdvance, Reading
from worker.ingest.playlist.playlist_diff import possible_restarts
from worker.ingest.playlist.poll_pace import MAX_PENDING_SEGMENTS, RECORDING_DELAY_MS, SHORTEST_DELAY_MS
from worker.ingest.playlist.timeline import (
    ENDED_AFTER_FAILING_MS,
    ENDED_AFTER_STALL_MS,
    SEEN_SEGMENTS,
    advance,
    failed_poll,
)

T0 = 1_700_000_000_000
SEGMENT_MS = 4_000


def playlist(
    first: int, last: int, *, life: str = "a", query: str = "", ended: bool = False, target: float = 4.0
) -> MediaPlaylist:
    """Segments `first` to `last`, both listed, of one run of an origin; `first > last`: an empty playlist."""
    return MediaPlaylist(
        url="http://origin.example/live.m3u8",
        target_duration_seconds=target,
        segments=tuple(
            Segment(sequence=sequence, uri=f"http://origin.example/{life}/{sequence}.ts{query}", duration_ms=SEGMENT_MS)
            for sequence in range(first, last + 1)
        ),
        ended=ended,
    )


def started(first: int = 10, last: int = 15) -> PollAdvance:
    """A stream whose segments `first` to `last` were read at T0."""
    return advance(Cursor(generation=1, rendition="360"), playlist(first, last), now_ms=T0)


def sequences(outcome: PollAdvance) -> list[int]:
    return [new.segment.sequence for new in outcome.segments]


def test_the_first_playlist_is_admitted_whole() -> None:
    """A stream's first minute would not be watched, or be dated too late."""
    outcome = started()
    assert outcome.reading is Reading.FIRST
    assert sequences(outcome) == [10, 11, 12, 13, 14, 15]
    assert outcome.segments[0].capture_ms == T0 - 6 * SEGMENT_MS
    assert outcome.segments[-1].capture_ms == T0 - SEGMENT_MS
    assert outcome.elapsed_ms == 6 * SEGMENT_MS
    assert outcome.cursor.state is StreamState.LIVE
    assert outcome.next_poll_in_ms == 2_000


def test_a_sequence_that_continues_adds_only_new_segments() -> None:
    """Segments would be moderated again at each poll."""
    outcome = advance(started().cursor, playlist(12, 17), now_ms=T0 + 8_000)
    assert sequences(outcome) == [16, 17]
    assert outcome.missed == ()
    assert outcome.elapsed_ms == 2 * SEGMENT_MS
    assert [new.capture_ms for new in outcome.segments] == [T0, T0 + SEGMENT_MS]


def test_a_changed_query_makes_no_new_segment() -> None:
    """An origin that re-signs its URLs would have each segment moderated at each poll."""
    outcome = advance(started().cursor, playlist(10, 15, query="?sig=2"), now_ms=T0 + 2_000)
    assert outcome.reading is Reading.UNCHANGED
    assert outcome.segments == ()


def test_a_changed_host_makes_no_new_segment() -> None:
    """A CDN that moves between hosts would have each segment moderated twice."""
    moved = playlist(10, 15)
    moved = replace(
        moved, segments=tuple(replace(s, uri=s.uri.replace("origin", "edge-2.origin")) for s in moved.segments)
    )
    assert advance(started().cursor, moved, now_ms=T0 + 2_000).reading is Reading.UNCHANGED


def test_skipped_numbers_are_missed() -> None:
    """Segments that left the window between two polls would not be counted."""
    outcome = advance(started().cursor, playlist(20, 25), now_ms=T0 + 40_000)
    assert sequences(outcome) == [20, 21, 22, 23, 24, 25]
    assert outcome.missed == (Missed(reason=MissedReason.LEFT_WINDOW, duration_ms=4 * SEGMENT_MS, capture_ms=T0),)
    assert outcome.elapsed_ms == 10 * SEGMENT_MS


def test_one_skipped_number_is_missed() -> None:
    """An origin that drops one segment at a time would hide stretches from the ledger."""
    outcome = advance(started().cursor, playlist(17, 22), now_ms=T0 + 28_000)
    assert outcome.missed == (Missed(reason=MissedReason.LEFT_WINDOW, duration_ms=SEGMENT_MS, capture_ms=T0),)
    assert outcome.elapsed_ms == 7 * SEGMENT_MS


def test_numbers_far_ahead_of_the_clock_are_another_sequence() -> None:
    """An origin that restarts with numbers taken from the time of day would seem to have lost years."""
    outcome = advance(started().cursor, playlist(1_700_000, 1_700_001, life="b"), now_ms=T0 + 2_000)
    assert outcome.reading is Reading.RESET
    assert outcome.elapsed_ms == 2 * SEGMENT_MS


def test_numbers_that_go_back_raise_the_epoch() -> None:
    """After an origin's restart nothing would be moderated until it reaches its old numbers."""
    outcome = advance(started().cursor, playlist(0, 1, life="b"), now_ms=T0 + 9_000)
    assert outcome.reading is Reading.RESET
    assert outcome.cursor.state is StreamState.RESET
    assert [new.epoch for new in outcome.segments] == [1, 1]
    assert outcome.segments[0].capture_ms == T0 + 1_000
    later = advance(outcome.cursor, playlist(0, 2, life="b"), now_ms=T0 + 13_000)
    assert later.cursor.state is StreamState.LIVE
    assert sequences(later) == [2]


def test_same_numbers_with_other_names_raise_the_epoch() -> None:
    """An origin that restarts and reaches its old numbers between two polls would not be watched."""
    outcome = advance(started().cursor, playlist(10, 15, life="b"), now_ms=T0 + 2_000)
    assert outcome.reading is Reading.RESET
    assert sequences(outcome) == [10, 11, 12, 13, 14, 15]
    assert {new.key for new in outcome.segments}.isdisjoint(new.key for new in started().segments)


def test_an_older_playlist_adds_nothing() -> None:
    """A CDN edge that lags would count as a restart, and everything would be moderated twice."""
    cursor = advance(started().cursor, playlist(12, 17), now_ms=T0 + 8_000).cursor
    outcome = advance(cursor, playlist(9, 14), now_ms=T0 + 10_000)
    assert outcome.reading is Reading.STALE
    assert outcome.elapsed_ms == 0
    assert sequences(advance(outcome.cursor, playlist(13, 18), now_ms=T0 + 12_000)) == [18]


def test_known_names_after_a_step_back_are_compared() -> None:
    """A restart that reuses its old names would be taken for an edge that lags."""
    cursor = started(0, 5).cursor
    doubted = possible_restarts(cursor, playlist(0, 1), now_ms=T0 + 9_000)
    assert [doubt.segment.sequence for doubt in doubted] == [1, 0]
    assert doubted[1].key == started(0, 5).segments[0].key
    assert advance(cursor, playlist(0, 1), now_ms=T0 + 9_000, validators_changed=False).reading is Reading.STALE
    restarted = advance(cursor, playlist(0, 1), now_ms=T0 + 9_000, validators_changed=True)
    assert sequences(restarted) == [0, 1]
    assert restarted.cursor.epoch == 1


def test_known_names_are_compared_after_a_failed_poll_a_late_one_and_a_stall() -> None:
    """A restart during an outage that reaches the same numbers and names would not be watched."""
    cursor = started().cursor
    assert possible_restarts(cursor, playlist(11, 16), now_ms=T0 + 2_000) == ()
    failed = failed_poll(cursor, now_ms=T0 + 2_000, reason="unreachable").cursor
    assert possible_restarts(failed, playlist(10, 15), now_ms=T0 + 3_000)
    assert possible_restarts(cursor, playlist(11, 16), now_ms=T0 + 60_000)
    stalled = advance(cursor, playlist(10, 15), now_ms=T0 + 12_000).cursor
    assert stalled.state is StreamState.STALLED
    assert possible_restarts(stalled, playlist(10, 15), now_ms=T0 + 14_000) == ()
    assert possible_restarts(stalled, playlist(11, 16), now_ms=T0 + 14_000)


def test_an_outage_loses_only_skipped_numbers_if_the_sequence_continues() -> None:
    """A brief outage would count segments as missed that the playlist still lists."""
    cursor = failed_poll(started().cursor, now_ms=T0 + 4_000, reason="timeout").cursor
    outcome = advance(cursor, playlist(13, 18), now_ms=T0 + 12_000, validators_changed=False)
    assert sequences(outcome) == [16, 17, 18]
    assert outcome.missed == ()


def test_a_restart_is_detected_at_the_end_of_a_long_window() -> None:
    """An origin that lists minutes and restarts at the same numbers would not be watched for minutes."""
    cursor = started(10, 10 + 2 * SEEN_SEGMENTS).cursor
    restarted = playlist(2 * SEEN_SEGMENTS, 10 + 2 * SEEN_SEGMENTS, life="b")
    assert advance(cursor, restarted, now_ms=T0 + 2_000).reading is Reading.RESET


def test_an_outage_is_missed_if_the_sequence_restarts() -> None:
    """What was streamed during the outage would not be counted, or be counted with what is listed."""
    cursor = failed_poll(started().cursor, now_ms=T0 + 2_000, reason="unreachable").cursor
    outcome = advance(cursor, playlist(0, 1, life="b"), now_ms=T0 + 30_000)
    assert outcome.missed == (Missed(reason=MissedReason.OUTAGE, duration_ms=22_000, capture_ms=T0),)
    assert outcome.elapsed_ms == 30_000


def test_an_outage_is_remembered_until_the_sequence_is_known() -> None:
    """nginx serves the old playlist until its publisher is back: the outage before it would be forgotten."""
    cursor = failed_poll(started().cursor, now_ms=T0 + 2_000, reason="unreachable").cursor
    cursor = advance(cursor, playlist(10, 15), now_ms=T0 + 20_000, validators_changed=False).cursor
    outcome = advance(cursor, playlist(0, 0, life="b"), now_ms=T0 + 22_000)
    assert [stretch.duration_ms for stretch in outcome.missed] == [18_000]
    gone_on = advance(cursor, playlist(11, 16), now_ms=T0 + 22_000)
    assert gone_on.missed == ()
    assert gone_on.cursor.outage_ms == 0


def test_time_read_between_two_outages_is_not_missed() -> None:
    """A stream whose publisher returns only after a second outage would seem to have missed more than it did."""
    cursor = started().cursor
    for begin_ms in (0, 20_000):
        for late_ms in (0, 2_000):
            cursor = advance(cursor, playlist(10, 15), now_ms=T0 + begin_ms + late_ms, validators_changed=False).cursor
        cursor = failed_poll(cursor, now_ms=T0 + begin_ms + 4_000, reason="unreachable").cursor
        cursor = advance(cursor, playlist(10, 15), now_ms=T0 + begin_ms + 8_000, validators_changed=False).cursor
    outcome = advance(cursor, playlist(0, 0, life="b"), now_ms=T0 + 32_000)
    assert [stretch.duration_ms for stretch in outcome.missed] == [2 * 6_000]


def test_a_stalled_stream_adds_nothing_is_polled_slower_and_ends() -> None:
    """A broadcaster's pause would count as missed time, or an abandoned stream be polled for ever."""
    cursor, now_ms, delays = started().cursor, T0, []
    while cursor.state is not StreamState.ENDED:
        outcome = advance(cursor, playlist(10, 15), now_ms=now_ms)
        assert outcome.elapsed_ms == 0
        cursor = outcome.cursor
        if outcome.next_poll_in_ms is not None:
            delays.append(outcome.next_poll_in_ms)
            now_ms += outcome.next_poll_in_ms
    assert cursor.reason == "stalled"
    assert now_ms - T0 >= ENDED_AFTER_STALL_MS
    assert delays == sorted(delays)
    assert max(delays) == 10_000


def test_a_stalled_stream_is_polled_within_half_its_window() -> None:
    """A segment listed and dropped between two slow polls would never be seen."""
    outcome = started(10, 11)
    for step in range(1, 60):
        outcome = advance(outcome.cursor, playlist(10, 11), now_ms=T0 + step * 4_000)
    assert outcome.cursor.state is StreamState.STALLED
    assert outcome.next_poll_in_ms == SEGMENT_MS


def test_capture_time_advances_over_a_stall() -> None:
    """Pictures after an hour's pause would be dated an hour early, and escalations with them."""
    cursor = advance(started().cursor, playlist(10, 15), now_ms=T0 + 15_000).cursor
    outcome = advance(cursor, playlist(11, 16), now_ms=T0 + 600_000)
    assert outcome.segments[0].capture_ms == T0 + 600_000 - SEGMENT_MS


def test_failing_polls_back_off_and_end() -> None:
    """An unreachable origin would be hammered, or a dead stream be polled for ever."""
    cursor, now_ms, delays = started().cursor, T0, []
    while True:
        outcome = failed_poll(cursor, now_ms=now_ms, reason="http_404")
        cursor = outcome.cursor
        if outcome.next_poll_in_ms is None:
            break
        assert cursor.state is StreamState.UNREACHABLE
        delays.append(outcome.next_poll_in_ms)
        now_ms += outcome.next_poll_in_ms
    assert delays[:5] == [1_000, 2_000, 4_000, 8_000, 10_000]
    assert cursor.state is StreamState.ENDED
    assert cursor.reason == "http_404"
    assert ENDED_AFTER_FAILING_MS <= now_ms - T0 < ENDED_AFTER_FAILING_MS + 10_000


def test_one_good_poll_restarts_the_ten_minutes() -> None:
    """A live stream with a flaky origin would be given up."""
    cursor = failed_poll(started().cursor, now_ms=T0 + 1, reason="timeout").cursor
    cursor = advance(cursor, playlist(10, 15), now_ms=T0 + ENDED_AFTER_FAILING_MS).cursor
    outcome = failed_poll(cursor, now_ms=T0 + ENDED_AFTER_FAILING_MS + 1, reason="timeout")
    assert outcome.next_poll_in_ms is not None


def test_a_response_that_is_no_playlist_has_its_own_reason() -> None:
    """An operator would look for a network fault where the origin answers with a login page."""
    assert failed_poll(started().cursor, now_ms=T0, reason="malformed").cursor.state is StreamState.MALFORMED


def test_a_gap_is_missed_and_not_fetched() -> None:
    """A segment that the origin declares missing would be requested until its deadline."""
    listed = playlist(10, 16)
    listed = replace(listed, segments=(*listed.segments[:-1], replace(listed.segments[-1], gap=True)))
    outcome = advance(started().cursor, listed, now_ms=T0 + 4_000)
    assert outcome.segments == ()
    assert outcome.missed == (Missed(reason=MissedReason.GAP, duration_ms=SEGMENT_MS, capture_ms=T0),)
    assert outcome.elapsed_ms == SEGMENT_MS
    assert sequences(advance(outcome.cursor, playlist(12, 17), now_ms=T0 + 8_000)) == [17]


def test_a_recording_is_admitted_in_portions_and_skips_nothing() -> None:
    """A recording of a day would fill the queue, or lose its end."""
    recording = playlist(0, 2 * MAX_PENDING_SEGMENTS + 9, ended=True)
    outcome = advance(Cursor(generation=1, rendition="360"), recording, now_ms=T0)
    admitted = sequences(outcome)
    assert admitted == list(range(MAX_PENDING_SEGMENTS))
    waiting = advance(outcome.cursor, recording, now_ms=T0 + 2 * ENDED_AFTER_STALL_MS, pending=MAX_PENDING_SEGMENTS)
    assert (sequences(waiting), waiting.elapsed_ms, waiting.next_poll_in_ms) == ([], 0, RECORDING_DELAY_MS)
    assert waiting.cursor.state is StreamState.LIVE
    while outcome.next_poll_in_ms is not None:
        assert outcome.next_poll_in_ms >= SHORTEST_DELAY_MS
        outcome = advance(outcome.cursor, recording, now_ms=T0 + 1, pending=MAX_PENDING_SEGMENTS - 10)
        assert outcome.skipped_ms == 0
        admitted += sequences(outcome)
    assert admitted == list(range(2 * MAX_PENDING_SEGMENTS + 10))
    assert (outcome.cursor.state, outcome.cursor.reason) == (StreamState.ENDED, "endlist")


def test_a_recording_replaced_while_it_waits_is_missed() -> None:
    """Segments that an origin listed and withdrew would vanish from the ledger."""
    cursor = advance(Cursor(generation=1, rendition="360"), playlist(0, 99, ended=True), now_ms=T0).cursor
    outcome = advance(cursor, playlist(0, 1, life="b"), now_ms=T0 + 2_000, pending=MAX_PENDING_SEGMENTS)
    lost_ms = (100 - MAX_PENDING_SEGMENTS) * SEGMENT_MS
    assert [(stretch.reason, stretch.duration_ms) for stretch in outcome.missed] == [("left_window", lost_ms)]
    assert outcome.elapsed_ms == lost_ms + 2 * SEGMENT_MS
    shortened = advance(cursor, playlist(0, MAX_PENDING_SEGMENTS - 1, ended=True), now_ms=T0 + 2_000)
    assert shortened.cursor.state is StreamState.ENDED
    assert sum(stretch.duration_ms for stretch in shortened.missed) == shortened.elapsed_ms == lost_ms


def test_segments_dropped_by_a_waiting_recording_are_counted_once() -> None:
    """A recording whose start is cut off while it waits would lose it again at each poll."""
    cursor = advance(Cursor(generation=1, rendition="360"), playlist(0, 79, ended=True), now_ms=T0).cursor
    outcome = advance(cursor, playlist(70, 79, ended=True), now_ms=T0 + 2_000, pending=MAX_PENDING_SEGMENTS)
    assert outcome.elapsed_ms == (70 - MAX_PENDING_SEGMENTS) * SEGMENT_MS
    again = advance(outcome.cursor, playlist(70, 79, ended=True), now_ms=T0 + 4_000, pending=MAX_PENDING_SEGMENTS)
    assert again.elapsed_ms == 0
    assert sequences(advance(again.cursor, playlist(70, 79, ended=True), now_ms=T0 + 6_000)) == list(range(70, 80))


def test_a_live_stream_has_no_more_pending_than_twice_its_window() -> None:
    """A stream that lists more than can be moderated would take workers from all others."""
    outcome = advance(started(0, 9).cursor, playlist(5, 14), now_ms=T0 + 20_000, pending=17)
    assert sequences(outcome) == [12, 13, 14], "the newest are what is worth most"
    assert outcome.skipped_ms == 2 * SEGMENT_MS
    assert outcome.elapsed_ms == 5 * SEGMENT_MS
    assert outcome.segments[0].capture_ms == T0 + 2 * SEGMENT_MS
    assert outcome.cursor.next_sequence == 15
    full = advance(started(0, 9).cursor, playlist(5, 14), now_ms=T0 + 20_000, pending=99)
    assert (sequences(full), full.skipped_ms) == ([], 5 * SEGMENT_MS)
    assert len(sequences(started(0, 999))) == MAX_PENDING_SEGMENTS
    short = started(0, 2).cursor
    assert sequences(advance(short, playlist(1, 3), now_ms=T0 + 4_000, pending=5)) == [3]
    assert sequences(advance(short, playlist(1, 3), now_ms=T0 + 4_000, pending=6)) == []


def test_a_new_stream_may_have_a_window_of_three_pending() -> None:
    """Workers that are a few seconds late would skip the beginning of each stream, whose playlist lists one segment
    then."""
    begun = started(0, 0).cursor
    assert sequences(advance(begun, playlist(1, 1), now_ms=T0 + 4_000, pending=5)) == [1]
    assert sequences(advance(begun, playlist(1, 1), now_ms=T0 + 4_000, pending=6)) == []


def test_an_encoder_restart_with_segments_pending_is_admitted_immediately() -> None:
    """The first pictures after a reconnection would be skipped, because a playlist of one segment is short."""
    cursor = started(0, 5).cursor
    for pending, seen in ((11, [0]), (12, [])):
        anew = advance(cursor, playlist(0, 0, life="b"), now_ms=T0 + 4_000, pending=pending)
        assert (anew.reading, sequences(anew)) == (Reading.RESET, seen)


def test_entries_counted_but_not_parsed() -> None:
    """A giant playlist would seem to have skipped numbers that it lists, or to have elapsed before its watch."""
    listed = replace(playlist(100, 110), earlier=100)
    first = advance(Cursor(generation=1, rendition="360"), listed, now_ms=T0)
    assert (first.elapsed_ms, first.skipped_ms, first.missed) == (11 * SEGMENT_MS, 0, ())
    later = advance(first.cursor, replace(playlist(150, 160), earlier=30), now_ms=T0 + 200_000)
    assert [stretch.duration_ms for stretch in later.missed] == [9 * SEGMENT_MS], "111 to 119 were jumped over"
    assert later.skipped_ms == 30 * SEGMENT_MS, "120 to 149 are listed"
    assert later.elapsed_ms == (9 + 30 + 11) * SEGMENT_MS
    assert later.segments[0].capture_ms == T0 + 39 * SEGMENT_MS
    reset = advance(first.cursor, replace(playlist(100, 110, life="b"), earlier=100), now_ms=T0 + 2_000)
    assert reset.reading is Reading.RESET
    assert (reset.skipped_ms, reset.elapsed_ms) == (100 * SEGMENT_MS, 111 * SEGMENT_MS)


def test_a_recording_that_replaces_a_stream_is_read_from_its_start() -> None:
    """A recording under the URL of a broadcast would lose its beginning."""
    cursor = started(300, 305).cursor
    outcome = advance(cursor, replace(playlist(274, 473, life="b", ended=True), earlier=274, later=50), now_ms=T0)
    assert (outcome.reading, sequences(outcome), outcome.elapsed_ms) == (Reading.RESET, [], 0)
    again = replace(playlist(0, 199, life="b", ended=True), later=324)
    outcome = advance(outcome.cursor, again, now_ms=T0 + 2_000)
    assert sequences(outcome) == list(range(MAX_PENDING_SEGMENTS))
    assert outcome.skipped_ms == 0
    assert outcome.missed == ()
    short = playlist(0, 3, life="c", ended=True)
    no_room = advance(cursor, short, now_ms=T0, pending=MAX_PENDING_SEGMENTS)
    assert (no_room.reading, sequences(no_room), no_room.next_poll_in_ms) == (Reading.RESET, [], RECORDING_DELAY_MS)
    assert sequences(advance(no_room.cursor, short, now_ms=T0 + 2_000)) == [0, 1, 2, 3]


def test_an_origin_that_restarts_at_each_poll_is_polled_slower() -> None:
    """A playlist whose names change at each request would have its window admitted twice a second."""
    outcome, delays = started(0, 3), []
    for poll in range(9):
        outcome = advance(outcome.cursor, playlist(0, 3, life=f"b{poll}", target=2.0), now_ms=T0 + poll * 1_000)
        assert outcome.next_poll_in_ms is not None
        delays.append(outcome.next_poll_in_ms)
    assert delays == sorted(delays)
    assert delays[0] == 1_000
    assert delays[-1] == 4_000, "half the window, so that none of it goes unseen"
    quick = advance(
        Cursor(generation=1, rendition="360"),
        replace(playlist(0, 0, target=0.001), target_duration_seconds=0.001),
        now_ms=T0,
    )
    assert quick.next_poll_in_ms == SHORTEST_DELAY_MS


def test_an_empty_playlist_waits_for_its_first_segment() -> None:
    """A stream registered before its first segment is written would be given up."""
    outcome = advance(Cursor(generation=1, rendition="360"), playlist(1, 0), now_ms=T0)
    assert outcome.cursor.state is StreamState.STARTING
    outcome = advance(outcome.cursor, playlist(0, 0), now_ms=T0 + 2_000)
    assert outcome.reading is Reading.FIRST
    assert outcome.cursor.state is StreamState.LIVE


def test_a_discontinuity_does_not_change_the_identity() -> None:
    """A tag that a server adds late would have the segment moderated twice."""
    listed = playlist(10, 15)
    marked = replace(listed, segments=tuple(replace(segment, discontinuity=True) for segment in listed.segments))
    assert advance(started().cursor, marked, now_ms=T0 + 2_000).reading is Reading.UNCHANGED


@pytest.mark.parametrize(("target", "delay_ms"), [(1.0, 1_000), (2.0, 1_000), (6.0, 3_000), (20.0, 5_000)])
def test_a_moving_stream_is_polled_at_half_its_target_duration(target: float, delay_ms: int) -> None:
    """A stream would be seen late, or its origin be polled needlessly."""
    outcome = advance(Cursor(generation=1, rendition="360"), playlist(0, 5, target=target), now_ms=T0)
    assert outcome.next_poll_in_ms == delay_ms


def test_a_run_shorter_than_the_previous_one_is_one_epoch() -> None:
    """Names from before an origin's restart would raise the epoch again at every poll."""
    cursor = advance(started(0, 5).cursor, playlist(0, 1, life="b"), now_ms=T0 + 9_000).cursor
    outcome = advance(cursor, playlist(0, 3, life="b"), now_ms=T0 + 17_000)
    assert outcome.reading is Reading.MOVED
    assert sequences(outcome) == [2, 3]


def test_another_rendition_continues_by_numbers() -> None:
    """A stream that loses its rendition would have its whole window moderated again in the next one."""
    cursor = started().cursor.switched_to("720")
    assert sequences(advance(cursor, playlist(11, 16, life="720"), now_ms=T0 + 4_000)) == [16]


def test_the_cursor_survives_redis() -> None:
    """A worker that takes over would start the stream anew."""
    cursor = failed_poll(started().cursor, now_ms=T0, reason="timeout").cursor
    assert Cursor.from_json(cursor.to_json()) == cursor
