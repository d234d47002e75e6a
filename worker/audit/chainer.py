"""The chainer: links the entries that acts have appended, in their order, one process at a time."""

import json
import secrets
from collections.abc import Mapping
from itertools import chain as concatenated
from typing import Final

from redis import Redis

from worker.audit.chain import first_previous, link
from worker.audit.entries import WORKER, Act, audit_entry
from worker.audit.redis_log import HEAD, LINKED, UNLINKED, AuditHead, newest_linked, read_head, undecoded, waiting
from worker.health.redis_epoch import Epoch, read_epoch
from worker.store import redis_keys
from worker.store.lease import Lease, leased
from worker.store.redis_client import now_ms, run_script, store_errors

LEASE: Final = redis_keys.AUDIT_CHAINER.name

AT_ONCE: Final = 200
"""Entries that one script links: at the size of ordinary entries some 200 kB, and 2 ms of Redis's time."""

MOST_SLICES: Final = 25
"""Slices of one call; the next comes with the next upkeep, 2 s later."""

MAX_ENTRY_BYTES: Final = 1_000_000
"""The largest entry that is linked as it is; `audit_entry` writes less."""

_SHOWN_BYTES: Final = 2_000


def link_waiting(redis: Redis) -> int:
    """Links entries that wait, unless another process does; returns their number.

    Raises:
        StoreError: Redis failed; the entries wait on.
    """
    with store_errors():
        if not waiting(redis)[1]:
            return 0
    linked = 0
    with leased(redis, LEASE) as lease:
        if lease is None:
            return 0
        for _ in range(MOST_SLICES):
            lease.check()
            with store_errors():
                done = _link_slice(redis, lease)
            linked += done
            if done < AT_ONCE:
                break
    return linked


def _link_slice(redis: Redis, lease: Lease) -> int:
    head = read_head(redis)
    added, length = waiting(redis)
    oldest = _read(redis)
    if not oldest:
        return 0
    now = now_ms(redis)
    epoch = read_epoch(redis)
    start, notes = _start(redis, head, epoch, removed=added - length - head.taken)
    entries = link(
        start.chain, start.n, start.hash, [*((now, note) for note in notes), *((at, text) for _, at, text in oldest)]
    )
    newest = entries[-1]
    fields: dict[str, str | int] = {
        "chain": newest.chain,
        "n": newest.n,
        "hash": newest.hash,
        "linked_ms": now,
        # Those that were removed are noted once.
        "taken": added - length + len(oldest),
        "epoch": epoch.id if epoch is not None else head.epoch,
    }
    ids = [*("" for _ in notes), *(entry_id for entry_id, _, _ in oldest)]
    args = [lease.token, head.hash, _flat(fields), newest.hash]
    for entry_id, entry in zip(ids, entries, strict=True):
        args += [entry_id, _flat(entry.fields())]
    return len(oldest) if run_script(redis, "audit_link", keys=[LEASE, HEAD, LINKED, UNLINKED], args=args) else 0


def _start(redis: Redis, head: AuditHead, epoch: Epoch | None, *, removed: int) -> tuple[AuditHead, list[str]]:
    """The head to link to, and notes about what happened to the log since the last entry."""
    notes = []
    if not head.hash:
        # The head is the only thing that an entry cannot be linked without: it is taken from the newest entry.
        newest = newest_linked(redis)
        if newest is not None:
            head = AuditHead(chain=newest.chain, n=newest.n, hash=newest.hash)
            notes.append(_note("the head was missing: linked to the newest entry"))
        else:
            chain = secrets.token_hex(16)
            head = AuditHead(chain=chain, hash=first_previous(chain))
            lost = "" if epoch is None else epoch.lost
            notes.append(_note("the chain begins", **({"redis_lost_epoch": lost} if lost else {})))
    else:
        if epoch is not None and head.epoch and epoch.id != head.epoch:
            notes.append(_note("Redis lost state", epoch=epoch.id, found=epoch.found, epoch_before=head.epoch))
        if removed > 0:
            notes.append(_note("entries were removed before they were linked", removed=removed))
        elif removed < 0:
            notes.append(_note("unlinked entries were deleted with their key: how many is not known"))
    return head, notes


def _note(text: str, **details: str | int) -> str:
    return audit_entry(Act.CHAIN, by=WORKER, verified=True, subject="audit", note=text, **details)


def _read(redis: Redis) -> list[tuple[str, int, str]]:
    """The oldest that wait: ID, time in ms, JSON."""
    found = undecoded(redis, "XRANGE", UNLINKED, "-", "+", "COUNT", AT_ONCE)
    return [
        (entry_id.decode(), int(entry_id.partition(b"-")[0]), _text(fields or {})) for entry_id, fields in found or ()
    ]


def _text(fields: Mapping[bytes, bytes]) -> str:
    """The entry's JSON. One that is no entry of ours is linked all the same, in a form that can be read: whoever put it
    there must not stop the log."""
    raw = fields.get(b"entry", b"")
    if len(fields) == 1 and raw.isascii() and len(raw) <= MAX_ENTRY_BYTES:
        try:
            if isinstance(json.loads(raw), dict):
                return raw.decode()
        except (ValueError, RecursionError):
            pass
    shown = b" ".join(concatenated.from_iterable(fields.items()))
    return json.dumps({"malformed": shown[:_SHOWN_BYTES].decode("ascii", "backslashreplace"), "bytes": len(shown)})


def _flat(fields: Mapping[str, str | int]) -> str:
    return json.dumps([str(part) for pair in fields.items() for part in pair])
