"""Entries of the queue's streams, read without a claim."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis import Redis

from worker.incidents.keys import ESCALATION_KEYS
from worker.store.redis_client import ANSWER_SECONDS, store_errors

BLOCK_SECONDS = 5.0
"""The longest wait of one XREAD."""
assert BLOCK_SECONDS < ANSWER_SECONDS


@dataclass(frozen=True, kw_only=True)
class QueueEntry:
    """An entry of a stream."""

    stream_key: str
    entry_id: str
    event: str


def follow(redis: Redis, *, from_start: bool) -> Iterator[QueueEntry]:
    """Follows the queue's streams endlessly without a claim; from now on, or from the oldest entry kept."""
    seen = dict.fromkeys(ESCALATION_KEYS, "0-0") if from_start else last_ids(redis)
    while True:
        for entry in read_entries(redis, seen, BLOCK_SECONDS):
            seen[entry.stream_key] = entry.entry_id
            yield entry


def last_ids(redis: Redis) -> dict[str, str]:
    """The newest entry's ID of each of the queue's streams."""
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        for key in ESCALATION_KEYS:
            pipe.xrevrange(key, count=1)
        newest = pipe.execute()
    return {key: entries[0][0] if entries else "0-0" for key, entries in zip(ESCALATION_KEYS, newest, strict=True)}


def read_entries(redis: Redis, seen: dict[str, str], block_seconds: float) -> list[QueueEntry]:
    """Waits for entries after those that were seen, by stream; empty: none came in time."""
    with store_errors():
        after: dict[Any, Any] = {**seen}
        answer: Any = redis.xread(after, count=100, block=max(1, round(block_seconds * 1000)))
    streams = answer.items() if isinstance(answer, dict) else answer or ()
    return [
        QueueEntry(stream_key=key, entry_id=entry_id, event=fields["event"])
        for key, entries in streams
        for entry_id, fields in entries
        if "event" in fields
    ]
