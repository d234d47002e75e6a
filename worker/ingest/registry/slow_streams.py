"""Marks of slow streams, whose fetches or decoding take long: they share a part of the processes.

The mark in Redis is read where work is sent and where it begins, so it applies to all workers immediately. The first
slow fetch or decode sets it; a quick one after the hold removes it. The hold doubles with each relapse: a stream that
alternates between quick and slow would take a process from the others each time.
"""

from enum import StrEnum

from redis import Redis

from worker.store import redis_keys
from worker.store.redis_client import run_script

QUICK_SECONDS = 1.0
"""Fetch timeout in the shared queues, for a segment with its initialization section. A stream that takes longer (>) is
slow, and is fetched with its full timeout in the slow queues. A 2 s segment that takes longer than half its own
duration leaves little time to moderate it."""

QUICK_PLAYLIST_SECONDS = 2.0
"""Timeout of each fetch of an ordinary poll. A batch waits for all of its origins concurrently, so this costs once what
a segment costs each time; and the batch's own parsing delays its fetches."""

QUICK_DECODE_SECONDS = 3.0
"""Decoding and judging that takes longer (>) makes a stream slow too. A segment takes well under 0.5 s, and 2 s where
six processes share a core; a hostile one may hold its process for the decoder's full 5 s."""

slow_key = redis_keys.SLOW.of
"""Key of the mark's hash, which nearly all streams lack."""

FIRST_HOLD_MS = 5_000
"""Least time that a mark lasts. A hiccup of the origin costs its stream no more than this."""

LONGEST_HOLD_MS = 160_000
"""Bound of the hold after relapses. An alternately quick and slow stream costs the others about a second of each
process in this time."""

MARK_KEPT_SECONDS = 900
"""Since a stream was last slow: then its relapses are forgotten, and an unwatched stream leaves no mark."""


class SlowPart(StrEnum):
    """The part of a stream that takes long; each has its own mark."""

    SEGMENTS = "segments"
    PLAYLIST = "playlist"


def slow_prefix(part: SlowPart) -> str:
    """The prefix of `slow_key` before the stream's ID, for scripts."""
    return redis_keys.SLOW.of(part, "")


def is_slow(redis: Redis, part: SlowPart, stream_id: str) -> bool:
    """Returns whether that part of the stream is marked as slow."""
    return bool(redis.hget(slow_key(part, stream_id), "slow") == "1")


def note_slowness(redis: Redis, part: SlowPart, stream_id: str, *, slow: bool, held_seconds: float) -> bool:
    """Records whether that part of a stream was slow just now, and how long it took; returns whether it is marked.

    A stream that was never slow has no mark.
    """
    return bool(
        run_script(
            redis,
            "slowness",
            keys=[slow_key(part, stream_id)],
            args=[int(slow), round(held_seconds * 1000), FIRST_HOLD_MS, LONGEST_HOLD_MS, MARK_KEPT_SECONDS],
        )
    )
