"""Items of evidence as Redis knows them: records by incident, and the place of each item."""

import logging
from collections.abc import Sequence
from typing import Any, Final

from redis import Redis

from worker.errors import EvidenceError
from worker.evidence.item import is_incident, is_ref
from worker.evidence.record import EvidenceRecord, ItemState
from worker.store.redis_client import now_ms, run_script, run_script_to_disk, store_errors
from worker.store.redis_keys import EVIDENCE, EVIDENCE_ITEM, EVIDENCE_UNWANTED, EVIDENCE_WAITING

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 500
"""Keys that one command asks for, <=: Redis answers nobody else meanwhile."""


def states_of(redis: Redis, refs: Sequence[str]) -> dict[str, ItemState]:
    """The states of items that belong to an incident, by reference; others are left out."""
    found: dict[str, ItemState] = {}
    for first in range(0, len(refs), _AT_ONCE):
        some = refs[first : first + _AT_ONCE]
        values = redis.mget([EVIDENCE_ITEM.of(ref) for ref in some])
        found |= {ref: ItemState.read(str(value)) for ref, value in zip(some, values, strict=True) if value}
    return found


def record_of(redis: Redis, incident: str, ref: str) -> EvidenceRecord | None:
    """The record of an incident's item; None: it has no such item.

    Raises:
        EvidenceError: the record is malformed.
    """
    found = redis.hget(EVIDENCE.of(incident), ref)
    return None if found is None else EvidenceRecord.read(str(found))


def texts_of(redis: Redis, incident: str) -> dict[str, str]:
    """The records of an incident's items as they are stored, by reference.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        return {str(ref): str(text) for ref, text in redis.hgetall(EVIDENCE.of(incident)).items()}


def records_of(redis: Redis, incident: str) -> list[EvidenceRecord]:
    """The items of an incident by capture time; malformed records are left out.

    Raises:
        StoreError: Redis failed.
    """
    records = []
    for text in texts_of(redis, incident).values():
        try:
            records.append(EvidenceRecord.read(text))
        except EvidenceError:
            continue
    return sorted(records, key=lambda record: (record.capture_ms, record.ref))


def note_place(redis: Redis, incident: str, ref: str, place: str) -> bool:
    """Notes that an item is `stored`, `damaged` or `dropped`; False: it does not belong to the incident any more."""
    keys = [EVIDENCE.of(incident), EVIDENCE_ITEM.of(ref), EVIDENCE_WAITING.name]
    return bool(run_script(redis, "evidence_stored", keys=keys, args=[incident, ref, place]))


def replace_record(redis: Redis, incident: str, before: str, after: EvidenceRecord) -> bool:
    """Replaces the record of an item; False: it has changed since its text was read.

    Raises:
        StoreError: Redis failed, or did not confirm it.
    """
    args = [after.ref, before, after.to_json()]
    return bool(run_script_to_disk(redis, "evidence_replace", keys=[EVIDENCE.of(incident)], args=args))


def unwanted(redis: Redis, *, most: int) -> dict[str, str]:
    """Items that must leave spools and store: incident by reference. What an incident has stays, whoever named it
    here, and so does what is no item: these are forgotten."""
    found: Any
    _, found = redis.hscan(EVIDENCE_UNWANTED.name, count=most)
    named = {str(ref): str(incident) for ref, incident in dict(found).items()}
    kept = states_of(redis, list(named))
    foreign = [ref for ref, incident in named.items() if ref in kept or not (is_ref(ref) and is_incident(incident))]
    if foreign:
        _log.warning("evidence: Redis lists %d as unwanted that incidents have, or that are no items", len(foreign))
        redis.hdel(EVIDENCE_UNWANTED.name, *foreign)
    return {ref: incident for ref, incident in named.items() if ref not in foreign}


def backlog(redis: Redis) -> tuple[int, int]:
    """The number of incidents' items that the store does not have, and the age of the oldest in ms; (0, 0): none."""
    oldest = redis.zrange(EVIDENCE_WAITING.name, 0, 0, withscores=True)
    if not oldest:
        return 0, 0
    return int(redis.zcard(EVIDENCE_WAITING.name)), max(0, now_ms(redis) - int(oldest[0][1]))
