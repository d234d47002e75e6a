"""What a newly read playlist adds to a stream: new segments, elapsed and missed time, and when to look again. Pure.

Elapsed time is counted here and nowhere else, in whole milliseconds: the duration of each segment when it is first
listed, the mean duration for each media sequence number jumped over, and of an outage after which the sequence did not
go on, the wall-clock time that the new playlist does not cover.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

from worker.polling.cursor import Cursor, Seen, StreamState
from worker.polling.hls import MediaPlaylist, Segment, segment_key

SEEN_SEGMENTS = 32
"""Kept to tell an old playlist from another one: five times a usual window, two minutes of 4 s segments."""

MAX_NEW_SEGMENTS = 500
"""Admitted in one poll, so that a recording of a day cannot fill the queue at once; the rest follow in the next."""

STALLED_AFTER_TARGET_DURATIONS = 3
"""A playlist is renewed within 1.5 target durations (RFC 8216 section 6.2.1); doubled for a slow edge."""

ENDED_AFTER_STALL_MS = 30 * 60_000
"""A broadcaster who reconnects does so within minutes; longer pauses are enqueued anew by the platform."""

ENDED_AFTER_FAILING_MS = 10 * 60_000
"""Without one good poll. Restarts and deployments of an origin take less; many origins answer 404 for what is over."""

_MIN_DELAY_MS, _MAX_DELAY_MS = 1_000, 5_000
_MAX_IDLE_DELAY_MS = 10_000
_SHORT_WINDOW_MIN_DELAY_MS = 500
"""Where half the window is less than `_MIN_DELAY_MS`: more than two polls a second are an attack on the origin."""

_JUMP_SLACK_MS = 60_000
"""A sequence cannot run ahead of the clock; what jumps further than this beyond it is another sequence."""


class Reading(StrEnum):
    """How a playlist relates to the ones before."""

    FIRST = "first"
    MOVED = "moved"
    """The sequence goes on."""
    UNCHANGED = "unchanged"
    STALE = "stale"
    """An older playlist, from an edge that lags."""
    RESET = "reset"
    """The origin started over: all that is listed is new, in a new epoch."""


class MissedReason(StrEnum):
    LEFT_WINDOW = "left_window"
    """Media sequence numbers that were never listed when we looked."""
    OUTAGE = "outage"
    """No playlist was read, and the sequence did not go on afterwards."""
    GAP = "gap"
    """The origin lists the segment and says that it does not have it (EXT-X-GAP)."""


@dataclass(frozen=True, kw_only=True)
class NewSegment:
    """A segment to be moderated."""

    key: str
    epoch: int
    capture_ms: int
    """When its first picture was taken, by the epoch's timeline."""
    segment: Segment


@dataclass(frozen=True, kw_only=True)
class Missed:
    """A stretch of the stream that nobody can moderate."""

    reason: MissedReason
    duration_ms: int
    capture_ms: int
    """Where it starts."""


@dataclass(frozen=True, kw_only=True)
class Doubt:
    """A segment listed under the number and name of one that was seen, which may be another one all the same."""

    key: str
    """The key that the seen one had; validators are stored under it."""
    segment: Segment


@dataclass(frozen=True, kw_only=True)
class Advance:
    """The outcome of one poll. `elapsed_ms` is the duration of `segments` and `missed` together."""

    cursor: Cursor
    reading: Reading | None = None
    """None: nothing could be read."""
    segments: tuple[NewSegment, ...] = ()
    missed: tuple[Missed, ...] = ()
    elapsed_ms: int = 0
    next_poll_in_ms: int | None = None
    """None: the stream has ended."""


def doubts(cursor: Cursor, playlist: MediaPlaylist, *, now_ms: int) -> tuple[Doubt, ...]:
    """Segments, newest first, of which one's validators should be compared with stored ones before `advance`.

    An origin that restarts may reach the same numbers and names again: while polls failed or were late, during a stall,
    or when the sequence goes back. Empty: there is no doubt.
    """
    last = playlist.segments[-1].sequence if playlist.segments else -1
    next_sequence = 0 if cursor.next_sequence is None else cursor.next_sequence
    after_stall = cursor.state is StreamState.STALLED and last >= next_sequence
    went_back = last + 1 < next_sequence
    if not (_was_away(cursor, now_ms) or after_stall or went_back):
        return ()
    names = {seen.sequence: seen.name for seen in cursor.seen}
    return tuple(
        Doubt(key=_key(cursor, cursor.epoch, segment), segment=segment)
        for segment in reversed(playlist.segments)
        if names.get(segment.sequence) == segment.name
    )


def advance(cursor: Cursor, playlist: MediaPlaylist, *, now_ms: int, validators_changed: bool | None = None) -> Advance:
    """What `playlist`, read at `now_ms`, adds. `validators_changed` answers `doubts`; None: it could not be told."""
    reading = _relate(cursor, playlist, now_ms, validators_changed)
    cursor = _note_outage(cursor, now_ms)
    new = playlist.segments
    missed: list[Missed] = []
    if reading in {Reading.FIRST, Reading.RESET}:
        capture_ms = now_ms - playlist.window_ms
        if reading is Reading.RESET:
            cursor = replace(cursor, epoch=cursor.epoch + 1, seen=())
            missed += _lost_to_outage(cursor, capture_ms)
    else:
        new = tuple(segment for segment in new if segment.sequence >= (cursor.next_sequence or 0))
        capture_ms = cursor.next_capture_ms
        if reading is Reading.MOVED:
            missed += _jumped_over(cursor, playlist)
            capture_ms += sum(stretch.duration_ms for stretch in missed)
            if cursor.state is StreamState.STALLED or cursor.outage_ms:
                # What comes after a pause was not taken right after what came before it.
                capture_ms = max(capture_ms, now_ms - sum(segment.duration_ms for segment in new))
    admitted = new[:MAX_NEW_SEGMENTS]
    elapsed_ms = sum(stretch.duration_ms for stretch in missed) + sum(segment.duration_ms for segment in admitted)
    segments: list[NewSegment] = []
    for segment in admitted:
        if segment.gap:
            missed.append(Missed(reason=MissedReason.GAP, duration_ms=segment.duration_ms, capture_ms=capture_ms))
        else:
            key = _key(cursor, cursor.epoch, segment)
            segments.append(NewSegment(key=key, epoch=cursor.epoch, capture_ms=capture_ms, segment=segment))
        capture_ms += segment.duration_ms
    cursor = _after_read(cursor, playlist, admitted, now_ms=now_ms, capture_ms=capture_ms)
    cursor = _with_state(cursor, playlist, reading, now_ms=now_ms, complete=len(admitted) == len(new))
    return Advance(
        cursor=cursor,
        reading=reading,
        segments=tuple(segments),
        missed=tuple(missed),
        elapsed_ms=elapsed_ms,
        next_poll_in_ms=0 if len(admitted) < len(new) else _delay_ms(cursor, playlist, now_ms),
    )


def failed_poll(cursor: Cursor, *, now_ms: int, reason: str) -> Advance:
    """What a poll without a playlist changes; `reason` is that of the error, `malformed` for what is no playlist."""
    failing_since_ms = now_ms if cursor.failing_since_ms is None else cursor.failing_since_ms
    failures = cursor.failures + 1
    state = StreamState.MALFORMED if reason == "malformed" else StreamState.UNREACHABLE
    ended = now_ms - failing_since_ms >= ENDED_AFTER_FAILING_MS
    cursor = replace(
        cursor,
        state=StreamState.ENDED if ended else state,
        reason=reason,
        failures=failures,
        failing_since_ms=failing_since_ms,
    )
    if ended:
        return Advance(cursor=cursor)
    backoff_ms = min(_MAX_IDLE_DELAY_MS, _MIN_DELAY_MS << min(failures - 1, 10))
    return Advance(cursor=cursor, next_poll_in_ms=_within_window(backoff_ms, cursor.window_ms))


def _relate(cursor: Cursor, playlist: MediaPlaylist, now_ms: int, validators_changed: bool | None) -> Reading:
    if not playlist.segments:
        return Reading.UNCHANGED
    if cursor.next_sequence is None:
        return Reading.FIRST
    names = {seen.sequence: seen.name for seen in cursor.seen}
    overlap = [segment for segment in playlist.segments if segment.sequence in names]
    if validators_changed or any(names[segment.sequence] != segment.name for segment in overlap):
        return Reading.RESET
    first, last = playlist.segments[0].sequence, playlist.segments[-1].sequence
    if last + 1 < cursor.next_sequence:
        return Reading.STALE if overlap else Reading.RESET
    if last + 1 == cursor.next_sequence:
        return Reading.UNCHANGED
    jumped_ms = _mean_times(playlist, first - cursor.next_sequence)
    idle_ms = now_ms - (now_ms if cursor.last_new_ms is None else cursor.last_new_ms)
    if jumped_ms > idle_ms + playlist.window_ms + _JUMP_SLACK_MS:
        return Reading.RESET
    return Reading.MOVED


def _mean_times(playlist: MediaPlaylist, count: int) -> int:
    """The mean duration of the listed segments times `count`, in milliseconds rounded down."""
    return playlist.window_ms * count // len(playlist.segments)


def _jumped_over(cursor: Cursor, playlist: MediaPlaylist) -> list[Missed]:
    assert cursor.next_sequence is not None
    count = playlist.segments[0].sequence - cursor.next_sequence
    if count <= 0:
        return []
    return [
        Missed(
            reason=MissedReason.LEFT_WINDOW,
            duration_ms=_mean_times(playlist, count),
            capture_ms=cursor.next_capture_ms,
        )
    ]


def _was_away(cursor: Cursor, now_ms: int) -> bool:
    """No playlist was read for so long that what was listed meanwhile may have left the window."""
    if cursor.last_read_ms is None or cursor.next_sequence is None:
        return False
    return cursor.failures > 0 or now_ms - cursor.last_read_ms > max(cursor.window_ms, _MAX_IDLE_DELAY_MS)


def _note_outage(cursor: Cursor, now_ms: int) -> Cursor:
    if cursor.last_read_ms is None or not _was_away(cursor, now_ms):
        return cursor
    return replace(
        cursor,
        outage_from_ms=cursor.last_read_ms if cursor.outage_from_ms is None else cursor.outage_from_ms,
        outage_ms=cursor.outage_ms + max(0, now_ms - cursor.last_read_ms),
    )


def _lost_to_outage(cursor: Cursor, window_start_ms: int) -> list[Missed]:
    """The part of an outage that the new playlist, which starts at `window_start_ms`, does not cover."""
    if cursor.outage_from_ms is None:
        return []
    lost_ms = min(cursor.outage_ms, window_start_ms - cursor.outage_from_ms)
    if lost_ms <= 0:
        return []
    return [Missed(reason=MissedReason.OUTAGE, duration_ms=lost_ms, capture_ms=cursor.outage_from_ms)]


def _key(cursor: Cursor, epoch: int, segment: Segment) -> str:
    return segment_key(generation=cursor.generation, epoch=epoch, rendition=cursor.rendition, segment=segment)


def _after_read(
    cursor: Cursor, playlist: MediaPlaylist, admitted: tuple[Segment, ...], *, now_ms: int, capture_ms: int
) -> Cursor:
    seen = (*cursor.seen, *(Seen(sequence=segment.sequence, name=segment.name) for segment in admitted))
    cursor = replace(
        cursor,
        seen=seen[-SEEN_SEGMENTS:],
        window_ms=playlist.window_ms if playlist.segments else cursor.window_ms,
        last_read_ms=now_ms,
        last_new_ms=now_ms if admitted or cursor.last_new_ms is None else cursor.last_new_ms,
        failures=0,
        failing_since_ms=None,
    )
    if not admitted:
        return cursor
    return replace(
        cursor,
        next_sequence=admitted[-1].sequence + 1,
        next_capture_ms=capture_ms,
        outage_from_ms=None,
        outage_ms=0,
    )


def _with_state(cursor: Cursor, playlist: MediaPlaylist, reading: Reading, *, now_ms: int, complete: bool) -> Cursor:
    idle_ms = now_ms - (now_ms if cursor.last_new_ms is None else cursor.last_new_ms)
    stalled_after_ms = STALLED_AFTER_TARGET_DURATIONS * playlist.target_duration_seconds * 1000
    state, reason = StreamState.LIVE, ""
    if playlist.ended and complete:
        state, reason = StreamState.ENDED, "endlist"
    elif idle_ms >= ENDED_AFTER_STALL_MS:
        state, reason = StreamState.ENDED, "stalled"
    elif reading is Reading.RESET:
        state = StreamState.RESET
    elif cursor.next_sequence is None:
        state = StreamState.STARTING
    elif idle_ms >= stalled_after_ms:
        state = StreamState.STALLED
    return replace(cursor, state=state, reason=reason)


def _delay_ms(cursor: Cursor, playlist: MediaPlaylist, now_ms: int) -> int | None:
    if cursor.state is StreamState.ENDED:
        return None
    delay_ms = min(max(round(playlist.target_duration_seconds * 500), _MIN_DELAY_MS), _MAX_DELAY_MS)
    if cursor.state is StreamState.STALLED:
        assert cursor.last_new_ms is not None
        delay_ms = min(max(delay_ms, (now_ms - cursor.last_new_ms) // 8), _MAX_IDLE_DELAY_MS)
    return _within_window(delay_ms, cursor.window_ms)


def _within_window(delay_ms: int, window_ms: int) -> int:
    """Half the window at most, so that even a poll that comes late finds each segment still listed."""
    if not window_ms:
        return delay_ms
    return min(delay_ms, max(window_ms // 2, _SHORT_WINDOW_MIN_DELAY_MS))
