"""Fair queuing of segments: streams in one queue share its process time equally.

A message in `segments`, `segments.urgent` or `segments.slow` names no segment. In order of arrival, a stream would wait
behind all that hostile ones have sent: 64 segments each of eight streams, fetched in 0.9 s and decoded in 2.9 s, are
half an hour of one process, and none of them counts as slow. So the next stream is the one that has used the least
process time, as in start-time fair queuing (Goyal, Vin and Cheng, 1996): the time it held a process last is the cost of
its next turn, and a stream that joins, or returns, starts at the others' virtual time.
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
    """One fair queue, named after the Celery queue that it orders."""

    URGENT = "urgent"
    SHARED = "shared"
    SLOW = "slow"


QUEUE_OF = {Lane.URGENT: URGENT, Lane.SHARED: SEGMENTS, Lane.SLOW: SEGMENTS_SLOW}
"""The Celery queue of each lane. Each message takes one segment, and there are as many messages as waiting segments, so
messages do not accumulate while the lane is never empty. A segment whose message was lost is found when the next one is
taken (`lacks_message`), or at its deadline."""

ORDER_PREFIX = redis_keys.LANE_ORDER.prefix
"""Sorted set for each lane: stream by the start tag of its next turn, in milliseconds of virtual time: process time
that the lane's streams held."""
CLOCK_PREFIX = redis_keys.LANE_CLOCK.prefix
"""The lane's virtual time: the start tag of its last turn."""
waiting_key = redis_keys.LANE_WAITING.of
"""Sorted set for each lane and stream: waiting segment keys by arrival. Bounded by the stream's pending segments."""

WAITING_KEPT_SECONDS = 3600
"""As long as the counts of a segment's tries; the reconciler sends segments still pending then."""

HELD_KEPT_SECONDS = 900
"""Since a stream's last segment; as long as the mark of a slow stream is kept."""

FIRST_COST_MS = round(QUICK_SECONDS * 1000)
"""Cost of a turn of unknown length: the fetch timeout of the shared queues."""


def add_waiting(redis: Redis, lane: Lane, stream_id: str, segment_key: str) -> bool:
    """Enqueues a segment for its stream's turn; returns whether a message must then be sent to the lane's queue.

    A newly enqueued segment needs a message. One that waits already has had its own, which may have been lost: it needs
    another if the lane lacks one.
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
    """Returns whether fewer messages than streams wait, so that one must be sent. Must be called after each take.

    So one remaining message is enough for all waiting segments. A message that another process has just received is not
    counted, and a superfluous one finds nothing.
    """
    with redis.pipeline(transaction=False) as pipe:
        pipe.llen(QUEUE_OF[lane])
        pipe.zcard(ORDER_PREFIX + lane)
        messages, streams = pipe.execute()
    return int(messages) < int(streams)


def take_waiting(redis: Redis, lane: Lane) -> tuple[str, str] | None:
    """Takes the next segment, as (stream ID, segment key); None: none waits.

    The reconciler sends a segment again that was taken and never begun, like one whose message was lost.
    """
    taken = run_script(
        redis,
        "lane_take",
        keys=[ORDER_PREFIX + lane, CLOCK_PREFIX + lane],
        args=[waiting_key(lane, ""), _held_prefix(lane), FIRST_COST_MS],
    )
    return (str(taken[0]), str(taken[1])) if taken else None


@contextmanager
def holding(redis: Redis, lane: Lane, stream_id: str) -> Iterator[None]:
    """Times work on a segment of the stream: the cost of its next turn in that lane. The time of a slow stream is
    recorded with its mark instead."""
    begun_seconds = time.monotonic()
    try:
        yield
    finally:
        if lane is not Lane.SLOW:
            note_held(redis, lane, stream_id, held_seconds=time.monotonic() - begun_seconds)


def note_held(redis: Redis, lane: Lane, stream_id: str, *, held_seconds: float) -> None:
    """Records how long a stream that is not slow held a process."""
    key = f"{_held_prefix(lane)}{stream_id}"
    with unless_full(), redis.pipeline(transaction=False) as pipe:
        pipe.hset(key, "held_ms", str(round(held_seconds * 1000)))
        pipe.expire(key, HELD_KEPT_SECONDS)
        pipe.execute()


def waiting_streams(redis: Redis, lane: Lane) -> int:
    """Number of streams with waiting segments in that lane."""
    return int(redis.zcard(ORDER_PREFIX + lane))


def _held_prefix(lane: Lane) -> str:
    """Prefix of the hash for each stream with `held_ms`, how long it held a process last, and `turn`, the start tag
    that it keeps while it has nothing waiting; for a slow stream it is its mark."""
    return slow_prefix(SlowPart.SEGMENTS) if lane is Lane.SLOW else redis_keys.LANE_HELD.of(lane, "")
