"""Copies of the audit log in the store, in segments; what is copied, and read back, is deleted from Redis."""

import json
import logging
from collections.abc import Sequence
from time import monotonic
from typing import Final

from redis import Redis

from config.errors import LivewardenError
from worker.audit.chain import LinkedEntry
from worker.audit.entries import WORKER, Act, append_entry, audit_entry
from worker.audit.published_heads import publish_head
from worker.audit.redis_log import HEAD, LINKED, AuditHead, StoredEntry, read_head, read_linked
from worker.audit.segments import AuditSegment, Cipher, chains_in, segments_in, to_lines, write_segment
from worker.errors import LeaseLostError, ObjectStoreError, StoreError
from worker.logs.failure_log import FailureLog
from worker.store import redis_keys
from worker.store.lease import expire_within, leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, run_script, store_errors, unless_full

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

LEASE: Final = redis_keys.AUDIT_COPIER.name
REST: Final = redis_keys.AUDIT_REST.name

EVERY_MS: Final = 3_600_000
"""The age at which an entry is copied, so that a quiet deployment makes 24 files a day at most."""

MOST_ENTRIES: Final = 500
"""Entries of a segment; so many are copied at once, whatever their age."""

MOST_BYTES: Final = 4 * 1024 * 1024
"""Size of a segment before it is sealed, <=, unless it is of one entry."""

KEPT: Final = 1_000
"""Copied entries that stay in Redis, some 1 MB, so that what people did in the last hours is listed without opening
segments."""

SLICE_SECONDS: Final = 4.0


def is_due(redis: Redis) -> bool:
    """Returns whether there are entries to copy, it is time, no process copies, and none has failed just now.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        head = read_head(redis)
        expire_within(redis, REST, redis_keys.AUDIT_REST.seconds * 1000)
        if not head.hash or redis.exists(LEASE, REST):
            return False
        if uncopied(head) >= MOST_ENTRIES:
            return True
        oldest = next(read_linked(redis, after=head.copied_id, most=1), None)
        return oldest is not None and now_ms(redis) - _id_ms(oldest.id) >= EVERY_MS


def uncopied(head: AuditHead) -> int:
    """Number of entries of the current chain that are not in the store."""
    return head.n - (head.copied_n if head.copied_chain == head.chain else 0)


def copy_log(
    redis: Redis, store: ObjectStore, *, sealed: Cipher | None, deployment: str, seconds: float = SLICE_SECONDS
) -> bool:
    """Copies entries into the store, unless another process does. True: more is due immediately.

    Args:
        sealed: seals a segment to the reviewers' keys; None: there are none, and segments are clear.

    Raises:
        StoreError: Redis failed; entries may be copied again.
    """
    until = monotonic() + seconds
    try:
        with leased(redis, LEASE) as lease:
            if lease is None:
                return False
            while _copy(redis, store, sealed):
                publish_head(redis, deployment=deployment, copied=True)
                lease.check()
                if monotonic() >= until:
                    return is_due(redis)
    except LeaseLostError as error:
        _log.warning("copying the audit log: %s", error)
    except StoreError:
        raise
    except LivewardenError as error:  # of the store, or of the keys
        _trouble.met("copy", "the audit log cannot be copied into the store, and stays in Redis: %s", error)
        with store_errors(), unless_full():
            redis.set(REST, 1, ex=redis_keys.AUDIT_REST.seconds)
    else:
        _trouble.over("copy", "the audit log is copied into the store again")
    return False


def _copy(redis: Redis, store: ObjectStore, sealed: Cipher | None) -> bool:
    """Copies one segment; False: there are no entries."""
    with store_errors():
        head = read_head(redis)
        read = list(read_linked(redis, after=head.copied_id, most=MOST_ENTRIES))
    if not read:
        return False
    run = run_of(read)
    if head.copied_chain != run[0].chain:
        _note_earlier_chains(redis, store, run[0].chain)
    content = to_lines(run)
    segment = AuditSegment.of(run, sealed=sealed is not None)
    write_segment(store, segment, content if sealed is None else sealed(content))
    _record(redis, head, segment, read[len(run) - 1].id)
    return True


def run_of(read: Sequence[StoredEntry]) -> list[LinkedEntry]:
    """The first entries that are of one chain and follow one another, at most `MOST_BYTES`; at least one.

    Raises:
        ObjectStoreError: the first one is damaged. Nothing after it is copied, since a segment would not be a chain.
    """
    run: list[LinkedEntry] = []
    size = 0
    for one in read:
        entry = one.entry
        if entry is None:
            break
        size += len(entry.to_json()) + 1
        if run and (size > MOST_BYTES or (entry.chain, entry.n) != (run[-1].chain, run[-1].n + 1)):
            break
        run.append(entry)
    if not run:
        raise ObjectStoreError(f"audit log: the entry {read[0].id} in Redis is damaged; see `livewarden audit verify`")
    return run


def _record(redis: Redis, head: AuditHead, segment: AuditSegment, copied_id: str) -> None:
    with store_errors():
        fields = {
            "copied_chain": segment.chain,
            "copied_n": segment.last,
            "copied_hash": segment.hash,
            "copied_ms": now_ms(redis),
        }
        flat = json.dumps([str(part) for pair in fields.items() for part in pair])
        run_script(redis, "audit_copied", keys=[HEAD, LINKED], args=[head.copied_id, copied_id, flat, KEPT])


def _note_earlier_chains(redis: Redis, store: ObjectStore, chain: str) -> None:
    """Names earlier chains of the store in the chain that follows them, so that one that is removed whole is missed."""
    ends = []
    for other in chains_in(store):
        if other != chain and (found := segments_in(store, other)[0]):
            newest = max(found, key=lambda one: one.last)
            ends.append(f"{other} {newest.last} {newest.hash}")
    if ends:
        note = "the store has earlier chains"
        append_entry(redis, audit_entry(Act.CHAIN, by=WORKER, verified=True, subject="audit", note=note, chains=ends))


def _id_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
