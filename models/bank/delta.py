"""Changes of the bank, and what they come to: the delta that lies over a snapshot.

A change is an element of a stream that every worker follows. A delta is what the changes since the snapshot amount to:
small, immutable, and searched flat. Applying changes makes another delta, so a match never sees half of them.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from pydantic import ValidationError

from config.facts import SELFTEST
from models.bank.entries import LARGEST_ID, Entry, HashKind, ListSpec
from models.bank.flat import WORDS, Words
from models.errors import ChangeError


class ChangeOp(StrEnum):
    """Type of a change."""

    PUT_LIST = "put_list"
    """Creates a list, or gives it another spec; its entries stay."""
    DROP_LIST = "drop_list"
    """Takes a list away with all its entries. Put again, it begins empty."""
    ADD = "add"
    """Adds an entry; the same id with the same hash takes the place of the one there."""
    REMOVE = "remove"
    """Takes away what a list has under an id: each hash of it."""


@dataclass(frozen=True, kw_only=True)
class BankChange:
    """One change of the bank. Make one with `put_list`, `drop_list`, `add` or `remove`."""

    op: ChangeOp
    list: str
    at_ms: int
    """Time when it was made, in milliseconds of Redis's clock."""
    id: str = ""
    """Its place in the stream of changes; empty until it has one."""
    spec: ListSpec | None = None
    """The list of PUT_LIST."""
    entry: Entry | None = None
    """The entry of ADD."""
    entry_id: str | None = None
    """The entry id of REMOVE."""

    @classmethod
    def put_list(cls, spec: ListSpec, *, at_ms: int, id: str = "") -> "BankChange":  # noqa: A002 - the field's name
        """Creates the list `spec.name`, or gives it this spec."""
        return cls(op=ChangeOp.PUT_LIST, list=spec.name, spec=spec, at_ms=at_ms, id=id)

    @classmethod
    def drop_list(cls, name: str, *, at_ms: int, id: str = "") -> "BankChange":  # noqa: A002
        """Takes the list away."""
        return cls(op=ChangeOp.DROP_LIST, list=name, at_ms=at_ms, id=id)

    @classmethod
    def add(cls, name: str, entry: Entry, *, at_ms: int, id: str = "") -> "BankChange":  # noqa: A002
        """Adds an entry to the list `name`."""
        return cls(op=ChangeOp.ADD, list=name, entry=entry, at_ms=at_ms, id=id)

    @classmethod
    def remove(cls, name: str, entry_id: str, *, at_ms: int, id: str = "") -> "BankChange":  # noqa: A002
        """Takes away what the list `name` has under `entry_id`."""
        return cls(op=ChangeOp.REMOVE, list=name, entry_id=entry_id, at_ms=at_ms, id=id)

    def to_json(self) -> str:
        """One JSON object, without `id`, which the stream has. It holds the hash: keep it out of logs."""
        record: dict[str, Any] = {"op": self.op, "list": self.list, "at_ms": self.at_ms}
        if self.spec is not None:
            record["spec"] = self.spec.model_dump(mode="json")
        if self.entry is not None:
            record["entry"] = _entry_record(self.entry)
        if self.entry_id is not None:
            record["entry_id"] = self.entry_id
        return json.dumps(record, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str | bytes, *, id: str = "") -> "BankChange":  # noqa: A002
        """Reads what `to_json` wrote.

        Raises:
            ChangeError: it is anything else.
        """
        try:
            record = json.loads(text)
            op, name, at_ms = ChangeOp(record["op"]), str(record["list"]), int(record["at_ms"])
            match op:
                case ChangeOp.PUT_LIST:
                    return cls.put_list(ListSpec.of_record(record["spec"]), at_ms=at_ms, id=id)
                case ChangeOp.DROP_LIST:
                    return cls.drop_list(name, at_ms=at_ms, id=id)
                case ChangeOp.ADD:
                    return cls.add(name, _entry_of(record["entry"]), at_ms=at_ms, id=id)
                case ChangeOp.REMOVE:
                    return cls.remove(name, str(record["entry_id"]), at_ms=at_ms, id=id)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, ValidationError) as error:
            raise ChangeError(
                f"change {id or '(new)'}: expected a change of the bank: {type(error).__name__}"
            ) from None


Added = Mapping[str, Mapping[str, tuple[Entry, ...]]]
"""List -> entry id -> the entries of that id."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Delta:
    """The sum of the changes since a snapshot. Without arguments: nothing."""

    specs: Mapping[str, ListSpec] = field(default_factory=dict)
    """Lists put since, by name: over the snapshot's."""
    dropped: frozenset[str] = frozenset()
    """Lists of which the snapshot's entries are gone; they may have been put again."""
    removed: frozenset[tuple[str, str]] = frozenset()
    """(list, entry id) of which the snapshot's entries are gone; they may have been added again."""
    added: Added = field(default_factory=dict)
    last: Mapping[str, str] = field(default_factory=dict)
    """List -> id of its last change."""

    def applied(self, *changes: BankChange) -> "Delta":
        """This and then `changes`, in their order. Costs a copy of the delta: give changes that came together at once.

        An entry for a list that was never put is kept: a hash that is known must not be lost to an order of events.
        Changes of `selftest` are skipped.
        """
        specs, dropped, removed = dict(self.specs), set(self.dropped), set(self.removed)
        added = {name: dict(entries) for name, entries in self.added.items()}
        last = dict(self.last)
        for change in changes:
            if change.list == SELFTEST:
                continue
            last[change.list] = change.id
            match change:
                case BankChange(op=ChangeOp.PUT_LIST, spec=ListSpec() as spec):
                    specs[spec.name] = spec
                case BankChange(op=ChangeOp.ADD, entry=Entry() as entry):
                    of_list = added.setdefault(change.list, {})
                    of_list[entry.entry] = (*_others(of_list.get(entry.entry, ()), entry), entry)
                case BankChange(op=ChangeOp.REMOVE, entry_id=str() as entry_id):
                    added.get(change.list, {}).pop(entry_id, None)
                    removed.add((change.list, entry_id))
                case BankChange(op=ChangeOp.DROP_LIST):
                    specs.pop(change.list, None)
                    added.pop(change.list, None)
                    removed = {gone for gone in removed if gone[0] != change.list}
                    dropped.add(change.list)
        return replace(
            self,
            specs=MappingProxyType(specs),
            dropped=frozenset(dropped),
            removed=frozenset(removed),
            added=MappingProxyType(added),
            last=MappingProxyType(last),
        )

    def hides(self, name: str, entry_id: str) -> bool:
        """True if the snapshot's entry of this id is gone."""
        return name in self.dropped or (name, entry_id) in self.removed

    @cached_property
    def entries(self) -> tuple[tuple[str, Entry], ...]:
        """(list, entry) of all that was added and not taken away again, PDQ hashes first."""
        rows = [(name, entry) for name, of_list in self.added.items() for same in of_list.values() for entry in same]
        return tuple(sorted(rows, key=lambda row: row[1].kind is not HashKind.PDQ))

    @cached_property
    def pdq_words(self) -> Words:
        """The PDQ hashes of `entries`, in its order: uint64, (n, 4)."""
        values = b"".join(entry.value for _, entry in self.entries if entry.kind is HashKind.PDQ)
        return np.frombuffer(values, np.uint64).reshape(-1, WORDS)


def _others(same_id: tuple[Entry, ...], entry: Entry) -> list[Entry]:
    return [other for other in same_id if (other.kind, other.value) != (entry.kind, entry.value)]


def _entry_record(entry: Entry) -> dict[str, Any]:
    record: dict[str, Any] = {"entry": entry.entry, "kind": entry.kind, "value": entry.value.hex()}
    if entry.tags:
        record["tags"] = entry.tags
    if entry.video is not None:
        record["video"] = entry.video
    if entry.seconds is not None:
        record["seconds"] = entry.seconds
    return record


def _entry_of(record: Mapping[str, Any]) -> Entry:
    kind, value = HashKind(record["kind"]), bytes.fromhex(record["value"])
    entry_id, video, seconds = record["entry"], record.get("video"), record.get("seconds")
    if len(value) != kind.size_bytes:
        raise ValueError("length")
    if not isinstance(entry_id, str) or not 1 <= len(entry_id) <= LARGEST_ID:
        raise ValueError("id")
    return Entry(
        entry=entry_id,
        kind=kind,
        value=value,
        tags=tuple(str(tag) for tag in record.get("tags", ())),
        video=None if video is None else str(video),
        seconds=None if seconds is None else float(seconds),
    )
