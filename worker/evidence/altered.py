"""Pictures that were altered after they were sealed: published to operators, once each.

A person's try to open one is in the audit log, which workers read behind them and publish from. The desk may not add to
operators' events itself: whoever took it over could forge them, and trim away the heads that prove the log.
"""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from worker.audit.entries import Act, Shown, audit_entry
from worker.audit.redis_log import LINKED, read_linked
from worker.audit.search import entry_record
from worker.events.cloudevent import derived_id
from worker.events.operations import OPERATIONS, alert_operators
from worker.evidence.item import is_ref
from worker.evidence.item_states import states_of
from worker.store import redis_keys
from worker.store.reader_positions import beyond_the_end, entry_order
from worker.store.redis_client import now_ms, store_errors

EVENT: Final = "livewarden.operations.evidence_altered.v1"

SEARCHED: Final = redis_keys.AUDIT_SEARCHED.name
"""ID of the last entry of the audit log that was searched."""

MOST_ENTRIES: Final = 500
"""Entries of the audit log in one call; the next comes 2 s later."""

_ALTERED: Final = "altered"
_EVENTS_AT_ONCE: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class AlteredPicture:
    """An altered picture, as an event has it."""

    incident: str
    published_ms: int


def altered_entry(ref: str, *, by: str, verified: bool) -> str:
    """The entry of the audit log about a person who was not shown a picture, for it was altered."""
    return audit_entry(Act.VIEW, by=by, verified=verified, subject=ref, shown=Shown.NOTHING, reason=_ALTERED)


def publish_found(redis: Redis, *, deployment: str) -> int:
    """Publishes the pictures that people found altered since the last call of any worker; returns how many.

    Raises:
        StoreError: Redis failed; the next call publishes the rest.
    """
    with store_errors():
        position = str(redis.get(SEARCHED) or "0-0")
        if beyond_the_end(redis, {LINKED: position}):
            position = "0-0"
        published = 0
        for stored in read_linked(redis, after=position, most=MOST_ENTRIES):
            if stored.entry is not None:
                record = entry_record(stored.entry.entry, at_ms=stored.entry.at_ms)
                if record["act"] == Act.VIEW and record["details"] == {"shown": Shown.NOTHING, "reason": _ALTERED}:
                    published += _publish_ref(redis, str(record["subject"]), deployment)
            position = stored.id
        redis.set(SEARCHED, position)
    return published


def _publish_ref(redis: Redis, ref: str, deployment: str) -> bool:
    """Publishes one that still belongs to an incident: anybody who may view can name a reference in the log."""
    state = states_of(redis, [ref]).get(ref) if is_ref(ref) else None
    return state is not None and publish_altered(redis, ref, incident=state.incident, deployment=deployment)


def publish_altered(redis: Redis, ref: str, *, incident: str, deployment: str) -> bool:
    """Publishes that an incident's picture was altered, unless it was published before; returns whether it did.

    Raises:
        StoreError: Redis failed, or has no memory.
    """
    event_id = derived_id(EVENT, deployment, ref)
    with store_errors():
        now = now_ms(redis)
    data = {"ref": ref, "incident_id": incident}
    return alert_operators(redis, EVENT, event_id, subject=ref, data=data, deployment=deployment, now_ms=now)


def read_published(redis: Redis, *, after: str) -> tuple[list[AlteredPicture], str]:
    """Reads the events about altered pictures, the oldest first, and the ID to go on from; damaged events are skipped.

    Args:
        after: the ID on `lw:operations` after which (>) to begin.

    Raises:
        StoreError: Redis failed, or this user of it may not read operators' events.
    """
    found: list[AlteredPicture] = []
    while True:
        with store_errors():
            entries: list[Any] = redis.xrange(OPERATIONS, min=f"({after}", count=_EVENTS_AT_ONCE) or []
        for entry_id, fields in entries:
            after = str(entry_id)
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                found += _pictures_in(fields or {}, published_ms=entry_order(after)[0])
        if len(entries) < _EVENTS_AT_ONCE:
            return found, after


def _pictures_in(fields: Mapping[str, str], *, published_ms: int) -> list[AlteredPicture]:
    text = fields["event"]
    if EVENT not in text:  # most are of other types
        return []
    event = json.loads(text)
    if event["type"] != EVENT:
        return []
    return [AlteredPicture(incident=str(event["data"]["incident_id"]), published_ms=published_ms)]
