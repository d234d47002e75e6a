"""Time by the wall clock in which a stream that should be live is not seen. Pure.

It is provisional: the cursor has since when, whoever shows the ledger adds it, and nothing of it is written down until
it is known what it was. What is listed again says that by its numbers (`worker.ingest.playlist.timeline`). A stream
that ends instead, and had been live, has ended when it was seen last, if its playlist is gone or does not go on; else
the time is missed for good.
"""

from dataclasses import dataclass, replace

from worker.ingest.coverage.ledger import AFTER_END, UNSHOWN_SECONDS
from worker.ingest.playlist.cursor import Cursor, StreamState
from worker.ingest.playlist.hls import MediaPlaylist
from worker.ingest.playlist.outcome import Missed, MissedReason

GONE = frozenset({"http_404", "http_410"})
"""Reasons of a failed poll by which an origin says that there is no such playlist."""


FORGIVEN_FOR = 4
"""Time read for which one of `unseen_ms` is forgiven: who is not seen for over a fifth of the time is called out."""

MAX_UNSEEN_MS = 10 * 60_000
"""Remembered, so that an outage long decided on is over some time."""

CAME_BACK_MS = 60_000
"""Unseen so far, from which on 404 and 410 are no end of the broadcast: it came back from them. Restarts take less."""


@dataclass(frozen=True, kw_only=True)
class Missing:
    """Time that is not seen, up to now."""

    reason: MissedReason
    since_ms: int
    kept: bool
    """It is missed for good should the watch end now; otherwise the broadcast is taken to have ended."""
    certain_ms: int = 0
    """Of what is not kept, what is missed all the same: before the origin said that the playlist is gone, it failed."""
    from_ms: int
    """Since when it is called a gap: outages that come and go are one."""
    calls: bool
    """Moderators are called should it last."""

    def as_fields(self, member: str) -> dict[str, str]:
        """Fields of the stream's hash; `member` stands for the stream in `lw:streams:missing`."""
        return {
            "missing_member": member,
            "missing_since_ms": str(self.since_ms),
            "missing_reason": self.reason.value,
            "missing_kept": "1" if self.kept else "0",
            "missing_certain_ms": str(self.certain_ms),
            "missing_from_ms": str(self.from_ms),
            "gap_since_ms": str(self.from_ms) if self.calls else "",
        }


def missing(cursor: Cursor) -> Missing | None:
    """What the stream misses since some time; None: nothing, or it is over."""
    if cursor.missing_since_ms is None or cursor.state is StreamState.ENDED:
        return None
    failing = cursor.state in {StreamState.UNREACHABLE, StreamState.MALFORMED}
    stalled, gone = cursor.state is StreamState.STALLED, cursor.reason in GONE
    began_ms, gone_ms = cursor.failing_since_ms, cursor.gone_since_ms
    return Missing(
        reason=MissedReason.STALLED if stalled else MissedReason.UNREACHABLE,
        since_ms=cursor.missing_since_ms,
        kept=cursor.next_sequence is None or not (stalled or gone),
        certain_ms=max(0, gone_ms - began_ms) if gone_ms is not None and began_ms is not None else 0,
        from_ms=cursor.missing_since_ms - (cursor.unseen_ms if failing else 0),
        calls=failing and (not gone or cursor.unseen_ms >= CAME_BACK_MS),
    )


def unshown(cursor: Cursor, now_ms: int, *, shown_ms: int) -> tuple[Cursor, dict[str, int]]:
    """The cursor once the stream is read again and has `shown_ms` more, which an outage may have hidden; and what is to
    be counted.

    What the sequence does not show may never have been: an encoder that was away too. Or a broadcaster refuses us for
    less time than calls anybody, and numbers on as if nothing had been. It is not missed, but counted; and remembered.

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
    # What began in the future began before Redis's clock went back.
    return replace(cursor, missing_since_ms=now_ms if since_ms is None else min(since_ms, now_ms))


def after_reading(cursor: Cursor, now_ms: int) -> Cursor:
    """The cursor, with its state, of a stream that was read just now."""
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
    """What a stream that ends now, of itself, missed for good; and what is to be counted."""
    found = missing(cursor)
    if found is None:
        return [], {}
    if not found.kept:
        certain = Missed(reason=MissedReason.UNREACHABLE, duration_ms=found.certain_ms, capture_ms=found.since_ms)
        return [certain] if found.certain_ms else [], {AFTER_END: 1}
    duration_ms = max(0, now_ms - found.since_ms)
    return [Missed(reason=found.reason, duration_ms=duration_ms, capture_ms=found.since_ms)], {}


def before_first(cursor: Cursor, playlist: MediaPlaylist, now_ms: int) -> list[Missed]:
    """What was streamed since the stream was registered and before all that the first playlist lists, and before that
    since it was last watched in state that Redis lost."""

    def unlisted_ms(since_ms: int | None) -> int:
        if since_ms is None:
            return 0
        # By its numbers the stream may have begun later, or with what is listed.
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
    """Segments of a recording wait for their turn: they are on record, and no clock takes them away."""
    return cursor.listed_until > (cursor.next_sequence or 0)
