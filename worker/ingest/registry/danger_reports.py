"""Reports of imminent danger: those of a platform's signals that wait to be raised."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis import Redis

from worker.ingest.registry.registry import DUE_DANGER


@dataclass(frozen=True, kw_only=True)
class DangerReport:
    """A platform's report that somebody on a stream is in imminent danger."""

    stream_id: str
    generation: int
    """Watch generation."""
    purpose: str
    reported_ms: int
    """Time of the first report that is not raised yet, by Redis's clock."""
    member: str
    """Its member of `DUE_DANGER`, which whoever raises it removes."""


def waiting_reports(redis: Redis) -> Iterator[DangerReport]:
    """The reports that wait, the oldest first, without damaged members."""
    waiting: Any = redis.zrange(DUE_DANGER, 0, -1, withscores=True)
    for member, reported_ms in waiting:
        parts = str(member).split(" ")
        if len(parts) == 3 and parts[1].isdecimal():
            stream_id, generation, purpose = parts
            yield DangerReport(
                stream_id=stream_id,
                generation=int(generation),
                purpose=purpose,
                reported_ms=int(reported_ms),
                member=str(member),
            )


def any_waits(redis: Redis) -> bool:
    """Returns whether any report waits. Cheap: called twice a second."""
    return bool(redis.exists(DUE_DANGER))
