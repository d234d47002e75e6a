"""Missed time by the wall clock, in which a stream that should be live cannot be read or does not go on. Pure.

It is provisional: the cursor holds its start, readers of the ledger add it, and nothing is written to the ledger until
its cause is known. If the stream is listed again, media sequence numbers decide (`worker.ingest.playlist.timeline`). A
stream that had been live and ends instead is taken to have ended when it was last seen, if its playlist is gone or
does not go on; otherwise the time is missed.
"""

from dataclasses import dataclass, replace

from worker.ingest.coverage.ledger import AFTER_END, UNSHOWN_SECONDS
from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist
from worker.ingest.playlist.outcome import STREAM_BACKLOG, Missed, MissedReason, PollAdvance
from worker.ingest.playlist.playlist_diff import was_away

GONE = frozenset({"http_404", "http_410"})
"""Reasons of a failed poll with which an origin answers that there is no such playlist."""

FORGIVEN_FOR = 4
"""Milliseconds read that forgive one of `unseen_ms`: a stream unseen for over a fifth of the time is raised."""

MAX_UNSEEN_MS = 10 * 60_000
"""Most that is remembered, so that old outages are forgiven at some point."""

CAME_BACK_MS = 60_000
"""From (>=) this much `unseen_ms` on, 404 and 410 are no end of the broadcast: it came back from them before. Restarts
take less."""


_PASSED_BY = frozenset({MissedReason.LEFT_WINDOW, MissedReason.OUTAGE})
"""Missed though polls went on, unless they did not: then the polls are the cause."""


@dataclass(frozen=True, kw_only=True)
class ProvisionalGap:
    """Provisional missed time, which lasts until now."""

    reason: MissedReason
    since_ms: int
    kept: bool
    """It counts as missed if the watch ends now; otherwise the broadcast is taken to have ended."""
    certain_ms: int = 0
    """The part that counts as missed even if not `kept`: polls failed before the origin answered 404 or 410."""
    from_ms: int
    """Start of the gap; outages that come and go are one gap."""
    calls: bool
    """The gap is raised to moderators if it lasts."""

    def as_fields(self, member: str) -> dict[str, str]:
        """Fields of the stream's hash; `member` is the stream's member of `lw:streams:missing`."""
        return {
            "missing_member": member,
            "missing_since_ms": str(self.since_ms),
            "missing_reason": self.reason.value,
            "missing_kept": "1" if self.kept else "0",
            "missing_certain_ms": str(self.certain_ms),
            "missing_from_ms": str(self.from_ms),
            "gap_since_ms": str(self.from_ms) if self.calls else "",
        }


def provisional_gap(cursor: Cursor) -> ProvisionalGap | None:
    """The stream's provisional missed time; None: there is none, or the stream has ended."""
    if cursor.missing_since_ms is None or cursor.state is StreamState.ENDED:
        return None
    failing = cursor.state in {StreamState.UNREACHABLE, StreamState.MALFORMED}
    stalled, gone = cursor.state is StreamState.STALLED, cursor.reason in GONE
    began_ms, gone_ms = cursor.failing_since_ms, cursor.gone_since_ms
    return ProvisionalGap(
        reason=MissedReason.STALLED if stalled else MissedReason.UNREACHABLE,
        since_ms=cursor.missing_since_ms,
        kept=cursor.next_sequence is None or not (stalled or gone),
        certain_ms=max(0, gone_ms - began_ms) if gone_ms is not None and began_ms is not None else 0,
        from_ms=cursor.missing_since_ms - (cursor.unseen_ms if failing else 0),
        calls=failing and (not gone or cursor.unseen_ms >= CAME_BACK_MS),
    )


def hidden_ms(cursor: Cursor, step: PollAdvance, now_ms: int) -> dict[str, int]:
    """Time by ledger reason in which the stream went on, was polled, and was not seen: marked as missing by its origin
    (EXT-X-GAP), jumped over, or more than it may have pending.

    Args:
        cursor: as it was before the poll.
    """
    found: dict[str, int] = {STREAM_BACKLOG: step.skipped_ms} if step.skipped_ms else {}
    away = was_away(cursor, now_ms)
    for missed in step.missed:
        if missed.reason is MissedReason.GAP or (missed.reason in _PASSED_BY and not away):
            found[missed.reason.value] = found.get(missed.reason.value, 0) + missed.duration_ms
    return found


def unshown(cursor: Cursor, now_ms: int, *, shown_ms: int) -> tuple[Cursor, dict[str, int]]:
    """The cursor once the stream is read again and lists `shown_ms` more, which an outage may have hidden; and the
    ledger's counts.

    Time that the sequence does not cover may never have been streamed, because the encoder was away too. Or a
    broadcaster refuses our requests for less time than raises a gap, and numbers on as if nothing had happened. Such
    time is not missed, but counted and remembered.

    Args:
        cursor: as it was before the reading.
    """
    if cursor.last_read_ms is None or cursor.next_sequence is None or waits(cursor):
        return cursor, {}
    if not cursor.failures or cursor.missing_since_ms is None:
        forgiven_ms = max(0, now_ms - cursor.last_read_ms) // FORGIVEN_FOR
        return replace(cursor, unseen_ms=max(0, cursor.unseen_ms - forgiven_ms)), {}
    lost_ms = max(0, now_ms - max(cursor.missing_since_ms, cursor.last_read_ms) - shown_ms)
    unseen_ms = min(MAX_UNSEEN_MS, cursor.unseen_ms + lost_ms)
    return replace(cursor, unseen_ms=unseen_ms), {UNSHOWN_SECONDS: lost_ms // 1000}


def after_failure(cursor: Cursor, now_ms: int) -> Cursor:
    """The cursor of a stream that could not be read just now."""
    if waits(cursor):
        return cursor
    since_ms = cursor.missing_since_ms
    if since_ms is None:
        never_live = cursor.next_sequence is None
        since_ms = cursor.watched_since_ms if never_live else cursor.last_read_ms
    # A start in the future is from before Redis's clock went back.
    return replace(cursor, missing_since_ms=now_ms if since_ms is None else min(since_ms, now_ms))


def after_reading(cursor: Cursor, now_ms: int) -> Cursor:
    """The cursor of a stream that was read just now; its state is set already."""
    since_ms = None
    if cursor.state is StreamState.STALLED:
        since_ms = cursor.last_new_ms
    elif cursor.state is StreamState.STARTING:
        since_ms = min(
            now_ms,
            next(since for since in (cursor.missing_since_ms, cursor.watched_since_ms, now_ms) if since is not None),
        )
    return replace(cursor, missing_since_ms=since_ms)


def at_end(cursor: Cursor, now_ms: int) -> tuple[list[Missed], dict[str, int]]:
    """The missed time of a stream that ends now without an unwatch, and the ledger's counts."""
    found = provisional_gap(cursor)
    if found is None:
        return [], {}
    if not found.kept:
        certain = Missed(reason=MissedReason.UNREACHABLE, duration_ms=found.certain_ms, capture_ms=found.since_ms)
        return [certain] if found.certain_ms else [], {AFTER_END: 1}
    duration_ms = max(0, now_ms - found.since_ms)
    return [Missed(reason=found.reason, duration_ms=duration_ms, capture_ms=found.since_ms)], {}


def before_first(cursor: Cursor, playlist: MediaPlaylist, now_ms: int) -> list[Missed]:
    """Time streamed between registration and the start of the first playlist, and before that since the stream was
    last watched in state that Redis lost."""

    def unlisted_ms(since_ms: int | None) -> int:
        if since_ms is None:
            return 0
        # By its media sequence numbers the stream may have begun later, or with this playlist.
        return max(0, min(now_ms - since_ms - playlist.window_ms, playlist.mean_times(playlist.first_sequence)))

    registered_ms, lost_ms = cursor.watched_since_ms, cursor.lost_since_ms
    unreachable_ms = unlisted_ms(registered_ms)
    missed = []
    if lost_ms is not None and (before_ms := unlisted_ms(lost_ms) - unreachable_ms) > 0:
        missed.append(Missed(reason=MissedReason.STATE_LOST, duration_ms=before_ms, capture_ms=lost_ms))
    if registered_ms is not None and unreachable_ms:
        missed.append(Missed(reason=MissedReason.UNREACHABLE, duration_ms=unreachable_ms, capture_ms=registered_ms))
    return missed


def waits(cursor: Cursor) -> bool:
    """Segments of a recording wait to be admitted: they are listed, and do not leave a window."""
    return cursor.listed_until > (cursor.next_sequence or 0)
