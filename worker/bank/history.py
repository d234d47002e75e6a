"""Who changed what of the bank, when and as what: kept when the changes themselves have long gone into a snapshot.

An act is written in the step that does it, so that none goes unrecorded. It names entries by their ids, never by hash.
"""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis

from models.bank.delta import BankChange
from worker.bank.keys import HISTORY
from worker.store.redis_client import store_errors

KEPT_ACTS: Final = 100_000
"""About 30 MB of Redis's memory; the oldest go, and what must stay for longer is to be read out before
(`livewarden bank history --json`)."""

MOST_NAMED: Final = 20
"""Entries that an act names; of more it has the number."""

_READ_AT_ONCE: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class Act:
    """What one person did to one list."""

    did: str
    """What: `put_list`, `drop_list`, `add`, `remove` as the changes are called; `import`, `propose`, `quarantine`,
    `lift`."""
    list: str
    by: str
    role: str = ""
    """Empty: nobody said."""
    entries: tuple[str, ...] = ()
    """Ids of the first MOST_NAMED."""
    more: Mapping[str, Any] = field(default_factory=dict)
    """What else there is to say: counts, reasons, times."""
    at_ms: int = 0
    """By Redis's clock; given when it is read."""

    def to_json(self) -> str:
        """As it is kept, without its time: the stream tells that."""
        record = {"did": self.did, "list": self.list, "by": self.by, "role": self.role, "entries": self.entries}
        return json.dumps(record | {"more": dict(self.more)})

    def to_record(self) -> dict[str, Any]:
        """As `livewarden bank history --json` prints it."""
        return {"at_ms": self.at_ms, **json.loads(self.to_json())}


def acts_of(changes: Sequence[BankChange], *, by: str, role: str, refreshed: str = "") -> list[Act]:
    """What changes that are made together amount to, list by list; `refreshed`: they come from a file for that list."""
    together: dict[tuple[str, str], list[BankChange]] = defaultdict(list)
    for change in changes:
        together[change.list, change.op].append(change)
    if refreshed:
        counts = {op: len(together[refreshed, op]) for op in ("add", "remove")}
        return [
            Act(
                did="import",
                list=refreshed,
                by=by,
                role=role,
                more={"added": counts["add"], "withdrawn": counts["remove"]},
            )
        ]
    return [_act(name, op, of, by=by, role=role) for (name, op), of in together.items()]


def _act(name: str, op: str, changes: Sequence[BankChange], *, by: str, role: str) -> Act:
    more: dict[str, Any] = {}
    if changes[-1].spec is not None:
        more["spec"] = changes[-1].spec.model_dump(mode="json", exclude={"name"})
    ids = [change.entry.entry if change.entry is not None else change.entry_id for change in changes]
    named = tuple(entry_id for entry_id in ids if entry_id is not None)
    if len(named) > MOST_NAMED:
        more["count"] = len(named)
    if len(changes) == 1 and changes[0].entry is not None and changes[0].entry.tags:
        more["tags"] = list(changes[0].entry.tags)
    return Act(did=op, list=name, by=by, role=role, entries=named[:MOST_NAMED], more=more)


UNREADABLE: Final = "unreadable"
"""What was `did` of an act whose record is damaged."""


def _read_act(text: object, *, at_ms: int) -> Act:
    """Fields of a later version are passed over."""
    try:
        record = json.loads(str(text))
        return Act(
            did=str(record["did"]),
            list=str(record["list"]),
            by=str(record.get("by", "")),
            role=str(record.get("role", "")),
            entries=tuple(map(str, record.get("entries", ()))),
            more=dict(record.get("more", {})),
            at_ms=at_ms,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Act(did=UNREADABLE, list="", by="", at_ms=at_ms)


def read_history(redis: Redis, *, list_name: str | None = None) -> Iterator[Act]:
    """What was done, the newest first; of one list or of all.

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
