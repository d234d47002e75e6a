"""The timeline of a stream, advanced by each playlist: new segments, elapsed and missed time, and the next poll. Pure.

Elapsed time is counted here, in whole milliseconds: the duration of each segment when it is first listed, the mean
duration for each media sequence number jumped over, and after an outage in which the sequence started over, the
wall-clock time that the new playlist does not cover. Provisional missed time (`worker.ingest.playlist.missed_time`)
elapses once it counts as missed; an unwatch adds it by `worker.ingest.coverage.ledger.pay_owed`.

Of a long playlist only a part is parsed (`worker.ingest.playlist.parse_window`), and a stream has a bounded number of
pending segments (`worker.ingest.playlist.poll_pace`). Numbers before the first listed one were jumped over: missed.
Listed numbers that were not parsed are skipped, and so are new segments beyond the bound, the oldest first; both
elapse like the rest. At the start of a watch, what was not parsed has not elapsed, since the stream was not watched
then. A recording waits instead: its cursor stays at the first segment that was not admitted, and its segments elapse as
they are admitted.
"""

from dataclasses import replace

from worker.ingest.playlist.capture_time import program_times, starts, within_clock, within_target
from worker.ingest.playlist.cursor import Cursor, ListedSegment, StreamState
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.missed_time import GONE, after_failure, after_reading, at_end, before_first, unshown, waits
from worker.ingest.playlist.other_videos import MAX_OTHER_VIDEOS
from worker.ingest.playlist.outcome import (
    INTERSTITIALS,
    LONG_EXTINF,
    OTHER_VIDEOS,
    Missed,
    MissedReason,
    NewSegment,
    PollAdvance,
    Reading,
)
from worker.ingest.playlist.playlist_diff import key_of, lost_to_outage, note_outage, relate
from worker.ingest.playlist.poll_pace import ENDLIST, RESETS_AT_ONCE, again_ms, backoff_ms, delay_ms, pending_cap
from worker.ingest.playlist.preceding import PrecedingSegment, preceding

SEEN_SEGMENTS = 32
"""Remembered to tell an old playlist from a new sequence: five times a usual window, two minutes of 4 s segments."""

STALLED_AFTER_TARGET_DURATIONS = 3
"""A playlist is renewed within 1.5 target durations (RFC 8216 section 6.2.1); doubled for a slow edge."""

ENDED_AFTER_STALL_MS = 30 * 60_000
"""A broadcaster who reconnects does so within minutes; after a longer pause the platform registers the stream again."""

LEAST_MEAN_MS = 100
"""A mean segment duration up to (<=) this is not credible: three frames a segment."""

STALLED = "stalled"
"""Reason of a stream that ended after a stall."""

ENDED_AFTER_FAILING_MS = 10 * 60_000
"""Without a successful poll. Restarts and deployments of an origin take less; many origins answer 404 for a broadcast
that is over."""


def advance(
    cursor: Cursor, playlist: MediaPlaylist, *, now_ms: int, pending: int = 0, validators_changed: bool | None = None
) -> PollAdvance:
    """The outcome of a poll that read `playlist` at `now_ms`.

    Args:
        pending: segments of the stream that are admitted and not settled.
        validators_changed: the outcome of the comparison for `possible_restarts`; None: unknown.
    """
    playlist = within_target(playlist)
    cursor_before = cursor
    reading = relate(cursor, playlist, now_ms, validators_changed)
    if playlist.segments and not playlist.ended and reading is not Reading.RESET:
        # It is no recording any more: its former list must not suspend the clock, or hide outages.
        cursor = replace(cursor, listed_until=0)
    cursor = note_outage(cursor, now_ms)
    missed: list[Missed] = []
    skipped_ms = 0
    recording_waits = waits(cursor)
    if reading in {Reading.FIRST, Reading.RESET}:
        new = playlist.segments
        missed += before_first(cursor, playlist, now_ms) if reading is Reading.FIRST else ()
        capture_ms = now_ms - playlist.parsed_ms - playlist.mean_times(playlist.later)
        if reading is Reading.RESET:
            window_start_ms = capture_ms - playlist.mean_times(playlist.earlier)
            missed += [*_never_admitted(cursor), *lost_to_outage(cursor, window_start_ms)]
            if cursor.resets >= RESETS_AT_ONCE and cursor.outage_from_ms is None:
                missed += _between_restarts(cursor, window_start_ms)
            cursor = replace(
                cursor, epoch=cursor.epoch + 1, seen=(), newest=None, listed_until=0, resets=cursor.resets + 1
            )
            if playlist.ended and playlist.earlier:
                # Parsed from the position in the previous sequence; the next poll begins at this one's start.
                new, capture_ms = (), window_start_ms
            else:
                skipped_ms = playlist.mean_times(playlist.earlier)
            # Start of a recording for which there is no room yet.
            cursor = replace(cursor, next_sequence=playlist.first_sequence, next_capture_ms=capture_ms)
    else:
        next_sequence = cursor.next_sequence or 0
        new = tuple(segment for segment in playlist.segments if segment.sequence >= next_sequence)
        capture_ms = cursor.next_capture_ms
        if reading is Reading.MOVED:
            cursor = replace(cursor, resets=0)
            missed += _jumped_over(cursor, playlist, now_ms)
            unparsed = playlist.segments[0].sequence - max(next_sequence, playlist.first_sequence)
            skipped_ms = playlist.mean_times(max(0, unparsed))
            capture_ms += sum(stretch.duration_ms for stretch in missed) + skipped_ms
            # Jumped and skipped numbers are counted once, also where there is no room yet for the following ones.
            next_sequence = max(next_sequence, playlist.segments[0].sequence)
            if not recording_waits:
                new_ms = sum(segment.duration_ms for segment in new) + playlist.mean_times(playlist.later)
                if cursor.state in {StreamState.STALLED, StreamState.ENDED} or cursor.outage_ms:
                    # Segments after a pause were not captured right after those before it.
                    capture_ms = max(capture_ms, now_ms - new_ms)
                capture_ms = within_clock(
                    capture_ms, new_ms=new_ms, playlist=playlist, now_ms=now_ms, not_before_ms=cursor.next_capture_ms
                )
            cursor = replace(cursor, next_sequence=next_sequence, next_capture_ms=capture_ms)
    room = max(0, pending_cap(cursor, playlist) - pending)
    taken = _first_playable(new, room) if playlist.ended else new
    skipped = set() if playlist.ended else {segment.sequence for segment in _beyond(new, room)}
    segments: list[NewSegment] = []
    before = preceding(taken, playlist.segments, cursor.newest)
    # Segments of a recording had ended by now too: adding ENDLIST must not move a stream ahead of the clock.
    *captured, next_capture_ms = starts(taken, capture_ms=capture_ms, until_ms=now_ms)
    for segment, capture_ms, program_ms in zip(taken, captured, program_times(taken, captured), strict=True):
        if segment.gap:
            missed.append(Missed(reason=MissedReason.GAP, duration_ms=segment.duration_ms, capture_ms=capture_ms))
        elif segment.sequence in skipped:
            skipped_ms += segment.duration_ms
        else:
            key = key_of(cursor, cursor.epoch, segment)
            segments.append(
                NewSegment(
                    key=key,
                    epoch=cursor.epoch,
                    capture_ms=capture_ms,
                    segment=segment,
                    program_ms=program_ms,
                    before=before.get(segment.sequence),
                )
            )
    cursor = _after_read(cursor, playlist, taken, now_ms=now_ms, capture_ms=next_capture_ms)
    counts = {
        LONG_EXTINF: sum(segment.long_extinf for segment in taken),
        INTERSTITIALS: len(set(playlist.interstitials).difference(cursor_before.interstitials)),
        OTHER_VIDEOS: len(set(playlist.other_videos).difference(cursor_before.other_videos)),
    }
    complete = not playlist.segments or not playlist.ended or (cursor.next_sequence or 0) > playlist.last_sequence
    on_hold = not complete and (bool(taken) or not room or reading is Reading.RESET)
    cursor = _with_state(cursor, playlist, reading, now_ms=now_ms, on_hold=on_hold, complete=complete)
    if cursor.state is StreamState.ENDED:
        missed += _never_admitted(cursor)
        if cursor.reason == STALLED:
            still = StreamState.STARTING if cursor.next_sequence is None else StreamState.STALLED
            ended = at_end(after_reading(replace(cursor, state=still), now_ms), now_ms)
            missed, counts = missed + ended[0], counts | ended[1]
        cursor = replace(cursor, listed_until=0, outage_from_ms=None, outage_ms=0)
    cursor = after_reading(cursor, now_ms)
    missed = [stretch for stretch in missed if stretch.duration_ms]
    elapsed_ms = (
        sum(stretch.duration_ms for stretch in missed) + skipped_ms + sum(one.segment.duration_ms for one in segments)
    )
    remembered, more = unshown(cursor_before, now_ms, shown_ms=elapsed_ms)
    cursor, counts = replace(cursor, unseen_ms=remembered.unseen_ms), counts | more
    return PollAdvance(
        cursor=cursor,
        reading=reading,
        segments=tuple(segments),
        missed=tuple(missed),
        skipped_ms=skipped_ms,
        counts={name: count for name, count in counts.items() if count},
        elapsed_ms=elapsed_ms,
        next_poll_in_ms=delay_ms(cursor, playlist, now_ms, complete=complete),
    )


def _first_playable(new: tuple[Segment, ...], room: int) -> tuple[Segment, ...]:
    """A recording's next segments, with at most `room` that can be moderated."""
    for index, segment in enumerate(new):
        if not segment.gap:
            if not room:
                return new[:index]
            room -= 1
    return new


def _beyond(new: tuple[Segment, ...], room: int) -> tuple[Segment, ...]:
    """The oldest segments that can be moderated and for which there is no room."""
    playable = tuple(segment for segment in new if not segment.gap)
    return playable[: max(0, len(playable) - room)]


def _never_admitted(cursor: Cursor) -> list[Missed]:
    """Segments of a recording that were listed, and withdrawn or replaced before they were admitted."""
    count = cursor.listed_until - (cursor.next_sequence or 0)
    if count <= 0:
        return []
    duration_ms = count * cursor.mean_ms
    return [Missed(reason=MissedReason.LEFT_WINDOW, duration_ms=duration_ms, capture_ms=cursor.next_capture_ms)]


def failed_poll(cursor: Cursor, *, now_ms: int, reason: str) -> PollAdvance:
    """The outcome of a poll without a playlist; `reason` is the error's, `malformed` if the response is no playlist."""
    failures = cursor.failures + 1
    if cursor.state is StreamState.ENDED:
        # A poll after the end: a playlist that is gone by then is no failure.
        return PollAdvance(cursor=replace(cursor, failures=failures), next_poll_in_ms=again_ms(cursor, now_ms))
    # A start in the future is from before Redis's clock went back.
    failing_since_ms = now_ms if cursor.failing_since_ms is None else min(cursor.failing_since_ms, now_ms)
    cursor = replace(
        cursor,
        state=StreamState.MALFORMED if reason == "malformed" else StreamState.UNREACHABLE,
        reason=reason,
        failures=failures,
        failing_since_ms=failing_since_ms,
        gone_since_ms=(now_ms if cursor.gone_since_ms is None else cursor.gone_since_ms) if reason in GONE else None,
    )
    cursor = after_failure(cursor, now_ms)
    if now_ms - failing_since_ms < ENDED_AFTER_FAILING_MS:
        return PollAdvance(cursor=cursor, next_poll_in_ms=backoff_ms(failures, cursor.window_ms))
    missed, counts = at_end(cursor, now_ms)
    missed = [stretch for stretch in (*_never_admitted(cursor), *missed) if stretch.duration_ms]
    return PollAdvance(
        cursor=replace(cursor, state=StreamState.ENDED, missing_since_ms=None),
        missed=tuple(missed),
        counts=counts,
        elapsed_ms=sum(stretch.duration_ms for stretch in missed),
    )


def _between_restarts(cursor: Cursor, window_start_ms: int) -> list[Missed]:
    """Time since the last reading, of a stream that starts over at each one: its numbers do not cover that time."""
    if cursor.last_read_ms is None or window_start_ms <= cursor.last_read_ms:
        return []
    lost_ms = window_start_ms - cursor.last_read_ms
    return [Missed(reason=MissedReason.OUTAGE, duration_ms=lost_ms, capture_ms=cursor.last_read_ms)]


def _jumped_over(cursor: Cursor, playlist: MediaPlaylist, now_ms: int) -> list[Missed]:
    assert cursor.next_sequence is not None
    count = playlist.first_sequence - cursor.next_sequence
    if count <= 0:
        return []
    duration_ms, target_ms = playlist.mean_times(count), round(playlist.target_duration_seconds * 1000)
    if playlist.mean_times(1) <= LEAST_MEAN_MS and cursor.last_new_ms is not None:
        # Durations near 0 would hide the jumped segments: count the wall clock, at most the target duration each.
        by_clock_ms = now_ms - cursor.last_new_ms - playlist.window_ms
        duration_ms = max(duration_ms, min(count * target_ms, by_clock_ms))
    return [Missed(reason=MissedReason.LEFT_WINDOW, duration_ms=duration_ms, capture_ms=cursor.next_capture_ms)]


def _after_read(
    cursor: Cursor, playlist: MediaPlaylist, taken: tuple[Segment, ...], *, now_ms: int, capture_ms: int
) -> Cursor:
    cursor = replace(
        cursor,
        last_read_ms=now_ms,
        last_new_ms=now_ms if taken or cursor.last_new_ms is None else min(cursor.last_new_ms, now_ms),
        failures=0,
        failing_since_ms=None,
        gone_since_ms=None,
        interstitials=playlist.interstitials,
        other_videos=tuple(dict.fromkeys((*playlist.other_videos, *cursor.other_videos)))[:MAX_OTHER_VIDEOS],
    )
    if not playlist.segments:
        return cursor
    cursor = replace(cursor, window_ms=playlist.window_ms, mean_ms=playlist.mean_times(1))
    if playlist.ended:
        cursor = replace(cursor, listed_until=max(cursor.listed_until, playlist.last_sequence + 1))
        if cursor.next_sequence is None:
            cursor = replace(cursor, next_sequence=playlist.first_sequence, next_capture_ms=capture_ms)
    if not taken:
        return cursor
    newest = taken[-SEEN_SEGMENTS:]
    return replace(
        cursor,
        seen=(*cursor.seen, *(ListedSegment(sequence=segment.sequence, name=segment.name) for segment in newest))[
            -SEEN_SEGMENTS:
        ],
        newest=PrecedingSegment.of(taken[-1]),
        next_sequence=taken[-1].sequence + 1,
        next_capture_ms=capture_ms,
        outage_from_ms=None,
        outage_ms=0,
    )


def _with_state(
    cursor: Cursor, playlist: MediaPlaylist, reading: Reading, *, now_ms: int, on_hold: bool, complete: bool
) -> Cursor:
    idle_ms = now_ms - (now_ms if cursor.last_new_ms is None else cursor.last_new_ms)
    stalled_after_ms = STALLED_AFTER_TARGET_DURATIONS * playlist.target_duration_seconds * 1000
    state, reason = StreamState.LIVE, ""
    if on_hold:
        pass  # the clock does not stall a recording that waits to be admitted
    elif playlist.ended and complete:
        state, reason = StreamState.ENDED, ENDLIST
    elif idle_ms >= ENDED_AFTER_STALL_MS:
        state, reason = StreamState.ENDED, STALLED
    elif reading is Reading.RESET:
        state = StreamState.RESET
    elif cursor.next_sequence is None:
        state = StreamState.STARTING
    elif idle_ms >= stalled_after_ms:
        state = StreamState.STALLED
    return replace(cursor, state=state, reason=reason)
