"""The watch of all streams in a few figures: what is seen now, and what is not.

Its cost grows only with the streams that cannot be read.
"""

from dataclasses import dataclass

from redis import Redis

from worker.ingest.playlist.outcome import MissedReason
from worker.ingest.poll.origin_gaps import MISSING, PUBLISHED_AFTER_MS, by_origin
from worker.ingest.registry.registry import DUES
from worker.ingest.registry.watch_state import LATE_POLL_MS
from worker.store.redis_client import now_ms, store_errors


@dataclass(frozen=True, kw_only=True)
class UnseenOrigin:
    """Streams of one origin that cannot be read, or do not go on."""

    origin: str
    streams: int
    since_ms: int
    """Redis's clock, of the first of them."""
    stalled: bool
    """All of them are read, and list nothing new."""


@dataclass(frozen=True, kw_only=True)
class WatchSummary:
    """The watch at one moment."""

    now_ms: int
    """Redis's clock."""
    watched: int
    """Streams that have neither ended nor been removed."""
    late: int
    """Those of them that are not polled in time: their workers are busy, or do not run."""
    late_since_ms: int | None
    """Since when the first of them is due; None: there is none."""
    origins: tuple[UnseenOrigin, ...]
    """The one with the most streams first."""


def read_watch_summary(redis: Redis) -> WatchSummary:
    """Reads the figures.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now = now_ms(redis)
        with redis.pipeline(transaction=False) as pipe:
            for key in DUES:  # a watched stream is in one of them, by its next poll
                pipe.zcard(key)
                pipe.zcount(key, "-inf", now - LATE_POLL_MS)
                pipe.zrange(key, 0, 0, withscores=True)
            pipe.zrange(MISSING, "-inf", now - PUBLISHED_AFTER_MS, byscore=True, withscores=True)
            *due, members = pipe.execute()
    first = [scored[0][1] for scored in due[2::3] if scored and scored[0][1] < now - LATE_POLL_MS]
    origins = [
        UnseenOrigin(
            origin=origin,
            streams=len(streams),
            since_ms=min(one.since_ms for one in streams),
            stalled=all(one.reason == MissedReason.STALLED for one in streams),
        )
        for origin, streams in by_origin(members).items()
    ]
    return WatchSummary(
        now_ms=now,
        watched=sum(due[0::3]),
        late=sum(due[1::3]),
        late_since_ms=int(min(first)) if first else None,
        origins=tuple(sorted(origins, key=lambda one: (-one.streams, one.origin))),
    )
