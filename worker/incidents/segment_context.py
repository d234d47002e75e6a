"""The segment that hits are found in, and the versions that a finding rests on."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from config.facts import SegmentSource, StreamFacts
from worker.events.cloudevent import derived_id
from worker.ingest.playlist.capture_time import LONGEST_BEHIND_MS


@dataclass(frozen=True, kw_only=True)
class Versions:
    """The versions that a finding rests on."""

    policy: str
    lists: Mapping[str, str] = field(default_factory=dict)
    models: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class SegmentContext:
    """The segment that hits were found in, or the gap that is raised, and the circumstances."""

    stream: StreamFacts
    generation: int
    """Watch generation, from 1."""
    segment_key: str
    deployment: str
    versions: Versions
    degraded: tuple[str, ...] = ()
    """Slugs of checks that did not work as they should."""
    looks_back: bool = False
    """It was moderated before, and is matched again with hashes that are new since: no decision made since covers that,
    and it requests no interruption, since what was shown then may be over."""
    listed_ms: int | None = None
    """Time when the segment was first listed, in milliseconds of Redis's clock. None: its capture times are all there
    is."""

    sampled_ms: int | None = None
    """Time when the segment's pictures had been sampled and checked, by Redis's clock. None: unknown, or the cause lies
    in another segment; then events do not say when it was listed, either."""
    source: SegmentSource | None = None
    """The origin and position of the segment; None: unknown."""

    def live_ms(self, capture_ms: int) -> int:
        """Returns when a picture was live, by which a decision covers it: its capture time, and not longer before it
        was listed than a live window lasts. A capture time follows from durations that the broadcaster claims: an hour
        a segment, or a recording of years, would put all that he shows before any decision."""
        return capture_ms if self.listed_ms is None else max(capture_ms, self.listed_ms - LONGEST_BEHIND_MS)


def incident_id(context: SegmentContext, rule: str) -> str:
    """The ID of the incident that this context raises: short enough to be typed, 96 bits."""
    return derived_id("incident", context.stream.stream_id, context.generation, rule, context.segment_key)[:24]
