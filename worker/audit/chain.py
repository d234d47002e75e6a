"""The chain of the audit log: each entry has the SHA-256 of the one before it, so that none can be altered, removed,
added or moved without changing every later hash."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any, Final, Self

_FORM: Final = "livewarden-audit-1"


@dataclass(frozen=True, kw_only=True)
class LinkedEntry:
    """An entry in its place in a chain."""

    chain: str
    """Identifies the chain; a Redis that lost everything begins another one."""
    n: int
    """Number in its chain, from 1."""
    previous: str
    """Hash of the entry before it; of the first, `first_previous`."""
    hash: str
    """As `entry_hash` gives it, unless it was altered."""
    at_ms: int
    """Time at which it was appended, by Redis's clock."""
    entry: str
    """JSON, as the act's script appended it."""

    @property
    def whole(self) -> bool:
        """The hash fits what the entry says."""
        return self.hash == entry_hash(self.chain, self.n, self.previous, self.at_ms, self.entry)

    def fields(self) -> dict[str, str | int]:
        """Fields of its entry in Redis."""
        return asdict(self)

    def to_json(self) -> str:
        """One line of ASCII, in the form in which the store has it."""
        return json.dumps(asdict(self), separators=(",", ":"))

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self | None:
        """Parses fields of Redis or of a line of the store; None: they are damaged."""
        try:
            chain, previous, own, entry = (fields[name] for name in ("chain", "previous", "hash", "entry"))
            n, at_ms = int(fields["n"]), int(fields["at_ms"])
        except (KeyError, TypeError, ValueError):
            return None
        if not all(isinstance(text, str) for text in (chain, previous, own, entry)):
            return None
        return cls(chain=chain, n=n, previous=previous, hash=own, at_ms=at_ms, entry=entry)


def first_previous(chain: str) -> str:
    """The value that the first entry of a chain has in the place of the hash before it."""
    return hashlib.sha256(json.dumps([_FORM, chain]).encode()).hexdigest()


def entry_hash(chain: str, n: int, previous: str, at_ms: int, entry: str) -> str:
    """SHA-256, hex, over the JSON array `["livewarden-audit-1", chain, n, previous, at_ms, entry]` as Python's
    `json.dumps` writes it: ASCII, a blank after each comma. `entry` is a string in it, to the letter."""
    return hashlib.sha256(json.dumps([_FORM, chain, n, previous, at_ms, entry]).encode()).hexdigest()


def link(chain: str, n: int, previous: str, entries: Iterable[tuple[int, str]]) -> list[LinkedEntry]:
    """Links entries (time in ms, JSON), in order, after entry `n` of a chain, whose hash is `previous`."""
    linked = []
    for at_ms, entry in entries:
        n += 1
        own = entry_hash(chain, n, previous, at_ms, entry)
        linked.append(LinkedEntry(chain=chain, n=n, previous=previous, hash=own, at_ms=at_ms, entry=entry))
        previous = own
    return linked


class FaultKind(StrEnum):
    """The kinds of damage to a chain, as far as it shows."""

    ALTERED = "altered"
    REMOVED = "removed"
    ADDED = "added"
    REORDERED = "reordered"
    CUT = "cut"
    """Its end is missing."""
    FORKED = "forked"
    """Two entries have one number: Redis was restored to an older state, or entries were replaced."""
    LOST = "lost"
    """It ended, and Redis began another one: Redis lost its data."""
    UNLINKED = "unlinked"
    """Entries wait for the chainer for too long."""
    UNREADABLE = "unreadable"


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A place where a chain does not hold."""

    kind: FaultKind
    chain: str
    n: int
    """Number of the entry, or of the first one of several; 0: it is about no entry."""
    text: str

    @property
    def name(self) -> str:
        """Identifies the fault in each verification: `KIND:CHAIN:N`."""
        return f"{self.kind}:{self.chain}:{self.n}"


def faults_in(entries: Sequence[LinkedEntry], *, after: tuple[int, str], place: str = "") -> list[Fault]:
    """Faults of a run of entries of one chain, in the order in which they were found.

    Args:
        after: number and hash of the entry before the run; of a complete chain, 0 and `first_previous`.
        place: where they were found, for people.
    """
    faults: list[Fault] = []
    highest = 0

    def add(kind: FaultKind, n: int, text: str) -> None:
        found = Fault(kind=kind, chain=entry.chain, n=n, text=f"{text} (in {place})" if place else text)
        faults.append(found)

    for entry in entries:
        if entry.n < highest:
            add(FaultKind.REORDERED, entry.n, f"entry {entry.n} was moved behind entry {highest}")
        highest = max(highest, entry.n)
    n, previous = after
    for entry in sorted(entries, key=lambda one: one.n):
        if entry.n <= n:
            add(FaultKind.ADDED, entry.n, f"entry {entry.n} is there a second time: one was added")
            continue
        if entry.n > n + 1:
            missing = f"entries {n + 1} to {entry.n - 1} are" if entry.n > n + 2 else f"entry {n + 1} is"
            add(FaultKind.REMOVED, n + 1, f"{missing} missing")
        elif entry.previous != previous:
            add(
                FaultKind.ALTERED, entry.n, f"entry {entry.n} does not follow what is before it: entry {n} was replaced"
            )
        if not entry.whole:
            add(FaultKind.ALTERED, entry.n, f"entry {entry.n} was altered: its hash belongs to other content")
        n, previous = entry.n, entry.hash
    return faults
