"""The state of an interruption that was asked for: who has read the request, and whether the stream has ended since."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from worker.incidents.findings import IncidentEnd
from worker.incidents.keys import DECISIONS, incident_key
from worker.ingest.registry.registry import is_over, stream_key
from worker.queue.leases import unknown
from worker.store.reader_positions import entry_order
from worker.store.redis_client import store_errors

_FIELDS = (
    "stream_id",
    "interrupt_entry",
    "interrupt_by",
    "policy_interrupt_entry",
    "judgement",
    "judged_by",
    "ended",
    "event",
)


@dataclass(frozen=True, kw_only=True)
class InterruptState:
    """A request to interrupt a stream, as far as the platform's readers have come with it."""

    requested_ms: int | None = None
    """Redis's clock; None: nobody asked."""
    by: str = ""
    """The person who asked; empty: the policy did."""
    read_by: tuple[str, ...] = ()
    """Consumer groups of `lw:decisions` that were given the request."""
    acknowledged_by: tuple[str, ...] = ()
    """Those of them that acknowledged it: they have acted, or will not."""
    groups: tuple[str, ...] = ()
    """All consumer groups of `lw:decisions`; none: nobody reads it by a group."""
    stream_ended: bool | None = None
    """The broadcast of the incident is over; None: this user of Redis may not see it."""


def interrupt_state(redis: Redis, incident_id: str, *, viewer: str | None = None) -> InterruptState:
    """Returns the state of the newest request to interrupt the stream of an incident.

    A request that came with a judgement which still waits for a second person is shown to its judge alone: it would
    give the judgement away.

    Args:
        viewer: the name of the person who is shown it; None: nobody in particular.

    Raises:
        QueueError: the incident is unknown.
        StoreError: Redis failed.
    """
    with store_errors():
        values = redis.hmget(incident_key(incident_id), _FIELDS)
        fields = {name: str(value) for name, value in zip(_FIELDS, values, strict=True) if value is not None}
        if "stream_id" not in fields:
            raise unknown(incident_id)
        blind = "judgement" in fields and fields.get("judged_by") != viewer
        by_person = "" if blind else fields.get("interrupt_entry", "")
        entry = by_person or fields.get("policy_interrupt_entry", "")
        if not entry:
            return InterruptState()
        groups = _groups(redis)
        read = [name for name, last in groups.items() if entry_order(last) >= entry_order(entry)]
        ended = _stream_ended(redis, fields)
        acknowledged = [name for name in read if not _pending(redis, name, entry)]
    requested_ms, _ = entry_order(entry)
    return InterruptState(
        requested_ms=requested_ms,
        by=fields.get("interrupt_by", "") if by_person else "",
        read_by=tuple(read),
        acknowledged_by=tuple(acknowledged),
        groups=tuple(groups),
        stream_ended=ended,
    )


def _groups(redis: Redis) -> dict[str, str]:
    """Consumer groups of decisions, with the last entry that each was given."""
    try:
        found: list[dict[str, Any]] = redis.xinfo_groups(DECISIONS)
    except ResponseError:  # no such key, or one of another type
        return {}
    return {str(one["name"]): str(one["last-delivered-id"]) for one in found}


def _pending(redis: Redis, group: str, entry: str) -> bool:
    """Returns whether a group was given an entry and has not acknowledged it."""
    try:
        return bool(redis.xpending_range(DECISIONS, group, entry, entry, 1))
    except ResponseError:  # the group was removed meanwhile
        return True


def _stream_ended(redis: Redis, fields: Mapping[str, str]) -> bool | None:
    if fields.get("ended") == IncidentEnd.STREAM_ENDED:
        return True
    try:
        state, generation = redis.hmget(stream_key(fields["stream_id"]), ["state", "generation"])
    except ResponseError:  # moderators' user may not read the registry
        return None
    try:
        raised_in = json.loads(fields["event"])["data"]["generation"]
    except (ValueError, TypeError, KeyError, RecursionError):
        raised_in = None
    return state is None or is_over(str(state)) or (raised_in is not None and str(generation) != str(raised_in))
