"""The cursor of a stream: how far its playlist was read, and where the next poll goes on. Kept in Redis as JSON."""

import json
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from typing import Self

from worker.ingest.playlist.preceding import PrecedingSegment


class StreamState(StrEnum):
    """The state of a stream after its last poll; shown in the registry."""

    STARTING = "starting"
    """No segment has been listed yet."""
    LIVE = "live"
    RESET = "reset"
    """The origin started over; with the next new segment the stream is live again."""
    STALLED = "stalled"
    """The playlist can be read and lists no new segments."""
    UNREACHABLE = "unreachable"
    MALFORMED = "malformed"
    """The response is no playlist."""
    ENDED = "ended"
    """Over, for the stated reason. Not polled any more; after ENDLIST polled slowly for some more minutes."""


@dataclass(frozen=True, kw_only=True)
class ListedSegment:
    """A listed segment, as far as it is needed to compare playlists."""

    sequence: int
    name: str
    """`Segment.name`."""


@dataclass(frozen=True, kw_only=True)
class Cursor:
    """The cursor. Times are Unix milliseconds of Redis's clock."""

    generation: int
    """Counts the registrations of this stream."""
    rendition: str
    """`Rendition.name`, or a fixed name where there is no master playlist."""
    watched_since_ms: int | None = None
    """Time when this watch was registered."""
    lost_since_ms: int | None = None
    """Since when it may have been watched before, in state that Redis lost; None: it was not."""
    epoch: int = 0
    """Counts the restarts of the origin."""
    state: StreamState = StreamState.STARTING
    reason: str = ""
    """Reason why the stream ended, or cannot be read."""
    next_sequence: int | None = None
    """The next media sequence number to admit; None: nothing has been listed yet."""
    next_capture_ms: int = 0
    """Start of that segment on the epoch's timeline."""
    seen: tuple[ListedSegment, ...] = ()
    """The newest segments of this epoch, oldest first; bounded by `timeline.SEEN_SEGMENTS`."""
    window_ms: int = 0
    """Total duration of the last playlist with segments."""
    last_read_ms: int | None = None
    """Time when a playlist was last read."""
    last_new_ms: int | None = None
    """Time when a new segment was last listed, or the first playlist was read."""
    failures: int = 0
    """Failed polls since a playlist was last read."""
    failing_since_ms: int | None = None
    outage_from_ms: int | None = None
    """Start of an outage; whether the sequence goes on after it is not known yet."""
    outage_ms: int = 0
    """Time within which, since `outage_from_ms`, no playlist was read."""
    listed_until: int = 0
    """Number after the last listed segment of a recording; those from `next_sequence` on wait to be admitted."""
    mean_ms: int = 0
    """Mean duration of what was listed last."""
    missing_since_ms: int | None = None
    """Since when the stream, which should be live, is not seen (`worker.ingest.playlist.missed_time`); None: it is."""
    gone_since_ms: int | None = None
    """The first of the failed polls, up to now, that all were answered 404 or 410; None: the last was not."""
    unseen_ms: int = 0
    """Outage time that the continued sequence does not cover, less a part of the time in which playlists were read
    since (`worker.ingest.playlist.missed_time.unshown`)."""
    resets: int = 0
    """Restarts of the origin in a row."""
    interstitials: tuple[str, ...] = ()
    """`MediaPlaylist.interstitials` of the last playlist; those that are new are counted."""
    other_videos: tuple[str, ...] = ()
    """`MediaPlaylist.other_videos` of all playlists so far, the newest first; bounded by `MAX_OTHER_VIDEOS`."""
    newest: PrecedingSegment | None = None
    """The last segment before `next_sequence`, where it was listed in this epoch and rendition. The last field: the end
    of a watch cuts it off, for its URLs may have tokens (lua/shared/streams.lua)."""

    def switched_to(self, rendition: str) -> Self:
        """Continues in another rendition of the stream by sequence number, which renditions share; names differ."""
        return self if rendition == self.rendition else replace(self, rendition=rendition, seen=(), newest=None)

    def to_json(self) -> str:
        """One line that `from_json` reads back."""
        values = asdict(self) | {"seen": [[seen.sequence, seen.name] for seen in self.seen]}
        return json.dumps(values, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parses the output of `to_json`, also of another version: unknown fields are ignored, missing ones defaulted.

        Raises:
            ValueError, TypeError, KeyError: the text is not a cursor.
        """
        known = {field.name for field in fields(cls)}
        found = {name: value for name, value in json.loads(text).items() if name in known}
        seen = tuple(ListedSegment(sequence=int(sequence), name=str(name)) for sequence, name in found.pop("seen", ()))
        state = StreamState(found.pop("state", StreamState.STARTING))
        newest = PrecedingSegment.read(found.pop("newest", None))
        interstitials = tuple(str(one) for one in found.pop("interstitials", ()))
        other_videos = tuple(str(one) for one in found.pop("other_videos", ()))
        for name, value in found.items():
            expected = str if name in {"rendition", "reason"} else int
            if value is not None and type(value) is not expected:
                raise TypeError(f"{name}: expected {expected.__name__}")
        return cls(
            **found,
            seen=seen,
            state=state,
            newest=newest,
            interstitials=interstitials,
            other_videos=other_videos,
        )
