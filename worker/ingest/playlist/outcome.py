"""Outcomes of a poll as values: new segments, missed time, and the cursor after it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.hls import Segment
from worker.ingest.playlist.preceding import PrecedingSegment


class Reading(StrEnum):
    """Relation of a playlist to those read before."""

    FIRST = "first"
    MOVED = "moved"
    """The sequence goes on."""
    UNCHANGED = "unchanged"
    STALE = "stale"
    """An older playlist, from a lagging edge."""
    RESET = "reset"
    """The origin started over: all listed segments are new, in a new epoch."""


class MissedReason(StrEnum):
    """Reason why time of a stream could not be moderated; part of the ledger's field names."""

    LEFT_WINDOW = "left_window"
    """Media sequence numbers that no poll found listed."""
    OUTAGE = "outage"
    """No playlist was read, and the sequence did not go on afterwards."""
    UNREACHABLE = "unreachable"
    """The playlist could not be read, or was still empty, by the wall clock: while this lasts, before the first
    playlist, and where the watch ended by it."""
    STATE_LOST = "state_lost"
    """Redis lost its state: from when a living process last saw that state to the new registration."""
    STALLED = "stalled"
    """The playlist lists no new segments, by the wall clock; only while this lasts."""
    GAP = "gap"
    """The origin lists the segment and marks it as missing (EXT-X-GAP)."""


STREAM_BACKLOG = "stream_backlog"
"""Ledger reason of time that was skipped because the stream lists more than it may have pending."""

LONG_EXTINF = "long_extinf"
"""Ledger count of segments whose EXTINF was above TARGETDURATION."""

SHORT_EXTINF = "short_extinf"
"""Ledger count of segments that last over twice their EXTINF; the ledger counts less of them than was streamed."""

INTERSTITIALS = "interstitials"
"""Ledger count of interstitials: what players show in their place is not moderated."""

OTHER_VIDEOS = "other_videos"
"""Ledger count of other videos, which players may show in place of the watched rendition."""


@dataclass(frozen=True, kw_only=True)
class NewSegment:
    """A segment to moderate."""

    key: str
    epoch: int
    capture_ms: int
    """Capture time of its first picture, by the epoch's timeline."""
    segment: Segment
    program_ms: int | None = None
    """The same by the origin's own clock, where that is credible."""
    before: PrecedingSegment | None = None
    """The segment from which it goes on, where that is known."""


@dataclass(frozen=True, kw_only=True)
class Missed:
    """An interval of the stream that cannot be moderated."""

    reason: MissedReason
    duration_ms: int
    capture_ms: int
    """Start of the interval."""


@dataclass(frozen=True, kw_only=True)
class PossibleRestart:
    """A segment with the number and name of one seen before, which may be another one after a restart."""

    key: str
    """Key of the segment seen before; validators are stored under it."""
    segment: Segment


@dataclass(frozen=True, kw_only=True)
class PollAdvance:
    """The outcome of one poll. `elapsed_ms` is the duration of `segments`, `missed` and `skipped_ms` together."""

    cursor: Cursor
    reading: Reading | None = None
    """None: no playlist could be read."""
    segments: tuple[NewSegment, ...] = ()
    """In playlist order."""
    missed: tuple[Missed, ...] = ()
    skipped_ms: int = 0
    """Duration of segments that are not moderated, for `STREAM_BACKLOG`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """Increments of the ledger's counts, by name."""
    elapsed_ms: int = 0
    next_poll_in_ms: int | None = None
    """None: the stream has ended."""

    @property
    def first(self) -> bool:
        """The watch begins with this poll."""
        return self.reading is Reading.FIRST
