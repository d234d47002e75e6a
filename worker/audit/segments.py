"""Segments of the audit log in the store: files of linked entries, a line of JSON each, that are never changed.

A file's name says what is in it, so that the chain can be followed over files that are sealed:
`audit/CHAIN/FIRST-LAST-HASHBEFORE-HASH-RANDOM.jsonl`, with `.age` behind it if it is sealed. FIRST and LAST are numbers
of entries, HASHBEFORE is the hash of the entry before the first, HASH that of the last.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Self

from worker.audit.chain import LinkedEntry
from worker.errors import ObjectStoreError
from worker.store.object_store import ObjectStore

FOLDER: Final = "audit"

SEALED: Final = ".age"

Cipher = Callable[[bytes], bytes]
"""Seals or opens the content of a file."""

_NAME: Final = re.compile(r"(\d{12,})-(\d{12,})-([0-9a-f]{64})-([0-9a-f]{64})-([0-9a-f]{8})\.jsonl(\.age)?")


@dataclass(frozen=True, kw_only=True)
class AuditSegment:
    """A file of entries of one chain, as its name describes it."""

    chain: str
    first: int
    last: int
    previous: str
    """Hash of the entry before the first."""
    hash: str
    """Hash of the last entry."""
    nonce: str
    """Random: a file that a copier had no time to record is written again, under another name."""
    sealed: bool

    @classmethod
    def of(cls, entries: Iterable[LinkedEntry], *, sealed: bool) -> Self:
        """A new name for entries of one chain that follow one another."""
        listed = list(entries)
        first, last = listed[0], listed[-1]
        return cls(
            chain=first.chain,
            first=first.n,
            last=last.n,
            previous=first.previous,
            hash=last.hash,
            nonce=secrets.token_hex(4),
            sealed=sealed,
        )

    @classmethod
    def named(cls, chain: str, name: str) -> Self | None:
        """Parses a file's name; None: it is no segment's."""
        found = _NAME.fullmatch(name)
        if found is None:
            return None
        return cls(
            chain=chain,
            first=int(found[1]),
            last=int(found[2]),
            previous=found[3],
            hash=found[4],
            nonce=found[5],
            sealed=found[6] is not None,
        )

    @property
    def path(self) -> str:
        """The file's path in the store."""
        name = f"{self.first:012}-{self.last:012}-{self.previous}-{self.hash}-{self.nonce}.jsonl"
        return f"{FOLDER}/{self.chain}/{name}{SEALED if self.sealed else ''}"


def to_lines(entries: Iterable[LinkedEntry]) -> bytes:
    """The content of a file."""
    return "".join(f"{entry.to_json()}\n" for entry in entries).encode()


def from_lines(content: bytes) -> Iterator[LinkedEntry | None]:
    """The entries of a file; None for a damaged line."""
    for line in content.splitlines():
        try:
            fields = json.loads(line)
        except (ValueError, RecursionError):
            fields = None
        yield LinkedEntry.of(fields) if isinstance(fields, dict) else None


def chains_in(store: ObjectStore) -> list[str]:
    """The chains of which the store has segments.

    Raises:
        ObjectStoreError: the store is away.
    """
    return store.names(FOLDER)


def segments_in(store: ObjectStore, chain: str) -> tuple[list[AuditSegment], list[str]]:
    """The segments of a chain by their numbers, and names that are no segment's.

    Raises:
        ObjectStoreError: the store is away.
    """
    parsed = {name: AuditSegment.named(chain, name) for name in store.names(f"{FOLDER}/{chain}")}
    found = [segment for segment in parsed.values() if segment is not None]
    return sorted(found, key=lambda one: (one.first, one.last)), [name for name, one in parsed.items() if one is None]


def write_segment(store: ObjectStore, segment: AuditSegment, content: bytes) -> None:
    """Writes a file, and reads it back, since a store may confirm what it does not keep.

    Raises:
        ObjectStoreError: it is away, full, refuses the file, or gives something else back.
    """
    store.write(segment.path, content)
    if b"".join(store.chunks(segment.path)) != content:
        raise ObjectStoreError(f"store: {segment.path}: it confirmed the file, and gives other content back")


def read_segment(
    store: ObjectStore, segment: AuditSegment, *, opened: Cipher | None
) -> list[LinkedEntry | None] | None:
    """Reads the entries of a file; None: it is sealed, and there is nothing to open it with.

    Raises:
        ObjectStoreError: it cannot be read.
        EvidenceError: it is sealed to others, or damaged.
    """
    if segment.sealed and opened is None:
        return None
    content = b"".join(store.chunks(segment.path))
    return list(from_lines(opened(content) if segment.sealed and opened is not None else content))
