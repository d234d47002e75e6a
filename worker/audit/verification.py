"""Verification of the audit log: the store and Redis as one chain, compared with the heads that were published."""

import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from config.errors import LivewardenError
from worker.audit.chain import Fault, FaultKind, LinkedEntry, faults_in
from worker.audit.entries import Act
from worker.audit.known_hashes import KnownHashes, Piece, runs_of
from worker.audit.published_heads import PublishedHead, published_heads
from worker.audit.redis_log import (
    UNLINKED,
    AuditHead,
    StoredEntry,
    last_linked_id,
    read_head,
    read_linked,
    undecoded,
    waiting,
)
from worker.audit.segments import AuditSegment, Cipher, chains_in, read_segment, segments_in
from worker.errors import ObjectStoreError
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, store_errors

LINKED_WITHIN_MS: Final = 10_000
"""The age of an unlinked entry from which on (>) it is reported: the chainer comes every 2 s."""

MOST_FAULTS: Final = 100
"""Faults that a report lists; it counts the others."""

IN_REDIS: Final = "Redis"


@dataclass(frozen=True, kw_only=True)
class ChainSummary:
    """A chain of the log."""

    chain: str
    last: int
    """Number of its newest entry."""
    in_store: int
    """Number of its newest entry in the store; 0: none is."""
    current: bool
    """Redis goes on with it."""


@dataclass(frozen=True, kw_only=True)
class AuditReport:
    """The outcome of a verification."""

    chains: tuple[ChainSummary, ...]
    faults: tuple[Fault, ...]
    """The first `MOST_FAULTS`, without known ones."""
    faults_in_all: int
    known: tuple[Fault, ...]
    """Faults that the caller knows: a loss of Redis, for one, stays in the record for good."""
    unlinked: int
    """Entries that wait for the chainer."""
    unopened: int
    """Sealed segments that could not be opened: what is in them was not verified, only that they follow one another."""
    published: PublishedHead | None
    """The newest published head of the current chain: an end that was cut off after it cannot be missed."""

    @property
    def whole(self) -> bool:
        """No fault was found but known ones."""
        return self.faults_in_all == 0


@dataclass(frozen=True, kw_only=True)
class _InRedis:
    """The log as Redis has it at one time."""

    head: AuditHead
    entries: Sequence[StoredEntry]
    last_id: str
    unlinked: int
    oldest_unlinked_ms: int | None
    """Age of the oldest that waits."""


def verify(
    redis: Redis, store: ObjectStore, *, opened: Cipher | None, known_faults: Collection[str] = ()
) -> AuditReport:
    """Verifies the log.

    Args:
        known_faults: names of faults that were inquired into.
        opened: opens a sealed segment; None: they stay closed, and are counted.

    Raises:
        StoreError: Redis failed.
        ObjectStoreError: the store is away.
    """
    published, in_redis, segments, faults = _read(redis, store)
    entries: dict[str, list[LinkedEntry]] = defaultdict(list)
    for stored in in_redis.entries:
        if stored.entry is None:
            text = f"the entry {stored.id} of Redis is damaged, or was added by another program"
            faults.append(_unreadable(in_redis.head.chain, 0, text))
        else:
            entries[stored.entry.chain].append(stored.entry)
    chains, unopened = [], 0
    for chain in sorted(segments.keys() | entries.keys()):
        own = entries.get(chain, [])
        pieces = [*map(Piece.of_segment, segments.get(chain, ())), *runs_of(own, place=IN_REDIS)]
        known = KnownHashes(chain, pieces, [head for head in published if head.chain == chain])
        if own:
            # What was purged is in the store; `known` compares the entry before the first.
            lowest = min(own, key=lambda one: one.n)
            faults += faults_in(own, after=(lowest.n - 1, lowest.previous), place=IN_REDIS)
            faults += _notes(own)
            known.note(own)
        for segment in segments.get(chain, ()):
            found, read = _examine(store, segment, opened)
            faults += found
            unopened += read is None
            known.note(read or ())
        faults += known.faults()
        chains.append(
            ChainSummary(
                chain=chain,
                last=known.last,
                in_store=max((one.last for one in segments.get(chain, ())), default=0),
                current=chain == in_redis.head.chain,
            )
        )
    faults += _of_redis(in_redis, entries, segments)
    faults += _lost(chains, published, in_redis.head)
    newest = next((head for head in published if head.chain == in_redis.head.chain), None)
    # One damage shows in several ways.
    once = {fault.name if fault.n else fault.text: fault for fault in reversed(faults)}
    listed = tuple(once.values())[::-1]
    # A fault without a number is of the present, such as a file that does not belong here: it is never known.
    new = tuple(fault for fault in listed if not fault.n or fault.name not in known_faults)
    return AuditReport(
        chains=tuple(chains),
        faults=new[:MOST_FAULTS],
        faults_in_all=len(new),
        known=tuple(fault for fault in listed if fault not in new),
        unlinked=in_redis.unlinked,
        unopened=unopened,
        published=newest,
    )


def late_entries(redis: Redis) -> int:
    """Number of entries if the oldest has waited to be linked for over `LINKED_WITHIN_MS`; else 0.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        unlinked, age = _unlinked(redis)
    return unlinked if age is not None and age > LINKED_WITHIN_MS else 0


def _read(
    redis: Redis, store: ObjectStore
) -> tuple[list[PublishedHead], _InRedis, dict[str, list[AuditSegment]], list[Fault]]:
    """Reads the published heads, the log in Redis, and the segments of each chain in the store, with foreign names."""
    while True:
        # In this order, since the log goes on meanwhile: a head that is published is in Redis or in the store by then,
        # and what is copied and deleted after it was read from Redis is in both.
        published = list(published_heads(redis))
        in_redis = _read_redis(redis)
        segments: dict[str, list[AuditSegment]] = {}
        faults: list[Fault] = []
        for chain in chains_in(store):
            segments[chain], foreign = segments_in(store, chain)
            faults += [_unreadable(chain, 0, f"{name}: no segment of the log") for name in foreign]
        with store_errors():
            # A chain that began since is in the store, perhaps, and would seem to have ended.
            if read_head(redis).chain == in_redis.head.chain:
                return published, in_redis, segments, faults


def _read_redis(redis: Redis) -> _InRedis:
    with store_errors():
        head, last_id = read_head(redis), last_linked_id(redis)
        entries = list(read_linked(redis))
        while (again := read_head(redis)) != head:
            # The chainer went on, or entries were copied and deleted: the head and the entries must be of one time.
            head, last_id = again, last_linked_id(redis)
            entries = list(read_linked(redis))
        unlinked, age = _unlinked(redis)
    return _InRedis(head=head, entries=entries, last_id=last_id, unlinked=unlinked, oldest_unlinked_ms=age)


def _unlinked(redis: Redis) -> tuple[int, int | None]:
    found = undecoded(redis, "XRANGE", UNLINKED, "-", "+", "COUNT", 1)
    if not found:
        return 0, None
    return waiting(redis)[1], now_ms(redis) - int(found[0][0].partition(b"-")[0])


def _examine(
    store: ObjectStore, segment: AuditSegment, opened: Cipher | None
) -> tuple[list[Fault], list[LinkedEntry] | None]:
    """Compares a segment's content with its name. Its entries are None if it stays closed."""
    try:
        read = read_segment(store, segment, opened=opened)
    except ObjectStoreError as error:
        if not (error.missing or error.damaged):
            raise
        return [_unreadable(segment.chain, segment.first, f"{segment.path}: {error}")], []
    except LivewardenError as error:
        return [_unreadable(segment.chain, segment.first, f"{segment.path}: {error}")], []
    if read is None:
        return [], None
    entries = [entry for entry in read if entry is not None]
    faults = []
    if len(entries) < len(read):
        faults.append(_unreadable(segment.chain, segment.first, f"{segment.path}: a line is damaged"))
    faults += faults_in(entries, after=(segment.first - 1, segment.previous), place=segment.path)
    faults += _notes(entries)
    newest = max(entries, key=lambda one: one.n, default=None)
    if newest is None or newest.n < segment.last:
        n = segment.first if newest is None else newest.n + 1
        text = f"entries {n} to {segment.last} are missing at the end of {segment.path}"
        faults.append(Fault(kind=FaultKind.REMOVED, chain=segment.chain, n=n, text=text))
    elif (newest.n, newest.hash, newest.chain) != (segment.last, segment.hash, segment.chain):
        text = f"{segment.path} has other entries than its name says"
        faults.append(Fault(kind=FaultKind.ALTERED, chain=segment.chain, n=segment.last, text=text))
    return faults, entries


def _of_redis(
    in_redis: _InRedis, entries: Mapping[str, Sequence[LinkedEntry]], segments: Mapping[str, Sequence[AuditSegment]]
) -> Iterator[Fault]:
    """Faults of the head, which is the newest entry, and of entries that wait."""
    head = in_redis.head
    own = entries.get(head.chain, ())
    if not head.hash:
        if in_redis.entries:
            yield Fault(kind=FaultKind.CUT, chain="", n=0, text="the head in Redis is missing")
    elif not own or own[-1].n < head.n:
        n = own[-1].n + 1 if own else 1
        text = f"Redis has no entry {n}, and its head is entry {head.n}: the end was cut off"
        yield Fault(kind=FaultKind.CUT, chain=head.chain, n=n, text=text)
    elif (own[-1].n, own[-1].hash) != (head.n, head.hash):
        text = f"Redis's head is entry {head.n} with another hash: entries were added, or replaced"
        yield Fault(kind=FaultKind.ADDED, chain=head.chain, n=head.n, text=text)
    elif in_redis.last_id != head.last_id:
        text = "entries were added to Redis's stream by something else than the chainer, and removed"
        yield Fault(kind=FaultKind.ADDED, chain=head.chain, n=head.n, text=text)
    if head.copied_n and not any(
        (one.last, one.hash) == (head.copied_n, head.copied_hash) for one in segments.get(head.copied_chain, ())
    ):
        text = f"the store has no segment up to entry {head.copied_n}, which was copied into it and read back"
        yield Fault(kind=FaultKind.REMOVED, chain=head.copied_chain, n=head.copied_n, text=text)
    age = in_redis.oldest_unlinked_ms
    if age is not None and age > LINKED_WITHIN_MS:
        text = f"{in_redis.unlinked} entries are not linked, the oldest for {age // 1000} s: does a worker run?"
        yield Fault(kind=FaultKind.UNLINKED, chain=head.chain, n=0, text=text)


def _lost(chains: Sequence[ChainSummary], published: Iterable[PublishedHead], head: AuditHead) -> Iterator[Fault]:
    """Chains that ended because Redis lost its data, and chains of which nothing is left."""
    for chain in chains:
        if not chain.current:
            then = "began another chain" if head.hash else "has no audit log"
            text = f"the chain ends with entry {chain.last}: Redis lost its data and {then}; entries after it are lost"
            yield Fault(kind=FaultKind.LOST, chain=chain.chain, n=chain.last, text=text)
    there = {chain.chain for chain in chains}
    for name in dict.fromkeys(one.chain for one in published if one.chain not in there):
        n = max(one.n for one in published if one.chain == name)
        text = f"nothing is left of this chain, whose entry {n} was published"
        yield Fault(kind=FaultKind.CUT, chain=name, n=1, text=text)


_LOSSES: Final = {
    "Redis lost state": FaultKind.LOST,
    "the head was missing": FaultKind.CUT,
    "entries were removed before they were linked": FaultKind.REMOVED,
    "unlinked entries were deleted": FaultKind.REMOVED,
}
"""Notes of the chainer about what went wrong, by their beginning."""


def _notes(entries: Iterable[LinkedEntry]) -> Iterator[Fault]:
    for entry in entries:
        if Act.CHAIN.value not in entry.entry:
            continue
        try:
            noted: Any = json.loads(entry.entry)
            note = str(noted["details"]["note"]) if noted["act"] == Act.CHAIN else ""
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
        for beginning, kind in _LOSSES.items():
            if note.startswith(beginning):
                more = ", ".join(f"{name} {value}" for name, value in noted["details"].items() if name != "note")
                text = f"noted in entry {entry.n}: {note}{f' ({more})' if more else ''}"
                yield Fault(kind=kind, chain=entry.chain, n=entry.n, text=text)


def _unreadable(chain: str, n: int, text: str) -> Fault:
    return Fault(kind=FaultKind.UNREADABLE, chain=chain, n=n, text=text)
