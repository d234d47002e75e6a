"""The delay to a stream's next poll, and the bound of its pending segments. Pure."""

from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist

MAX_PENDING_SEGMENTS = 64
"""Limit for one stream. One that lists more, or renames its segments, costs others no more than this."""

SMALLEST_WINDOW_SEGMENTS = 3
"""A live playlist lists at least this many (RFC 8216 section 6.2.2). One that lists fewer has just begun."""

SHORTEST_DELAY_MS = 500
"""Between two polls of a stream, whatever its playlist asks for: more than two a second would be an attack on the
origin and on the other streams."""

ENDLIST = "endlist"
"""Reason of a stream that ended with EXT-X-ENDLIST."""

RECORDING_DELAY_MS = 2_000
"""While a recording's next segments wait to be admitted: 64 of them are moderated in some seconds."""

LONGEST_IDLE_DELAY_MS = 10_000
FIRST_DELAY_MS, _LONGEST_DELAY_MS = 1_000, 5_000

POLLED_AFTER_END_MS = 5 * 60_000
"""After ENDLIST. A broadcaster who comes back is registered again immediately, while packagers serve the old playlist
until the first new segment is complete. One without a new segment after minutes is registered again."""

RESETS_AT_ONCE = 3
"""Plausible restarts in a row; an origin with more of them signs its paths anew for each request, or floods."""

_RESET_WINDOW_DELAY_MS = 2_000
"""Delay up to which even a short window is slowed down then: a live window of 4 s is still read twice."""


def pending_cap(cursor: Cursor, playlist: MediaPlaylist) -> int:
    """Segments of a stream that may be pending: twice its window, and `MAX_PENDING_SEGMENTS` at most. An origin need
    not keep older ones any longer (RFC 8216 section 6.2.2).

    If `playlist` lists less than the one before, the window is that of the one before: an encoder that has just
    restarted lists one segment, while earlier ones are still pending.

    Args:
        cursor: as it was before `playlist` was read.
    """
    before = round(cursor.window_ms / cursor.mean_ms) if cursor.mean_ms else 0
    return min(2 * max(playlist.listed, before, SMALLEST_WINDOW_SEGMENTS), MAX_PENDING_SEGMENTS)


def delay_ms(cursor: Cursor, playlist: MediaPlaylist, now_ms: int, *, complete: bool) -> int | None:
    """Time to the next poll after a playlist was read; None: the stream has ended.

    `complete`: no listed segment waits to be admitted.
    """
    if cursor.state is StreamState.ENDED:
        return again_ms(cursor, now_ms)
    if not complete:
        return RECORDING_DELAY_MS
    delay = min(max(round(playlist.target_duration_seconds * 500), FIRST_DELAY_MS), _LONGEST_DELAY_MS)
    if cursor.state is StreamState.STALLED:
        assert cursor.last_new_ms is not None
        delay = min(max(delay, (now_ms - cursor.last_new_ms) // 8), LONGEST_IDLE_DELAY_MS)
    if cursor.resets > RESETS_AT_ONCE:
        slowed = min(FIRST_DELAY_MS << min(cursor.resets - RESETS_AT_ONCE, 10), LONGEST_IDLE_DELAY_MS)
        return max(delay, min(slowed, max(cursor.window_ms // 2, _RESET_WINDOW_DELAY_MS)))
    return within_window(delay, cursor.window_ms)


def again_ms(cursor: Cursor, now_ms: int) -> int | None:
    """Time to the next poll of a stream that has ended; None: it is not polled any more."""
    if cursor.reason != ENDLIST or cursor.watched_since_ms is None:
        return None
    since_ms = max(cursor.watched_since_ms, cursor.last_new_ms or 0)
    if now_ms - since_ms >= POLLED_AFTER_END_MS:
        return None
    return within_window(LONGEST_IDLE_DELAY_MS, cursor.window_ms)


def backoff_ms(failures: int, window_ms: int) -> int:
    """Time to the next poll after `failures` (>= 1) that failed in a row."""
    return within_window(min(LONGEST_IDLE_DELAY_MS, FIRST_DELAY_MS << min(failures - 1, 10)), window_ms)


def within_window(delay: int, window_ms: int) -> int:
    """The delay, at most half the window, so that even a late poll finds each segment still listed."""
    return min(delay, max(window_ms // 2, SHORTEST_DELAY_MS)) if window_ms else delay
