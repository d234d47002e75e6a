"""A snapshot of the bank: a folder of arrays that all processes of a host share through memory maps."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.flat import Words


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """An open snapshot."""

    specs: Mapping[str, ListSpec]
    versions: Mapping[str, str]
    sizes: Mapping[str, int]
    watermark: str

    def near(self, wanted: Words, limits: Mapping[str, int]) -> Iterator[tuple[str, Iterable[tuple[Entry, int]]]]:
        """For each list that has any: (list, its (entry, distance) within its limit, nearest first)."""
        raise NotImplementedError

    def find(self, kind: HashKind, value: bytes) -> Iterable[tuple[str, Entry]]:
        """(list, entry) of the entries that have exactly this hash."""
        raise NotImplementedError

    def exact(self, name: str, entry_id: str) -> tuple[Entry, ...]:
        """What a list has under an id."""
        raise NotImplementedError

    def entries(self, name: str) -> Iterator[Entry]:
        """All of a list."""
        raise NotImplementedError
