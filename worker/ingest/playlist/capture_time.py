"""Capture times of segments, estimated from the clock at which they were listed. Pure.

The timeline of an epoch advances by durations within two bounds of the clock: a segment had ended when it was listed,
and is not older than the playlist's window. Without the first bound a first reading that comes a segment late would
date all later segments too late; without the second each pause of an encoder would date them too early.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from worker.ingest.playlist.hls import MediaPlaylist, Segment

LONGEST_BEHIND_MS = 30_000
"""Most by which a live stream's timeline may lag behind its new segments: a usual window (five segments of 6 s). Where
a complete broadcast is listed, the window is no bound."""

CLOCK_SET_BACK_MS = 30_000
"""A timeline further ahead of the clock than this means that the clock was set back."""

LEAST_TARGET_MS = 1_000
"""Target durations are whole seconds (RFC 8216 section 4.3.3.1); a shorter one would keep time out of the ledger."""

_ROUNDING_MS = 500
"""A duration, rounded to whole seconds, does not exceed the target duration (RFC 8216 section 4.3.3.1)."""

CREDIBLE_MS = 60_000
"""Most by which an origin's clock may differ from Redis's: packager delay and an unsynchronized clock stay within a
minute. A larger difference is a time zone, a recording or a mistake."""


def within_target(playlist: MediaPlaylist) -> MediaPlaylist:
    """The playlist with each duration capped at the target duration; capped segments are marked `long_extinf`."""
    target_ms = max(round(playlist.target_duration_seconds * 1000), LEAST_TARGET_MS)
    if all(segment.duration_ms <= target_ms + _ROUNDING_MS for segment in playlist.segments):
        return playlist
    segments = (
        replace(segment, duration_ms=target_ms, long_extinf=True)
        if segment.duration_ms > target_ms + _ROUNDING_MS
        else segment
        for segment in playlist.segments
    )
    return replace(playlist, segments=tuple(segments))


def within_clock(capture_ms: int, *, new_ms: int, playlist: MediaPlaylist, now_ms: int, not_before_ms: int) -> int:
    """The start of the first new segment: `capture_ms`, where its timeline puts it, moved into the clock's bounds.

    Args:
        new_ms: total duration of all new segments.
        not_before_ms: the end of the segments listed before; it holds even where it is later than the clock allows.
    """
    oldest_ms = now_ms - min(playlist.window_ms, new_ms + LONGEST_BEHIND_MS)
    return max(not_before_ms, min(max(capture_ms, oldest_ms), now_ms - new_ms))


def starts(segments: Sequence[Segment], *, capture_ms: int, until_ms: int | None) -> list[int]:
    """The start of each segment, and the end of the last; strictly rising.

    Args:
        capture_ms: the start of the first.
        until_ms: the latest end of the last; longer durations are shortened in proportion. None: durations are right,
            and may be 0.
    """
    ends = list(accumulate((segment.duration_ms for segment in segments), initial=0))
    within_ms = ends[-1] if until_ms is None else max(0, until_ms - capture_ms - len(segments))
    if until_ms is not None and capture_ms - until_ms > CLOCK_SET_BACK_MS:
        within_ms = ends[-1] // 2  # the timeline advances at half speed until the clock catches up
    if ends[-1] > within_ms:
        return [capture_ms + index + within_ms * end // ends[-1] for index, end in enumerate(ends)]
    rising = [capture_ms]
    for before, end in pairwise(ends):
        rising.append(rising[-1] + max(1, end - before))
    return rising


def program_times(segments: Sequence[Segment], captured_ms: Sequence[int]) -> list[int | None]:
    """EXT-X-PROGRAM-DATE-TIME of each, in Unix milliseconds; None where there is none, or no credible one: it has no
    zone, is more than `CREDIBLE_MS` from the clock, or does not rise."""
    found: list[int | None] = []
    last_ms = 0
    for segment, capture_ms in zip(segments, captured_ms, strict=False):
        at = segment.program_date_time
        at_ms = None if at is None or at.tzinfo is None else round(at.timestamp() * 1000)
        if at_ms is not None and last_ms < at_ms and abs(at_ms - capture_ms) <= CREDIBLE_MS:
            found.append(at_ms)
            last_ms = at_ms
        else:
            found.append(None)
    return found
