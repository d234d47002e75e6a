"""Deletes a stream's traces from Redis: keys, members of sets, entries of event streams. Each step may be repeated."""

import json
from collections.abc import Iterator
from typing import Any, Final

from redis import Redis

from worker.events.operations import OPERATIONS
from worker.incidents.keys import DECISIONS, ESCALATION_KEYS, GROUP
from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.queue.trimming import acknowledged_below
from worker.store import redis_keys
from worker.store.key_pattern import Key
from worker.store.reader_positions import entry_order
from worker.store.redis_client import store_errors
from worker.store.redis_keys import KEYS

EVENT_STREAMS: Final = (*ESCALATION_KEYS, DECISIONS, STREAM_EVENTS, OPERATIONS)

_AT_ONCE: Final = 1_000

_KEPT: Final = frozenset({"AUDIT", "AUDIT_UNLINKED", "AUDIT_HEAD", "PEOPLE", "FORGETTING"})
"""Keys that are not searched: the audit log is never altered, and the erasure itself is on record until it ends."""

_COLLECTIONS: Final = frozenset({"zset", "set", "hash"})


def delete_pending(redis: Redis, stream_id: str) -> int:
    """Deletes pending segments first: what is moderated at this moment then settles nothing any more.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        return int(redis.delete(redis_keys.PENDING.of(stream_id), redis_keys.CANDIDATES.of(stream_id)))


def delete_keys(redis: Redis, stream_id: str) -> int:
    """Deletes every key that belongs to the stream, by a scan over all keys of Livewarden; returns their number.

    Raises:
        StoreError: Redis failed.
    """
    named = [found for key in KEYS.values() if (found := key.names_of_stream(stream_id)) is not None]
    # Sets by another key, of which streams are members.
    grouped = (redis_keys.INCIDENT_STREAMS, redis_keys.FLOOD, redis_keys.LANE_ORDER)
    deleted, cursor = 0, 0
    while True:
        with store_errors():
            cursor, names = redis.scan(cursor, match="lw:*", count=_AT_ONCE)
            with redis.pipeline(transaction=False) as pipe:
                for name in map(str, names):
                    if any(one.fullmatch(name) for one in named):
                        pipe.delete(name)
                    elif redis_keys.key_of(name) in grouped:
                        pipe.zrem(name, stream_id)
                deleted += sum(one for one in pipe.execute(raise_on_error=False) if isinstance(one, int))
        if cursor == 0:
            return deleted


def delete_members(redis: Redis, stream_id: str) -> int:
    """Deletes the stream from the sets and hashes of the deployment; returns how many members went.

    A member is the stream's if it is its ID, or begins or ends with it and a space.

    Raises:
        StoreError: Redis failed.
    """
    deleted = 0
    for name, key in KEYS.items():
        if "{" in key.pattern or key.type not in _COLLECTIONS or name in _KEPT:
            continue
        for members in _members(redis, key):
            gone = [
                member
                for member, value in members
                if member == stream_id
                or member.startswith(f"{stream_id} ")
                or member.endswith(f" {stream_id}")
                or _names(value, stream_id)
            ]
            if gone:
                with store_errors():
                    deleted += {"zset": redis.zrem, "set": redis.srem, "hash": redis.hdel}[key.type](key.name, *gone)
    return deleted


def _members(redis: Redis, key: Key) -> Iterator[list[tuple[str, str]]]:
    """Members of a key with their values, in batches; a key of another type has none."""
    cursor = 0
    while True:
        with store_errors():
            if redis.type(key.name) != key.type:
                return
            if key.type == "hash":
                found: Any
                cursor, found = redis.hscan(key.name, cursor, count=_AT_ONCE)
                members = [(str(name), str(value)) for name, value in dict(found).items()]
            else:
                scan = redis.zscan if key.type == "zset" else redis.sscan
                cursor, rows = scan(key.name, cursor, count=_AT_ONCE)
                members = [(str(row[0]) if key.type == "zset" else str(row), "") for row in rows]
        yield members
        if cursor == 0:
            return


def _names(text: str, stream_id: str) -> bool:
    """Returns whether a stored JSON object is about the stream."""
    if f'"{stream_id}"' not in text:
        return False
    try:
        found: Any = json.loads(text)
    except ValueError:
        return False
    return isinstance(found, dict) and stream_id in (found.get("stream"), found.get("stream_id"), _of_facts(found))


def _of_facts(found: dict[str, Any]) -> Any:
    try:
        return json.loads(found["facts"]).get("stream_id")
    except (KeyError, TypeError, ValueError, AttributeError):
        return None


def delete_refused_messages(redis: Redis, stream_id: str) -> int:
    """Deletes refused messages that name the stream.

    Raises:
        StoreError: Redis failed.
    """
    key, deleted = redis_keys.INTAKE_REFUSED.name, 0
    with store_errors():
        for text in map(str, redis.lrange(key, 0, -1)):
            if f'"{stream_id}"' in text:
                deleted += int(redis.lrem(key, 0, text))
    return deleted


def delete_events(redis: Redis, stream_id: str) -> tuple[int, int]:
    """Deletes events about the stream that every reader has acknowledged; returns how many, and how many wait.

    One that a reader has not acknowledged is a message on its way: it stays, at most for 30 days.

    Raises:
        StoreError: Redis failed.
    """
    deleted = waiting = 0
    for key in EVENT_STREAMS:
        with store_errors():
            bound = acknowledged_below(redis, key, needed=GROUP if key in ESCALATION_KEYS else "")
        after = "-"
        while True:
            with store_errors():
                entries: Any = redis.xrange(key, min=after, count=_AT_ONCE)
            gone = []
            for entry_id, fields in entries:
                if not _is_about(str((fields or {}).get("event", "")), stream_id):
                    continue
                if bound is None or entry_order(str(entry_id)) < entry_order(bound):
                    gone.append(str(entry_id))
                else:
                    waiting += 1
            if gone:
                with store_errors():
                    deleted += int(redis.xdel(key, *gone))
            if len(entries) < _AT_ONCE:
                break
            after = f"({entries[-1][0]}"
    return deleted, waiting


def _is_about(text: str, stream_id: str) -> bool:
    """Returns whether an event is about this stream alone."""
    if f'"{stream_id}"' not in text:
        return False
    try:
        event: Any = json.loads(text)
    except ValueError:
        return False
    data = event.get("data") if isinstance(event, dict) else None
    if isinstance(data, dict) and data.get("streams"):
        return False
    return event.get("subject") == stream_id or (isinstance(data, dict) and data.get("stream_id") == stream_id)
