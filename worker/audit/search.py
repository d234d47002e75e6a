"""Entries of the audit log for people: by person, act, subject and time, the newest first."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from config.errors import LivewardenError
from worker.audit.chain import LinkedEntry
from worker.audit.redis_log import UNLINKED, read_head, read_linked, undecoded
from worker.audit.segments import AuditSegment, Cipher, chains_in, read_segment, segments_in
from worker.errors import ObjectStoreError
from worker.events.cloudevent import rfc3339
from worker.store.object_store import ObjectStore
from worker.store.redis_client import store_errors

NAMING_DETAILS: Final = ("incident", "incidents", "others", "case", "stream", "items")
"""Details that name what an act was done to beside its subject: the incident of a picture that was viewed, the other
incidents of a case that was taken, the pictures that were purged. Each is a text or a list of texts, and IDs stand
between blanks."""


@dataclass(frozen=True, kw_only=True)
class EntryFilter:
    """The wanted entries; an empty text is any."""

    by: str = ""
    """A person's name, ignoring case."""
    act: str = ""
    subject: str = ""
    """An incident, case, reference, list, stream or person, or its beginning."""
    since_ms: int = 0
    """Time from which on (>=)."""

    def matches(self, record: dict[str, Any]) -> bool:
        """Returns whether an entry's record, from `entry_record`, is wanted."""
        return (
            (not self.by or str(record["by"]).casefold() == self.by.casefold())
            and (not self.act or record["act"] == self.act)
            and any(name.startswith(self.subject) for name in named_in(record))
            and record["at_ms"] >= self.since_ms
        )


def named_in(record: dict[str, Any]) -> Iterator[str]:
    """Yields what an act was done to: its subject, and what its details name."""
    yield str(record["subject"])
    details = record["details"] if isinstance(record["details"], dict) else {}
    for detail in NAMING_DETAILS:
        value = details.get(detail, ())
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str):
                yield from text.split()


def entry_record(text: str, *, at_ms: int, linked: LinkedEntry | None = None) -> dict[str, Any]:
    """The record that `livewarden audit list --json` prints. One that no act of Livewarden wrote has the act
    `malformed`, and the text in its details."""
    try:
        entry = json.loads(text)
        parsed = {name: entry[name] for name in ("id", "act", "by", "verified", "subject", "details")}
    except (ValueError, KeyError, TypeError, RecursionError):
        parsed = {"id": "", "act": "malformed", "by": "", "verified": False, "subject": "", "details": {"text": text}}
    place = {
        "chain": "" if linked is None else linked.chain,
        "n": None if linked is None else linked.n,
        "hash": None if linked is None else linked.hash,
    }
    return {"at": _time(at_ms), "at_ms": at_ms, **parsed, **place}


class AuditSearch:
    """One search through Redis and the store."""

    def __init__(self, redis: Redis, store: ObjectStore, *, opened: Cipher | None) -> None:
        """`opened` opens sealed segments; None: their entries are left out."""
        self._redis = redis
        self._store = store
        self._opened = opened
        self.unopened = 0
        """Segments that were left out so far: sealed, to others, or damaged."""

    def find(self, wanted: EntryFilter) -> Iterator[dict[str, Any]]:
        """The wanted entries, the newest first, chain by chain; those that are not linked yet come first of all.

        Raises:
            StoreError, ObjectStoreError: Redis or the store failed.
        """
        with store_errors():
            unlinked = undecoded(self._redis, "XREVRANGE", UNLINKED, "+", "-") or []
            linked = [one.entry for one in read_linked(self._redis) if one.entry is not None]
            chain = read_head(self._redis).chain
        for entry_id, fields in unlinked:
            text = (fields or {}).get(b"entry", b"").decode("ascii", "backslashreplace")
            record = entry_record(text, at_ms=int(entry_id.partition(b"-")[0]))
            if wanted.matches(record):
                yield record
        for entry in self._linked(linked, chain, wanted.since_ms):
            record = entry_record(entry.entry, at_ms=entry.at_ms, linked=entry)
            if wanted.matches(record):
                yield record

    def linked_entries(self, *, since_ms: int) -> Iterator[LinkedEntry]:
        """All linked entries from a time on (>=), the newest first, chain by chain.

        Raises:
            StoreError, ObjectStoreError: Redis or the store failed.
        """
        with store_errors():
            linked = [one.entry for one in read_linked(self._redis) if one.entry is not None]
            chain = read_head(self._redis).chain
        yield from (entry for entry in self._linked(linked, chain, since_ms) if entry.at_ms >= since_ms)

    def _linked(self, linked: list[LinkedEntry], chain: str, since_ms: int) -> Iterator[LinkedEntry]:
        """Those of Redis, and those of the store's segments that may have some from `since_ms` on."""
        in_redis, newer = {entry.hash for entry in linked}, set[str]()
        yield from reversed(linked)
        for name in sorted(chains_in(self._store), key=lambda one: one != chain):
            for segment in reversed(segments_in(self._store, name)[0]):
                entries = self._read(segment)
                # A segment may be there twice, or again with more entries, if a copier died.
                new = [entry for entry in entries if entry.hash not in in_redis and entry.hash not in newer]
                newer = {entry.hash for entry in entries} if new else newer
                yield from reversed(new)
                if entries and entries[0].at_ms < since_ms:
                    break  # times never go back in a chain

    def _read(self, segment: AuditSegment) -> list[LinkedEntry]:
        try:
            read = read_segment(self._store, segment, opened=self._opened)
        except ObjectStoreError as error:
            if not (error.missing or error.damaged):
                raise
            read = None
        except LivewardenError:
            read = None
        if read is None:
            self.unopened += 1
        return [entry for entry in read or () if entry is not None]


def _time(at_ms: int) -> str:
    try:
        return rfc3339(at_ms)
    except (OverflowError, ValueError):
        return "a time that cannot be read"
