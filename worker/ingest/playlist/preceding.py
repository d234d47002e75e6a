"""The segment right before another one: where to fetch it, for pictures that cannot be decoded without it.

An open GOP's leading pictures are shown before its keyframe, and are predicted from the GOP before too. Where a segment
begins with such a GOP, the one before is in the segment before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from worker.ingest.http.resource import ByteRange
from worker.ingest.playlist.hls import Segment


@dataclass(frozen=True, kw_only=True)
class PrecedingSegment:
    """A segment as far as it is needed to fetch it. Kept in Redis as JSON, in cursors and records."""

    sequence: int
    """Media sequence number."""
    url: str
    byte_range: ByteRange | None = None
    init_url: str | None = None
    init_byte_range: ByteRange | None = None

    @classmethod
    def of(cls, segment: Segment) -> Self | None:
        """The listed segment; None: it cannot be fetched, or not be read."""
        if segment.gap or segment.encryption is not None:
            return None
        return cls(
            sequence=segment.sequence,
            url=segment.uri,
            byte_range=segment.byte_range,
            init_url=None if segment.init is None else segment.init.uri,
            init_byte_range=None if segment.init is None else segment.init.byte_range,
        )

    @classmethod
    def read(cls, value: Any) -> Self | None:
        """Reads what `dataclasses.asdict` gave, of another version too; None where it is damaged or missing: a segment
        is moderated without it, but for its leading pictures."""
        try:
            kept = cls(
                sequence=value["sequence"],
                url=value["url"],
                byte_range=read_range(value.get("byte_range")),
                init_url=value.get("init_url"),
                init_byte_range=read_range(value.get("init_byte_range")),
            )
        except (TypeError, KeyError, AttributeError):
            return None
        sound = isinstance(kept.url, str) and isinstance(kept.init_url, str | None) and type(kept.sequence) is int
        return kept if sound else None


def read_range(value: Any) -> ByteRange | None:
    """Reads what `dataclasses.asdict` gave of a byte range.

    Raises:
        TypeError, KeyError: it is something else.
    """
    if value is None:
        return None
    if type(value["offset"]) is not int or type(value["length"]) is not int:
        raise TypeError("a byte range: expected whole numbers")
    return ByteRange(offset=value["offset"], length=value["length"])


def preceding(
    segments: Sequence[Segment], listed: Sequence[Segment], newest: PrecedingSegment | None
) -> Mapping[int, PrecedingSegment]:
    """The segments before `segments`, by their media sequence numbers; none where the stream does not go on from it.

    Args:
        listed: all segments of the playlist that was read now: its URLs are the latest.
        newest: the one that was read last before, in the same epoch and rendition.
    """
    known = {segment.sequence: PrecedingSegment.of(segment) for segment in listed}
    if newest is not None:
        known.setdefault(newest.sequence, newest)
    found = {segment.sequence: known.get(segment.sequence - 1) for segment in segments if not segment.discontinuity}
    return {sequence: one for sequence, one in found.items() if one is not None}
