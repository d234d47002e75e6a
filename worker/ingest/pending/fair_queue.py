"""Which segment is next of those that wait in a queue: fair shares of the time that its streams have together.

A message in `segments`, `segments.urgent` or `segments.slow` names no segment. Were they taken as they came, a stream
would wait behind all that hostile ones have sent: 64 segments each of eight streams, fetched in 0.9 s and decoded in
2.9 s, are half an hour of one process, and nothing of them is slow. So the stream is next that has held a process for
the least time, as in start-time fair queuing (Goyal, Vin and Cheng, 1996): what it held last is what its next turn
costs, and one that comes, or comes back, begins where the others are.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from redis import Redis

from worker.ingest.pending.queues import SEGMENTS, SEGMENTS_SLOW, URGENT
from worker.ingest.registry.slow_streams import QUICK_SECONDS, SlowPart, slow_prefix
from worker.store import redis_keys
from worker.store.redis_client import run_script, unless_full


class Lane(StrEnum):
    """Segments that wait for the same processes."""

    URGENT = "urgent"
    SHARED = "shared"
    SLOW = "slow"


QUEUE_OF = {Lane.URGENT: URGENT, Lane.SHARED: SEGMENTS, Lane.SLOW: SEGMENTS_SLOW}
"""Whose messages say that something waits; each takes one segment. They are as many as there are segments that wait, so
that they do not become more and more while the lane is never empty. What a lost message leaves behind is found when the
next one is taken (`lacks_message`), or at a segment's deadline."""

ORDER_PREFIX = redis_keys.LANE_ORDER.prefix
"""Sorted set for each lane: stream by the time at which its turn begins, in milliseconds of process time that the
lane's streams held."""
CLOCK_PREFIX = redis_keys.LANE_CLOCK.prefix
"""Where on that time the lane's last turn began."""
_WAITING_PREFIX = redis_keys.LANE_WAITING.prefix
"""Sorted set for each stream: segment keys that wait, by when they came. Bounded by the stream's pending segments."""
_HELD_PREFIX = redis_keys.LANE_HELD.prefix
"""Hash for each stream that is not slow: `held_ms`, what it held a process for last, and `turn`, what it owes."""

WAITING_KEPT_SECONDS = 3600
"""As the counts of a segment's tries; the reconciler sends what is still pending then."""

HELD_KEPT_SECONDS = 900
"""Since a stream's last segment; as long as it is remembered that a stream was slow."""

FIRST_COST_MS = round(QUICK_SECONDS * 1000)
"""Of a turn of which it is not known how long it takes: all that the queues for everybody wait for an origin."""


def waiting_key(lane: Lane, stream_id: str) -> str:
    """The stream's segments that wait in that lane."""
    return f"{_waiting_prefix(lane)}{stream_id}"


def add_waiting(redis: Redis, lane: Lane, stream_id: str, segment_key: str) -> bool:
    """Has a segment wait for its stream's turn; gives whether a message must be sent after it to the lane's queue.

    A segment that begins to wait needs a message. One that waits already has had its own, which may have been lost: it
    needs another where the lane lacks one.
    """
    answer = run_script(
        redis,
        "lane_add",
        keys=[
            waiting_key(lane, stream_id),
            ORDER_PREFIX + lane,
            CLOCK_PREFIX + lane,
            f"{_held_prefix(lane)}{stream_id}",
            QUEUE_OF[lane],
        ],
        args=[stream_id, segment_key, WAITING_KEPT_SECONDS],
    )
    return bool(answer)


def lacks_message(redis: Redis, lane: Lane) -> bool:
    """Whether fewer messages than streams wait: one must be sent. To be asked after each take.

    So one message that is left is enough for all that waits. A message that another process has just received is not
    counted, and one too many finds nothing.
    """
    with redis.pipeline(transaction=False) as pipe:
        pipe.llen(QUEUE_OF[lane])
        pipe.zcard(ORDER_PREFIX + lane)
        messages, streams = pipe.execute()
    return int(messages) < int(streams)


def take_waiting(redis: Redis, lane: Lane) -> tuple[str, str] | None:
    """Takes the segment whose turn it is, as (stream ID, segment key); None: none waits.

    What is taken and never begun comes again by the reconciler, like a segment whose message was lost.
    """
    taken = run_script(
        redis,
        "lane_take",
        keys=[ORDER_PREFIX + lane, CLOCK_PREFIX + lane],
        args=[_waiting_prefix(lane), _held_prefix(lane), FIRST_COST_MS],
    )
    return (str(taken[0]), str(taken[1])) if taken else None


@contextmanager
def holding(redis: Redis, lane: Lane, stream_id: str) -> Iterator[None]:
    """Times work on a segment of the stream, which is what its next turn in that lane costs. How long a slow one takes
    is noted with its mark."""
    begun_seconds = time.monotonic()
    try:
        yield
    finally:
        if lane is not Lane.SLOW:
            note_held(redis, lane, stream_id, held_seconds=time.monotonic() - begun_seconds)


def note_held(redis: Redis, lane: Lane, stream_id: str, *, held_seconds: float) -> None:
    """Notes how long a stream that is not slow held a process."""
    key = f"{_held_prefix(lane)}{stream_id}"
    with unless_full(), redis.pipeline(transaction=False) as pipe:
        pipe.hset(key, "held_ms", str(round(held_seconds * 1000)))
        pipe.expire(key, HELD_KEPT_SECONDS)
        pipe.execute()


def waiting_streams(redis: Redis, lane: Lane) -> int:
    """How many streams have segments that wait in that lane."""
    return int(redis.zcard(ORDER_PREFIX + lane))


def _waiting_prefix(lane: Lane) -> str:
    return f"{_WAITING_PREFIX}{lane}:"


def _held_prefix(lane: Lane) -> str:
    return slow_prefix(SlowPart.SEGMENTS) if lane is Lane.SLOW else f"{_HELD_PREFIX}{lane}:"
