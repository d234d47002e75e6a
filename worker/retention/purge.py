"""The purge: deletes evidence whose term is over, from store, spool and Redis, in slices under a lease.

Each incident goes through the same steps: its standing is read; a script notes what is to be deleted, if the incident
still stands so; the files are removed, and the store is asked whether they are gone; a second script forgets the
pictures, and appends to the audit log what was deleted and why. A process that dies in between leaves the note, and
the next slice goes on. What the store refuses stays on record and due, and `doctor` reports it.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from redis import Redis

from config.policy.retention import Retention, Terms
from worker.audit.entries import WORKER, Act, audit_entry
from worker.errors import EvidenceError, LeaseLostError, ObjectStoreError, StoreError
from worker.events.cloudevent import rfc3339
from worker.evidence.record import FOLDER, EvidenceRecord
from worker.evidence.spool import Spool
from worker.incidents.keys import incident_key
from worker.logs.failure_log import FailureLog
from worker.people.actor import Actor
from worker.queue.record_fields import number_of
from worker.retention.due import DUE, REFUSED_MS, count_due, due_now, schedule
from worker.retention.holds import evidence_key, hold_key
from worker.retention.purged_files import PurgedFiles
from worker.retention.reports import reports_key
from worker.retention.standing import FIELDS, KeptIncident, read_kept
from worker.store import redis_keys
from worker.store.age_clock import age_ms
from worker.store.lease import leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import is_of_data, now_ms, run_script_to_disk, store_errors, unless_full

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

LEASE: Final = redis_keys.PURGE_LEASE.name
PURGING: Final = redis_keys.EVIDENCE_PURGING.name
STATE: Final = redis_keys.PURGE_STATE.name

SLICE_SECONDS: Final = 4.0
BATCH: Final = 200
"""Incidents that are read together: some 100 kB."""
MOST_REFUSED: Final = 3
"""Incidents that the store refuses, after which a slice ends: it is probably away."""


@dataclass(frozen=True, kw_only=True)
class Purged:
    """Pictures of an incident that were deleted, or would be."""

    incident_id: str
    stream_id: str
    refs: tuple[str, ...]
    bytes: int
    why: str
    """Reason of the term that is over: an outcome, `undecided`, `report`, or `forgotten`."""
    until_ms: int
    """End of the term."""

    def described(self) -> dict[str, Any]:
        """Returns the record that `livewarden evidence purge --json` prints."""
        return {
            "incident_id": self.incident_id,
            "stream_id": self.stream_id,
            "refs": list(self.refs),
            "bytes": self.bytes,
            "why": self.why,
            "term_ended": rfc3339(self.until_ms),
        }


@dataclass(frozen=True, kw_only=True)
class Purge:
    """Connections and settings of a purge."""

    redis: Redis
    store: ObjectStore
    retention: Retention
    spool: Spool | None = None
    """The spool of this host; workers of other hosts empty theirs."""
    by: Actor | None = None
    """The person who asked for it; None: workers do it by themselves."""
    done: Callable[[Purged], None] = field(default=lambda _: None)
    """Called for each incident of which pictures were deleted."""


def is_due(redis: Redis) -> bool:
    """Returns whether incidents are to be checked, and no process does it.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        held, now = redis.exists(LEASE), now_ms(redis)
    return not held and count_due(redis, now) > 0


def purge(work: Purge, *, seconds: float = SLICE_SECONDS, wait_seconds: float = 0.0) -> bool | None:
    """Checks what is due for one slice. True: more is due immediately; None: another process does it.

    Args:
        wait_seconds: for which it waits until the other process is done.

    Raises:
        StoreError: Redis failed; what was begun is ended by a later slice.
    """
    try:
        with leased(work.redis, LEASE, wait_seconds=wait_seconds) as lease:
            if lease is None:
                return None
            return _slice(work, lease.check, monotonic() + seconds)
    except LeaseLostError as error:
        _log.warning("purge of evidence: %s", error)
        return False


def _slice(work: Purge, check: Callable[[], None], until: float) -> bool:
    refused = 0
    while True:
        aged = age_ms(work.redis)
        with store_errors():
            now = now_ms(work.redis)
        ids = due_now(work.redis, now, BATCH)
        stay: list[tuple[str, Terms, int]] = []
        for kept in read_kept(work.redis, ids):
            begun = _begun(work.redis, kept.incident_id)
            terms = kept.terms(work.retention)
            if not begun and kept.records and not terms.is_over(aged):
                stay.append((kept.incident_id, terms, number_of(kept.fields, "decided_ms") or now))
                continue
            check()
            if not _purged(work, kept, terms, begun=begun, over=terms.is_over(aged)):
                refused += 1
            if refused >= MOST_REFUSED or monotonic() >= until:
                break
        schedule(work.redis, stay, now)
        _note(work.redis, now, refused)
        if refused >= MOST_REFUSED:
            return False
        if len(ids) < BATCH and not count_due(work.redis, now):
            return False
        if monotonic() >= until:
            return True


def _purged(work: Purge, kept: KeptIncident, terms: Terms, *, begun: Sequence[str], over: bool) -> bool:
    """As `purge_incident`. Foreign data under a key of one incident costs no other one its purge."""
    try:
        return purge_incident(work, kept, terms, begun=begun, over=over)
    except StoreError as error:
        if not is_of_data(error):
            raise
        _refused(work.redis, kept.incident_id, error)
        return False


def _begun(redis: Redis, incident_id: str) -> tuple[str, ...]:
    """References whose deletion was begun by a process that died."""
    with store_errors():
        return tuple(str(redis.hget(PURGING, incident_id) or "").split())


def purge_incident(work: Purge, kept: KeptIncident, terms: Terms, *, begun: Sequence[str], over: bool) -> bool:
    """Deletes the pictures of an incident whose term is over, and ends what another process had begun; False: the store
    refuses. If the incident has come on hold meanwhile, what is still there of a begun deletion stays.

    Raises:
        StoreError: Redis failed.
    """
    incident_id = kept.incident_id
    refs = tuple(dict.fromkeys((*begun, *(kept.records if over else ()))))
    if over and not _begin(work.redis, kept, refs):
        return True  # it has changed since it was read: it is still due, and is read again
    files = PurgedFiles(redis=work.redis, store=work.store, spool=work.spool, incident_id=incident_id)
    failure = files.remove(refs) if over else None
    try:
        left = files.remaining(refs)
    except (ObjectStoreError, EvidenceError) as error:
        _refused(work.redis, incident_id, error)
        return False
    if over and left and failure is None:
        failure = ObjectStoreError(f"store: {FOLDER}/{incident_id}: what was removed is still there")
    _end(work, kept, terms, gone=[ref for ref in refs if ref not in left], left=left)
    if failure is not None:
        _refused(work.redis, incident_id, failure)
        return False
    _trouble.over("store", "evidence whose term is over is deleted again")
    return True


def _begin(redis: Redis, kept: KeptIncident, refs: Sequence[str]) -> bool:
    """Notes what is about to be deleted; False: the incident has changed since it was read."""
    fields = [part for name in FIELDS for part in (name, kept.fields.get(name, ""))]
    keys = [
        incident_key(kept.incident_id),
        hold_key(kept.incident_id),
        reports_key(kept.case_id),
        evidence_key(kept.incident_id),
    ]
    args: list[str | int] = [kept.incident_id, " ".join(refs), kept.holds, len(kept.reports), *fields]
    return bool(run_script_to_disk(redis, "purge_begin", keys=keys, args=args) == "begun")


def _end(work: Purge, kept: KeptIncident, terms: Terms, *, gone: Sequence[str], left: Mapping[str, bool]) -> None:
    """Forgets the pictures that are gone, gives back those that are not, and records what was deleted, in one step."""
    records = {ref: kept.records.get(ref) for ref in gone}
    done = Purged(
        incident_id=kept.incident_id,
        stream_id=kept.stream_id,
        refs=tuple(gone),
        bytes=sum(record.size_bytes for record in records.values() if record is not None),
        why=terms.why,
        until_ms=terms.content_until_ms or 0,
    )
    with store_errors():
        again_ms = now_ms(work.redis) + REFUSED_MS
    run_script_to_disk(
        work.redis,
        "purge_end",
        keys=[evidence_key(kept.incident_id)],
        args=[
            kept.incident_id,
            " ".join(gone),
            " ".join(ref for ref, stored in left.items() if stored),
            " ".join(ref for ref, stored in left.items() if not stored),
            again_ms,
            _entry(work, kept, done, records) if gone else "",
        ],
    )
    if gone:
        work.done(done)


def _entry(work: Purge, kept: KeptIncident, done: Purged, records: Mapping[str, EvidenceRecord | None]) -> str:
    """The entry of the audit log: what was deleted, and why. Digests are those that events name."""
    return audit_entry(
        Act.PURGE,
        by=WORKER if work.by is None else work.by.name,
        verified=work.by is None or work.by.verified,
        subject=kept.incident_id,
        stream=done.stream_id,
        case=kept.case_id,
        why=done.why,
        outcome=kept.fields.get("outcome", "undecided"),
        term_ended=rfc3339(done.until_ms),
        pictures=len(done.refs),
        bytes=done.bytes,
        items=[ref if record is None else f"{ref} {record.sha256}" for ref, record in records.items()],
    )


def _refused(redis: Redis, incident_id: str, error: ObjectStoreError | EvidenceError | StoreError) -> None:
    """Reports what could not be deleted; it stays due, and is tried again later."""
    _trouble.met("store", "evidence of incident %s cannot be deleted: %s", incident_id, error)
    with store_errors(), unless_full():
        now = now_ms(redis)
        redis.zadd(DUE, {incident_id: now + REFUSED_MS})
        redis.hset(STATE, mapping={"error": str(error)[:300], "error_ms": now, "incident": incident_id})


def _note(redis: Redis, now: int, refused: int) -> None:
    """Notes that the purge runs, for `doctor`."""
    with store_errors(), unless_full():
        redis.hset(STATE, "run_ms", now)
        if not refused:
            redis.hdel(STATE, "error", "error_ms", "incident")
