"""What a poll found, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.hls import Segment


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
    UNREACHABLE = "unreachable"
    """It could not be read, or had nothing yet, by the wall clock: while this lasts, before the first playlist, and
    where the watch ended by it."""
    STATE_LOST = "state_lost"
    """Redis lost its state: before the stream was registered anew, since a living process last saw that state."""
    STALLED = "stalled"
    """The playlist does not go on, by the wall clock; only while this lasts."""
    GAP = "gap"
    """The origin lists the segment and says that it does not have it (EXT-X-GAP)."""


STREAM_BACKLOG = "stream_backlog"
"""Ledger reason of what was skipped since a stream lists more than may be pending of it."""


LONG_EXTINF = "long_extinf"
"""Ledger count of segments whose EXTINF was above TARGETDURATION."""

SHORT_EXTINF = "short_extinf"
"""Ledger count of segments that last over twice their EXTINF: of those the ledger has less than was streamed."""


@dataclass(frozen=True, kw_only=True)
class NewSegment:
    """A segment to be moderated."""

    key: str
    epoch: int
    capture_ms: int
    """When its first picture was taken, by the epoch's timeline."""
    segment: Segment
    program_ms: int | None = None
    """The same by the origin's own clock, where that is credible."""


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
class PollAdvance:
    """The outcome of one poll. `elapsed_ms` is the duration of `segments`, `missed` and `skipped_ms` together."""

    cursor: Cursor
    reading: Reading | None = None
    """None: nothing could be read."""
    segments: tuple[NewSegment, ...] = ()
    """In their order."""
    missed: tuple[Missed, ...] = ()
    skipped_ms: int = 0
    """Of segments that are not moderated, for `STREAM_BACKLOG`."""
    counts: Mapping[str, int] = field(default_factory=dict)
    """What the ledger counts, by its name there."""
    elapsed_ms: int = 0
    next_poll_in_ms: int | None = None
    """None: the stream has ended."""

    @property
    def first(self) -> bool:
        """The watch begins with this poll."""
        return self.reading is Reading.FIRST
