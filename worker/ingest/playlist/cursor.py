"""How far a stream has been read: what the next poll goes on from. Kept in Redis as JSON."""

import json
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Self


class StreamState(StrEnum):
    """What the last poll of a stream found; shown in the registry."""

    STARTING = "starting"
    """No segment has been listed yet."""
    LIVE = "live"
    RESET = "reset"
    """The origin started over; with the next new segment the stream is live again."""
    STALLED = "stalled"
    """The playlist can be read and does not go on."""
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    """What is answered is no playlist."""
    ENDED = "ended"
    """Over, and the reason is told. Not polled any more; after ENDLIST for some minutes still, slowly."""


@dataclass(frozen=True, kw_only=True)
class ListedSegment:
    """A segment that was listed, as far as it tells one playlist from another."""

    sequence: int
    name: str
    """`Segment.name`."""


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """Times are Unix milliseconds of one clock, Redis's."""

    generation: int
    """Counts the times that this stream was watched anew."""
    rendition: str
    """`Rendition.name`, or any fixed name where there is no master playlist."""
    watched_since_ms: int | None = None
    """When this watch was registered."""
    lost_since_ms: int | None = None
    """Since when it may have been watched before, in state that Redis lost; None: it was not."""
    epoch: int = 0
    """Counts the times that the origin started over."""
    state: StreamState = StreamState.STARTING
    reason: str = ""
    """Why the stream ended, or cannot be read."""
    next_sequence: int | None = None
    """The media sequence number that goes on; None: nothing has been listed yet."""
    next_capture_ms: int = 0
    """Where on the epoch's timeline that segment starts."""
    seen: tuple[ListedSegment, ...] = ()
    """The newest segments of this epoch, oldest first; bounded by `timeline.SEEN_SEGMENTS`."""
    window_ms: int = 0
    """Durations that the last playlist with segments listed."""
    last_read_ms: int | None = None
    """When a playlist was last read."""
    last_new_ms: int | None = None
    """When a new segment was last listed, or the first playlist was read."""
    failures: int = 0
    """Polls failed since a playlist was last read."""
    failing_since_ms: int | None = None
    outage_from_ms: int | None = None
    """Start of an outage of which it is open whether the sequence goes on after it."""
    outage_ms: int = 0
    """Time within which, since `outage_from_ms`, no playlist was read."""
    listed_until: int = 0
    """Of a recording: the number after the last that was listed; those from `next_sequence` on wait for their turn."""
    mean_ms: int = 0
    """Mean duration of what was listed last."""
    missing_since_ms: int | None = None
    """Since when the stream, which should be live, is not seen (`worker.ingest.playlist.missed_time`); None: it is."""
    gone_since_ms: int | None = None
    """Since which failed poll the origin says, at each, that there is no such playlist; None: it does not say so."""
    unseen_ms: int = 0
    """Time in outages for which the sequence, when it went on, had nothing to show; some of it is forgiven for time in
    which playlists were read (`worker.ingest.playlist.missed_time.unshown`)."""
    resets: int = 0
    """Times in a row that the origin started over."""

    def switched_to(self, rendition: str) -> Self:
        """Goes on in another rendition of the stream: by numbers, which renditions share, for their names differ."""
        return self if rendition == self.rendition else replace(self, rendition=rendition, seen=())

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        values = asdict(self) | {"seen": [[seen.sequence, seen.name] for seen in self.seen]}
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote, of another version too: unknown fields are ignored, missing ones defaulted.

        Raises:
            ValueError, TypeError, KeyError: it is something else.
        """
        known = {field.name for field in fields(cls)}
        found = {name: value for name, value in json.loads(text).items() if name in known}
        seen = tuple(ListedSegment(sequence=int(sequence), name=str(name)) for sequence, name in found.pop("seen", ()))
        state = StreamState(found.pop("state", StreamState.STARTING))
        for name, value in found.items():
            expected = str if name in {"rendition", "reason"} else int
            if value is not None and type(value) is not expected:
                raise TypeError(f"{name}: expected {expected.__name__}")
        return cls(**found, seen=seen, state=state)
