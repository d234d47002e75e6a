"""Hashes as people write them, and what the bank has of them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from config.counts import counted
from models.bank.bank import Bank, Match
from models.bank.entries import HashKind
from models.pdq.pdq import PdqHash
from worker.errors import BankRequestError

_KINDS_BY_DIGITS = {32: (HashKind.MD5,), 40: (HashKind.SHA1,), 64: (HashKind.PDQ, HashKind.SHA256)}
"""A PDQ hash and a SHA-256 look alike: what has 64 digits is looked up as both."""


@dataclass(frozen=True, kw_only=True)
class HashLookup:
    """What the bank has of one hash."""

    text: str
    matches: tuple[Match, ...]

    def to_record(self) -> dict[str, Any]:
        """As `livewarden bank match --json` prints it."""
        found = [{"list": match.list, "entry": match.entry, "distance": match.distance} for match in self.matches]
        return {"hash": self.text, "matches": found}


def parse_hash(text: str, place: str, kind: HashKind | None = None) -> tuple[HashKind, bytes]:
    """Reads hex digits; 64 of them are a PDQ hash unless `kind` says SHA-256.

    Raises:
        BankRequestError: it is no such hash. The text names `place` and quotes nothing.
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
    """What the bank has of one hash, nearest first within each list.

    Raises:
        BankRequestError: it is no hash.
    """
    _, value = parse_hash(text, place)
    matches: tuple[Match, ...] = ()
    for kind in _KINDS_BY_DIGITS[len(text)]:
        matches += bank.match(PdqHash(bits=value, quality=100)) if kind is HashKind.PDQ else bank.find(kind, value)
    return HashLookup(text=text, matches=matches)


def placed_lines(lines: Iterable[str]) -> Iterator[tuple[str, str]]:
    """(hash, place) of each line that is not empty."""
    for number, line in enumerate(lines, start=1):
        if text := line.strip():
            yield text, f"line {number}"
