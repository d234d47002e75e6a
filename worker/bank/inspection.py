"""The bank as people look into it: `livewarden bank list`, `stats`, `verify` and `match`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Any, BinaryIO

from redis import Redis

from config.counts import counted
from config.facts import SELFTEST
from models.bank.bank import Bank, Match
from models.bank.entries import Entry, HashKind
from models.bank.snapshot import verify_snapshot
from models.errors import SnapshotError
from models.formats.source import LONGEST_LINE_BYTES
from models.pdq.pdq import PdqHash
from worker.bank.changelog import position
from worker.bank.follower import read_report
from worker.bank.keys import FOLLOWERS
from worker.bank.shared_bank import SharedBank, follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError
from worker.store.redis_client import now_ms, store_errors

FOLLOWING_MS = 90_000
"""A process that has reported nothing for longer (>) has ended."""

TRIED_A_LIST = 500
"""Entries of each list that are looked up, spread over it: a broken index shows in far fewer."""

_KINDS_BY_DIGITS = {32: (HashKind.MD5,), 40: (HashKind.SHA1,), 64: (HashKind.PDQ, HashKind.SHA256)}
"""A PDQ hash and a SHA-256 look alike: 64 digits are looked up as both."""


def list_records(bank: Bank, shared: SharedBank) -> list[dict[str, Any]]:
    """Returns a record for each list; lists of files are among them if `bank` has them."""
    return [
        {
            "list": name,
            "source": spec.source,
            "category": spec.category,
            "entries": bank.sizes[name],
            "version": bank.versions[name],
            "max_distance": spec.max_distance,
            "min_quality": spec.min_quality,
            "variants": [str(variant) for variant in spec.variants],
            "owner": spec.owner,
            "exportable": spec.exportable,
            "refresh_seconds": spec.refresh_seconds,
            "refreshed_ms": shared.refreshed_ms.get(name) or None,
            "created_ms": spec.created_ms,
            "stale": name in shared.stale,
        }
        for name, spec in bank.specs.items()
    ]


def stats(redis: Redis, bank: Bank, shared: SharedBank, *, look_backs: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the bank in figures and the state of the processes that follow it, with `look_backs` beside.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now = now_ms(redis)
        reports = {str(name): read_report(text) for name, text in redis.hgetall(FOLLOWERS).items()}
    unreadable = [name for name, one in reports.items() if one is None]
    followers = {name: one for name, one in reports.items() if one is not None and now - one.at_ms <= FOLLOWING_MS}
    late = [name for name, one in followers.items() if position(one.position) < position(shared.position)]
    return {
        "entries": sum(bank.sizes.values()),
        "lists": {name: {"entries": bank.sizes[name], "version": bank.versions[name]} for name in bank.specs},
        "snapshot": shared.pointer.name or None,
        "in_store": bool(shared.pointer.digest),
        "changes": shared.changes,
        "position": shared.position,
        "processes": len(followers),
        "processes_behind": sorted(late),
        "processes_unreadable": sorted(unreadable),
        **look_backs,
        "degraded": list(shared.degraded),
    }


@dataclass(frozen=True, kw_only=True)
class BankCheck:
    """The result of one check."""

    name: str
    ok: bool
    found: str


def verify(redis: Redis, storage: SnapshotStorage) -> Iterator[BankCheck]:
    """Reads every byte of the snapshot and every change, and looks entries of each list up.

    Raises:
        StoreError: Redis is away.
        BankRequestError: no snapshot is usable.
    """
    shared = follow(redis, storage)
    yield BankCheck(name="in force", ok=not shared.behind, found=shared.behind or f"up to change {shared.position}")
    folder = storage.find(redis)
    if shared.bank.snapshot is not None and folder is not None:
        yield _bytes(folder / shared.pointer.name)
    for name in shared.bank.specs:
        yield _recall(shared.bank, name)


def _bytes(path: Path) -> BankCheck:
    try:
        verify_snapshot(path)
    except SnapshotError as error:
        return BankCheck(name="snapshot", ok=False, found=str(error))
    return BankCheck(name="snapshot", ok=True, found=f"{path.name}: every byte as it was written")


def _recall(bank: Bank, name: str) -> BankCheck:
    """Looks listed hashes up: each must match itself."""
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
    """Entries from all over a list, of the snapshot and of the changes since, without reading all of it."""
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


@dataclass(frozen=True, kw_only=True)
class HashLookup:
    """The matches of one hash."""

    text: str
    matches: tuple[Match, ...]

    def to_record(self) -> dict[str, Any]:
        """The record that `livewarden bank match --json` prints."""
        found = [{"list": match.list, "entry": match.entry, "distance": match.distance} for match in self.matches]
        return {"hash": self.text, "matches": found}


def parse_hash(text: str, place: str, kind: HashKind | None = None) -> tuple[HashKind, bytes]:
    """Reads hex digits; 64 of them are a PDQ hash unless `kind` says SHA-256.

    Raises:
        BankRequestError: the text is not such a hash. The message names `place` and quotes nothing.
    """
    kinds = _KINDS_BY_DIGITS.get(len(text), ())
    chosen = next((one for one in kinds if kind is None or one is kind), None)
    if chosen is None:
        expected = "32 (MD5), 40 (SHA-1) or 64 (PDQ, SHA-256)" if kind is None else str(2 * kind.size_bytes)
        raise BankRequestError(f"{place}: expected {expected} hex digits, found {counted(len(text), 'character')}")
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise BankRequestError(f"{place}: expected hex digits, found another character") from None
    if 2 * len(value) != len(text):
        raise BankRequestError(f"{place}: expected hex digits, found white space among them")
    return chosen, value


def look_up(bank: Bank, text: str, place: str) -> HashLookup:
    """Looks one hash up; the matches are nearest first within each list.

    Raises:
        BankRequestError: the text is not a hash.
    """
    _, value = parse_hash(text, place)
    matches: tuple[Match, ...] = ()
    for kind in _KINDS_BY_DIGITS[len(text)]:
        matches += bank.match(PdqHash(bits=value, quality=100)) if kind is HashKind.PDQ else bank.find(kind, value)
    return HashLookup(text=text, matches=matches)


def placed_lines(file: BinaryIO) -> Iterator[tuple[str, str]]:
    """Yields (hash, place) of each line that is not empty, as it comes; what is not UTF-8 is no hash either.

    Raises:
        BankRequestError: a line has no end within reason.
    """
    for number in count(1):
        line = file.readline(LONGEST_LINE_BYTES)
        if not line:
            return
        if len(line) == LONGEST_LINE_BYTES and not line.endswith(b"\n"):
            raise BankRequestError(f"line {number}: expected a hash and the end of the line, found {len(line):,} bytes")
        if text := line.decode(errors="replace").strip():
            yield text, f"line {number}"
