"""Compares a playlist with those read before: does the media sequence go on, stand still or start over? Pure."""

from dataclasses import replace

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist, Segment, segment_key
from worker.ingest.playlist.outcome import Missed, MissedReason, PossibleRestart, Reading
from worker.ingest.playlist.poll_pace import LONGEST_IDLE_DELAY_MS

_JUMP_SLACK_MS = 60_000
"""A media sequence cannot run ahead of the clock; one that jumps further than this is another sequence."""


def possible_restarts(cursor: Cursor, playlist: MediaPlaylist, *, now_ms: int) -> tuple[PossibleRestart, ...]:
    """Segments, newest first, one of which should have its HTTP validators compared with stored ones before `advance`.

    An origin that restarts may reach the same numbers and names again: while polls failed or were late, during a stall,
    when the sequence goes back, or after ENDLIST. Empty: it is none.
    """
    last = playlist.last_sequence if playlist.segments else -1
    next_sequence = 0 if cursor.next_sequence is None else cursor.next_sequence
    went_on, went_back = last >= next_sequence, last + 1 < next_sequence
    if cursor.state is StreamState.ENDED:
        doubtful = went_on or not playlist.ended
    else:
        doubtful = was_away(cursor, now_ms) or (cursor.state is StreamState.STALLED and went_on)
    if not (doubtful or went_back):
        return ()
    names = {seen.sequence: seen.name for seen in cursor.seen}
    return tuple(
        PossibleRestart(key=key_of(cursor, cursor.epoch, segment), segment=segment)
        for segment in reversed(playlist.segments)
        if segment.sequence in names and names[segment.sequence] == segment.name
    )


def relate(cursor: Cursor, playlist: MediaPlaylist, now_ms: int, validators_changed: bool | None) -> Reading:
    """The relation of `playlist` to the cursor.

    Args:
        validators_changed: the outcome of the comparison for `possible_restarts`; None: unknown.
    """
    if not playlist.segments:
        return Reading.UNCHANGED
    if cursor.next_sequence is None:
        return Reading.FIRST
    names = {seen.sequence: seen.name for seen in cursor.seen}
    overlap = [segment for segment in playlist.segments if segment.sequence in names]
    if validators_changed or any(names[segment.sequence] != segment.name for segment in overlap):
        return Reading.RESET
    first, last = playlist.first_sequence, playlist.last_sequence
    if last + 1 < cursor.next_sequence:
        return Reading.STALE if overlap else Reading.RESET
    if last + 1 == cursor.next_sequence:
        return Reading.UNCHANGED
    jumped_ms = playlist.mean_times(first - cursor.next_sequence)
    # Not below 0: a clock that was set back is no jump of the sequence.
    idle_ms = max(0, now_ms - (now_ms if cursor.last_new_ms is None else cursor.last_new_ms))
    if jumped_ms > idle_ms + playlist.window_ms + _JUMP_SLACK_MS:
        return Reading.RESET
    return Reading.MOVED


def was_away(cursor: Cursor, now_ms: int) -> bool:
    """No playlist was read for so long that segments may have come into the window and left it meanwhile."""
    if cursor.last_read_ms is None or cursor.next_sequence is None:
        return False
    return cursor.failures > 0 or now_ms - cursor.last_read_ms > max(cursor.window_ms, LONGEST_IDLE_DELAY_MS)


def note_outage(cursor: Cursor, now_ms: int) -> Cursor:
    """The cursor of a stream that is read again at `now_ms`, with the outage before; after the end there is none."""
    if cursor.last_read_ms is None or cursor.state is StreamState.ENDED or not was_away(cursor, now_ms):
        return cursor
    return replace(
        cursor,
        outage_from_ms=cursor.last_read_ms if cursor.outage_from_ms is None else cursor.outage_from_ms,
        outage_ms=cursor.outage_ms + max(0, now_ms - cursor.last_read_ms),
    )


def lost_to_outage(cursor: Cursor, window_start_ms: int) -> list[Missed]:
    """The part of an outage that the new playlist, which starts at `window_start_ms`, does not cover."""
    if cursor.outage_from_ms is None:
        return []
    lost_ms = min(cursor.outage_ms, window_start_ms - cursor.outage_from_ms)
    if lost_ms <= 0:
        return []
    return [Missed(reason=MissedReason.OUTAGE, duration_ms=lost_ms, capture_ms=cursor.outage_from_ms)]


def key_of(cursor: Cursor, epoch: int, segment: Segment) -> str:
    """The segment's key in the cursor's rendition."""
    return segment_key(
        generation=cursor.generation,
        epoch=epoch,
        rendition=cursor.rendition,
        sequence=segment.sequence,
        name=segment.name,
    )
