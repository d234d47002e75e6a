"""Trimming of the streams of events: entries that every group has acknowledged are dropped, and old ones anyway."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.events.operations import OPERATIONS
from worker.incidents.keys import DECISIONS, ESCALATION_KEYS, GROUP
from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.store import redis_keys
from worker.store.age_clock import age_ms
from worker.store.reader_positions import entry_order
from worker.store.redis_client import run_script, store_errors

KEPT_DAYS: Final = 30
"""The longest life of events. An incident that waits longer stays, and so does its newest event; a group that has not
read an entry by then has lost it, of which `doctor` warns long before."""

MAX_OPERATIONS: Final = 50_000
"""Events to operators, some 50 MB; the oldest are dropped first, since a stream may cause many."""

READ_TO_DROP: Final = 200
"""Entries of each of the queue's streams that one call reads, every 2 s."""

_NO_ENTRY: Final = f"{2**63}-0"
"""Above every ID."""

TRIMMED: Final = redis_keys.TRIMMED.name


@dataclass(frozen=True, kw_only=True)
class GroupProgress:
    """The position of a consumer group in a stream."""

    last_delivered_id: str
    oldest_pending_id: str | None
    """Delivered and not acknowledged; None if there is none."""


def trim_bound(groups: Sequence[GroupProgress]) -> str | None:
    """The ID below (<) which every group has acknowledged everything; None if there is no group."""
    if not groups:
        return None
    return min((_acknowledged_below(group) for group in groups), key=entry_order)


def _acknowledged_below(group: GroupProgress) -> str:
    milliseconds, sequence = entry_order(group.last_delivered_id)
    if group.oldest_pending_id is not None and entry_order(group.oldest_pending_id) <= (milliseconds, sequence):
        return group.oldest_pending_id
    return f"{milliseconds}-{sequence + 1}"


def acknowledged_below(redis: Redis, key: str, *, needed: str = "") -> str | None:
    """The ID below (<) which every group of a stream of events has acknowledged everything; None: nobody reads it by a
    group, and everything counts as read.

    Args:
        needed: a group without which nothing counts as read.

    Raises:
        RedisError: Redis failed.
    """
    if not redis.exists(key):
        return None
    groups: list[dict[str, Any]] = redis.xinfo_groups(key)
    if needed and needed not in [group["name"] for group in groups]:
        return "0-0"
    return trim_bound([_progress(redis, key, one) for one in groups])


def trim(redis: Redis, *, held_from: Mapping[str, str], full: bool = False) -> int:
    """Drops entries older than `KEPT_DAYS`, and earlier those that every registered group has acknowledged; returns
    their number.

    A stream of the queue keeps its entries until the moderators' group exists; the others until any group does.
    Decisions and platforms' events stay for their time even if every group has read them; if Redis is full, decisions
    that were read are dropped too.

    Args:
        held_from: by stream, the ID from which on (>=) its entries stay in any case.
        full: Redis has no room.
    """
    dropped, failure = 0, None
    with store_errors():
        oldest = f"{age_ms(redis) - KEPT_DAYS * 24 * 3_600_000}-0"
        for key in (*ESCALATION_KEYS, DECISIONS, OPERATIONS, STREAM_EVENTS):
            try:
                dropped += _trim(redis, key, oldest=oldest, held=held_from.get(key, _NO_ENTRY), full=full)
            except ResponseError as error:  # a key of another type must not keep the others from being trimmed
                failure = error
        if failure is not None:
            raise failure
    return dropped


def _trim(redis: Redis, key: str, *, oldest: str, held: str, full: bool) -> int:
    if not redis.exists(key):
        return 0
    groups: list[dict[str, Any]] = redis.xinfo_groups(key)
    lacks_moderators = key in ESCALATION_KEYS and GROUP not in [group["name"] for group in groups]
    stays = key == STREAM_EVENTS or (key == DECISIONS and not full)
    bound = None if lacks_moderators or stays else trim_bound([_progress(redis, key, one) for one in groups])
    bound = max(oldest, bound or oldest, key=entry_order)
    dropped = int(redis.xtrim(key, minid=min(bound, held, key=entry_order), approximate=False))
    if key in ESCALATION_KEYS and not lacks_moderators:
        args: list[str | int] = [held, READ_TO_DROP]
        dropped += int(run_script(redis, "drop_acknowledged", keys=[key, TRIMMED], args=args))
    if key == OPERATIONS:
        dropped += int(redis.xtrim(key, maxlen=MAX_OPERATIONS, approximate=False))
    return dropped


def _progress(redis: Redis, key: str, group: dict[str, Any]) -> GroupProgress:
    pending: dict[str, Any] = redis.xpending(key, group["name"])
    oldest = pending["min"]
    return GroupProgress(
        last_delivered_id=str(group["last-delivered-id"]), oldest_pending_id=None if oldest is None else str(oldest)
    )
