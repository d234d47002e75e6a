"""When the pictures of segments were taken, by the clock at which they were listed. Pure.

The timeline of an epoch goes on by durations, and stays with the clock: a segment had ended when it was listed, and is
not older than the playlist's window. Without the first bound the first reading, which may come a whole segment late,
would date all that follows too late; without the second each pause of an encoder would date it earlier.
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise

from worker.ingest.playlist.hls import MediaPlaylist, Segment

LONGEST_BEHIND_MS = 30_000
"""By which a live stream's timeline may be behind what it lists: a usual window (five segments of 6 s). Where the whole
of a broadcast is listed, the window is no bound."""

CLOCK_SET_BACK_MS = 30_000
"""By which a timeline is ahead of the clock only if that was set back."""

LEAST_TARGET_MS = 1_000
"""Target durations are whole seconds (RFC 8216 section 4.3.3.1); one below would take the time out of the ledger."""

_ROUNDING_MS = 500
"""A duration keeps within the target duration when rounded to whole seconds (RFC 8216 section 4.3.3.1)."""

CREDIBLE_MS = 60_000
"""By which an origin's own clock may differ from ours: delays of packagers and clocks that nobody set within a minute.
Further away it is a time zone, a recording or a mistake."""


def within_target(playlist: MediaPlaylist) -> MediaPlaylist:
    """The playlist with no segment longer than the target duration that it promises; those that were are marked."""
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
    """Where the first new segment starts, of which the timeline says `capture_ms`.

    Args:
        new_ms: durations of all that is new.
        not_before_ms: the end of what was listed before; later than the clock allows, it stays.
    """
    oldest_ms = now_ms - min(playlist.window_ms, new_ms + LONGEST_BEHIND_MS)
    return max(not_before_ms, min(max(capture_ms, oldest_ms), now_ms - new_ms))


def starts(segments: Sequence[Segment], *, capture_ms: int, until_ms: int | None) -> list[int]:
    """Where each segment starts, and where the last ends; it rises strictly.

    Args:
        capture_ms: where the first starts.
        until_ms: when the last had ended, at the latest: where durations say more, they are shortened alike. None:
            durations are right, and may be 0.
    """
    ends = list(accumulate((segment.duration_ms for segment in segments), initial=0))
    within_ms = ends[-1] if until_ms is None else max(0, until_ms - capture_ms - len(segments))
    if until_ms is not None and capture_ms - until_ms > CLOCK_SET_BACK_MS:
        within_ms = ends[-1] // 2  # time goes on, and the clock comes nearer
    if ends[-1] > within_ms:
        return [capture_ms + place + within_ms * end // ends[-1] for place, end in enumerate(ends)]
    rising = [capture_ms]
    for before, end in pairwise(ends):
        rising.append(rising[-1] + max(1, end - before))
    return rising


def program_times(segments: Sequence[Segment], captured_ms: Sequence[int]) -> list[int | None]:
    """What EXT-X-PROGRAM-DATE-TIME says of each, in Unix milliseconds; None where there is none, or no credible one: it
    has no zone, is far from the clock, or does not rise."""
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
