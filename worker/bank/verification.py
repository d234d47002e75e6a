"""Whether the bank is whole, and finds what it holds."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from redis import Redis

from config.counts import counted
from config.facts import SELFTEST
from models.bank.bank import Bank
from models.bank.entries import Entry, HashKind
from models.bank.snapshot import verify_snapshot
from models.errors import SnapshotError
from models.pdq.pdq import PdqHash
from worker.bank.deployed import follow
from worker.bank.place import SnapshotPlace

TRIED_A_LIST = 500
"""Entries of each list that are looked for, spread over it: a broken index shows in far fewer."""


@dataclass(frozen=True, kw_only=True)
class BankCheck:
    """One thing that was looked at."""

    name: str
    ok: bool
    found: str


def verify(redis: Redis, place: SnapshotPlace) -> Iterator[BankCheck]:
    """Reads every byte of the snapshot, every change, and looks for entries of each list.

    Raises:
        StoreError: Redis is away.
        BankRequestError: there is nothing usable.
    """
    deployed = follow(redis, place)
    yield BankCheck(
        name="in force", ok=not deployed.behind, found=deployed.behind or f"up to change {deployed.position}"
    )
    folder = place.find(redis)
    if deployed.bank.snapshot is not None and folder is not None:
        yield _bytes(folder / deployed.pointer.name)
    for name in deployed.bank.specs:
        yield _recall(deployed.bank, name)


def _bytes(path: Path) -> BankCheck:
    try:
        verify_snapshot(path)
    except SnapshotError as error:
        return BankCheck(name="snapshot", ok=False, found=str(error))
    return BankCheck(name="snapshot", ok=True, found=f"{path.name}: every byte as it was written")


def _recall(bank: Bank, name: str) -> BankCheck:
    """Every listed hash must be found by itself."""
    tried = missed = 0
    for entry in _spread(bank, name):
        tried += 1
        missed += not _finds(bank, name, entry)
    return BankCheck(
        name=f"list {name}",
        ok=not missed,
        found=f"{tried - missed} of {counted(tried, 'entry')} tried {'was' if tried == 1 else 'were'} found",
    )


def _spread(bank: Bank, name: str) -> Iterator[Entry]:
    """Entries from all over a list, without reading all of it: of the snapshot, and of what was added since."""
    if bank.snapshot is None or name == SELFTEST or name in bank.delta.dropped:
        yield from islice(bank.entries(name), TRIED_A_LIST)
        return
    for kind, (start, end) in bank.snapshot.ranges.get(name, {}).items():
        for row in range(start, end, max(1, (end - start) // TRIED_A_LIST)):
            entry = bank.snapshot.tables[kind].entry(row)
            if entry in bank.exact(name, entry.entry):
                yield entry
    yield from islice((entry for of, entry in bank.delta.entries if of == name), TRIED_A_LIST)


def _finds(bank: Bank, name: str, entry: Entry) -> bool:
    if entry.kind is HashKind.PDQ:
        matches = bank.match(PdqHash(bits=entry.value, quality=100))
        return any(match.list == name and match.distance == 0 for match in matches)
    return any(match.list == name for match in bank.find(entry.kind, entry.value))
