"""The circumstances in which a segment is moderated."""

from dataclasses import dataclass

from config.facts import StreamFacts


@dataclass(frozen=True, kw_only=True)
class ModerationContext:
    """The stream and the times of a segment that is moderated, and what it goes on from."""

    stream: StreamFacts
    capture_ms: int
    """Time when its first picture was live, in milliseconds of Redis's clock; for a file, of its own timeline."""
    offset_seconds: float = 0.0
    """Time of its first picture from that of the complete input; 0 for a live segment."""
    judged_ms: int | None = None
    """Time when it is moderated, in milliseconds of Redis's clock, by which allowances end. None: by this machine's
    clock."""
    parameter_sets: bytes = b""
    """Those in force at the end of the segment before (`SampledSegment.parameter_sets`)."""
