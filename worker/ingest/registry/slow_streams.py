"""Slow streams, whose origin or pictures take long: they share a part of the processes.

A mark in Redis, read where work is sent and where it is begun, so that it holds for all workers at once. It is made by
the first thing that took long, and goes when something is quick again and the hold is over. The hold doubles each time
that a stream relapses: one that is quick now and slow then would cost a process of the others each time.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from redis import Redis

from worker.store import redis_keys
from worker.store.redis_client import run_script

QUICK_SECONDS = 1.0
"""All that the queues for everybody wait for an origin, for a segment with its initialisation section. What takes
longer (>) is slow, and is fetched with its full time where the slow ones share. A 2 s segment that takes longer than
half its own duration leaves little to watch it with."""

QUICK_PLAYLIST_SECONDS = 2.0
"""Likewise for each fetch of a poll. A batch waits for all of its origins at once, so that this costs once what a
segment costs each time; and the batch's own parsing delays what it fetches."""

QUICK_DECODE_SECONDS = 3.0
"""Decoding and judging above it (>) makes a stream slow too. A segment takes well under 0.5 s, and 2 s where
six processes share a core; a hostile one may hold its process for the decoder's whole 5 s."""

FIRST_HOLD_MS = 5_000
"""Since something took long, before a stream goes back. A hiccup of the origin costs its stream no more than this."""

LONGEST_HOLD_MS = 160_000
"""After relapses. A stream that is quick and slow by turns costs the others about a second of each process in this
time."""

MARK_KEPT_SECONDS = 900
"""Since a stream was last slow: its relapses are forgotten then, and a stream that is no longer watched leaves none."""


class SlowPart(StrEnum):
    """What of a stream takes long; one says nothing of the other."""

    SEGMENTS = "segments"
    PLAYLIST = "playlist"


@dataclass(frozen=True, kw_only=True)
class SlowMark:
    """What is on record of a stream that is slow now."""

    since_ms: int
    """In Redis's clock."""
    relapses: int
    """Times that it was slow again after it had been quick, lately."""

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> "SlowMark | None":
        """Reads the mark's hash; None: the stream is quick."""
        if fields.get("slow") != "1":
            return None
        since, times = (
            text if text.isdecimal() else "0" for text in (fields.get("since_ms", ""), fields.get("times", "1"))
        )
        return cls(since_ms=int(since), relapses=max(0, int(times) - 1))


def slow_key(part: SlowPart, stream_id: str) -> str:
    """Hash: the mark. Absent for nearly all streams."""
    return f"{slow_prefix(part)}{stream_id}"


def slow_prefix(part: SlowPart) -> str:
    """What precedes the stream's ID in `slow_key`, for scripts."""
    return redis_keys.SLOW.of(part, "")


def is_slow(redis: Redis, part: SlowPart, stream_id: str) -> bool:
    """Whether that part of the stream is marked as slow."""
    return bool(redis.hget(slow_key(part, stream_id), "slow") == "1")


def note_slowness(redis: Redis, part: SlowPart, stream_id: str, *, slow: bool, held_seconds: float) -> bool:
    """Notes whether that part of a stream took long just now, and how long; gives whether it is marked as slow.

    A stream that was never slow leaves nothing behind.
    """
    return bool(
        run_script(
            redis,
            "slowness",
            keys=[slow_key(part, stream_id)],
            args=[int(slow), round(held_seconds * 1000), FIRST_HOLD_MS, LONGEST_HOLD_MS, MARK_KEPT_SECONDS],
        )
    )
