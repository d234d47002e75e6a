"""The history of the bank: each act with actor, role and time, kept after the changes themselves went into a snapshot.

An act is written in the step that does it, so that none goes unrecorded. It names entries by their ids, never by hash.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final

from redis import Redis

from config.counts import counted
from models.bank.delta import BankChange
from worker.audit.entries import Act, audit_entry
from worker.bank.keys import HISTORY
from worker.events.cloudevent import rfc3339
from worker.people.actor import Actor
from worker.store.redis_client import ONCE_SECONDS, is_recent, now_ms, store_errors

KEPT_ACTS: Final = 100_000
"""About 30 MB of Redis's memory; the oldest are dropped, so read out earlier what must be kept for longer
(`livewarden bank history --json`)."""

MOST_NAMED: Final = 20
"""Entries that an act names; of more it has the number."""

UNREADABLE: Final = "unreadable"
"""`did` of an act whose record is damaged."""

_READ_AT_ONCE: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class ChangeAuthor:
    """The author of changes: a person, or a name that a command was given, in a role or none."""

    by: str
    role: str = ""
    verified: bool = False
    """The person proved to be in the roster."""
    proof: str = ""
    """Compared with the roster in the step that makes the change."""
    person: bool = False
    """True: where there is a roster, only this person of it may make the change. False: a program of the
    operator's, such as a nightly import, whose entries in the audit log are unverified."""

    @classmethod
    def of(cls, by: str | Actor, role: str = "") -> "ChangeAuthor":
        """The author; an actor brings its own role."""
        if isinstance(by, Actor):
            return cls(by=by.name, role=by.role, verified=by.verified, proof=by.proof, person=True)
        return cls(by=by, role=role)


@dataclass(frozen=True, kw_only=True)
class BankAct:
    """An act of one person on one list."""

    did: str
    """An operation of `BankChange`, or `import`, `propose`, `quarantine`, `lift`."""
    list: str
    by: str
    role: str = ""
    """Empty: none was given."""
    verified: bool = False
    """The person proved to be in the roster."""
    entries: tuple[str, ...] = ()
    """Ids of the first MOST_NAMED."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """Counts, reasons and times."""
    at_ms: int = 0
    """By Redis's clock; set when it is read."""

    def to_json(self) -> str:
        """The record in Redis, without the time: the stream has it."""
        record = {"did": self.did, "list": self.list, "by": self.by, "role": self.role, "entries": self.entries}
        return json.dumps(record | {"more": dict(self.more)})

    def to_audit_entry(self) -> str:
        """The act's entry in the audit log."""
        details: dict[str, str | int | list[str]] = {"did": self.did, "role": self.role, "entries": list(self.entries)}
        for name, value in self.more.items():
            details[name] = value if isinstance(value, str | int) else json.dumps(value)
        return audit_entry(Act.LIST, by=self.by, verified=self.verified, subject=self.list, **details)

    def to_record(self) -> dict[str, Any]:
        """The record that `livewarden bank history --json` prints."""
        return {"at_ms": self.at_ms, **json.loads(self.to_json())}

    def in_words(self) -> str:
        """The act as a sentence: "kim (lead) added 1 entry to police: case-7"."""
        if self.did == UNREADABLE:
            return "an act whose record cannot be read"
        return f"{self.by} ({self.role}) {self._deed()}" if self.role else f"{self.by} {self._deed()}"

    def _deed(self) -> str:
        count = _number(self.more.get("count")) or len(self.entries)
        left_out = count - len(self.entries)
        named = " ".join(self.entries) + (f" and {left_out:,} more" if left_out else "")
        match self.did:
            case "put_list":
                return f"set list {self.list}: {_spec_in_words(self.more.get('spec'))}"
            case "drop_list":
                return f"withdrew list {self.list}"
            case "add":
                tags = self.more.get("tags")
                tagged = f" (tags: {', '.join(map(str, tags))})" if isinstance(tags, list | tuple) else ""
                return f"added {counted(count, 'entry')} to {self.list}: {named}{tagged}"
            case "remove":
                return f"removed {counted(count, 'entry')} from {self.list}: {named}"
            case "import":
                added, withdrawn = _number(self.more.get("added")), _number(self.more.get("withdrawn"))
                return f"imported a file into {self.list}: {added:,} added, {withdrawn:,} withdrawn"
            case "propose":
                return f"put {named} forward for {self.list}"
            case "quarantine":
                until = f"until {_moment(self.more.get('until_ms'))}"
                reason = f": {self.more['reason']}" if self.more.get("reason") else ""
                return f"put {self.list} {named} into quarantine {until}{reason}"
            case "lift":
                return f"lifted the quarantine of {self.list} {named}"
            case _:  # of a later version
                return f"did {self.did} to {self.list} {named}".rstrip()


def _moment(at_ms: object) -> str:
    try:
        return rfc3339(_number(at_ms))
    except (OverflowError, ValueError):
        return "a time that cannot be read"


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0


def _spec_in_words(spec: object) -> str:
    """The fields of a list that are set: "source NCMEC, distance at most 31, quality at least 50"."""
    if not isinstance(spec, Mapping):
        return "fields unknown"
    hours = spec["refresh_seconds"] / 3600 if isinstance(spec.get("refresh_seconds"), int | float) else None
    variants = spec.get("variants")
    shown = {
        "source": spec.get("source") or "own",
        "category": spec.get("category"),
        "distance at most": spec.get("max_distance"),
        "quality at least": spec.get("min_quality"),
        "variants": " ".join(map(str, variants)) if isinstance(variants, list | tuple) else None,
        "owner": spec.get("owner"),
        "refreshed every": None if hours is None else counted(hours, "hour"),
    }
    words = [f"{name} {value}" for name, value in shown.items() if value not in (None, "")]
    return ", ".join([*words, *(["exportable"] if spec.get("exportable") else [])])


def texts_of(acts: Sequence[BankAct]) -> str:
    """The acts as scripts take them: a JSON array of pairs, for the history and for the audit log."""
    return json.dumps([[act.to_json(), act.to_audit_entry()] for act in acts])


def acts_of(changes: Sequence[BankChange], *, author: ChangeAuthor, refreshed: str = "") -> list[BankAct]:
    """Sums changes that are made together up, list by list; `refreshed`: they come from a file for that list."""
    together: dict[tuple[str, str], list[BankChange]] = defaultdict(list)
    for change in changes:
        together[change.list, change.op].append(change)
    if refreshed:
        counts = {op: len(together[refreshed, op]) for op in ("add", "remove")}
        more = {"added": counts["add"], "withdrawn": counts["remove"]}
        return [
            BankAct(did="import", list=refreshed, by=author.by, role=author.role, verified=author.verified, more=more)
        ]
    return [_act(name, op, of, author) for (name, op), of in together.items()]


def _act(name: str, op: str, changes: Sequence[BankChange], author: ChangeAuthor) -> BankAct:
    more: dict[str, Any] = {}
    if changes[-1].spec is not None:
        more["spec"] = changes[-1].spec.model_dump(mode="json", exclude={"name"})
    ids = [change.entry.entry if change.entry is not None else change.entry_id for change in changes]
    named = tuple(entry_id for entry_id in ids if entry_id is not None)
    if len(named) > MOST_NAMED:
        more["count"] = len(named)
    if len(changes) == 1 and changes[0].entry is not None and changes[0].entry.tags:
        more["tags"] = list(changes[0].entry.tags)
    return BankAct(
        did=op,
        list=name,
        by=author.by,
        role=author.role,
        verified=author.verified,
        entries=named[:MOST_NAMED],
        more=more,
    )


def _read_act(text: object, *, at_ms: int) -> BankAct:
    """Fields of a later version are skipped."""
    try:
        record = json.loads(str(text))
        return BankAct(
            did=str(record["did"]),
            list=str(record["list"]),
            by=str(record.get("by", "")),
            role=str(record.get("role", "")),
            entries=tuple(map(str, record.get("entries", ()))),
            more=dict(record.get("more", {})),
            at_ms=at_ms,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return BankAct(did=UNREADABLE, list="", by="", at_ms=at_ms)


def read_history(redis: Redis, *, list_name: str | None = None) -> Iterator[BankAct]:
    """Reads the acts on one list or on all, the newest first.

    Raises:
        StoreError: Redis failed.
    """
    last = "+"
    while True:
        with store_errors():
            elements: list[Any] = redis.xrevrange(HISTORY, max=last, count=_READ_AT_ONCE) or []
        for act_id, fields in elements:
            act = _read_act((fields or {}).get("act"), at_ms=int(str(act_id).partition("-")[0]))
            if list_name is None or act.list == list_name:
                yield act
        if len(elements) < _READ_AT_ONCE:
            return
        last = f"({elements[-1][0]}"


def just_did(redis: Redis, did: str, list_name: str, author: ChangeAuthor) -> bool:
    """Returns whether the newest act on a list is this one by this author, so lately that Redis's answer to it may have
    been lost.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now = now_ms(redis)
    lately = takewhile(lambda act: is_recent(act.at_ms, now, ONCE_SECONDS * 1000), read_history(redis))
    newest = next((act for act in lately if act.list == list_name), None)
    return newest is not None and (newest.did, newest.by, newest.role) == (did, author.by, author.role)
