"""The deployed bank with lists of files beside it: two banks that are asked as one.

They stay apart inside, so that a change of the bank, which comes every few seconds, costs nothing of the files' size.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType

from models.bank.bank import EMPTY, Bank, Match
from models.bank.entries import BUILT_IN, Entry, HashKind, ListSpec
from models.pdq.pdq import PdqHash
from models.pdq.variant_kinds import Variant

_NO_VARIANTS: Mapping[Variant, Sequence[PdqHash]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True, eq=False)
class BankWithFiles(Bank):
    """A bank, and another one over it whose built-in lists do not count. A list that both have is the two together."""

    deployed: Bank
    """The one below: its snapshot and delta are this one's."""
    files: Bank

    @classmethod
    def of(cls, deployed: Bank, files: Bank) -> "BankWithFiles":
        """Both."""
        return cls(snapshot=deployed.snapshot, delta=deployed.delta, deployed=deployed, files=files)

    @cached_property
    def specs(self) -> Mapping[str, ListSpec]:
        """List name -> list; of one that both have, as the bank has it."""
        return MappingProxyType({**self.deployed.specs, **self.files.specs, **self.deployed.specs})

    @cached_property
    def versions(self) -> Mapping[str, str]:
        """List name -> version of its content."""
        versions = dict(self.deployed.versions)
        for name, version in self.files.versions.items():
            if name not in BUILT_IN:
                own = versions.get(name, EMPTY)
                versions[name] = version if own == EMPTY else f"{own}+{version}"
        return MappingProxyType(versions)

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """List name -> number of its entries."""
        sizes = dict(self.deployed.sizes)
        for name, size in self.files.sizes.items():
            if name not in BUILT_IN:
                sizes[name] = sizes.get(name, 0) + size
        return MappingProxyType(sizes)

    def match(self, pdq: PdqHash, *, variants: Mapping[Variant, Sequence[PdqHash]] = _NO_VARIANTS) -> tuple[Match, ...]:
        """As `Bank.match`, in both."""
        return self._together(self.deployed.match(pdq, variants=variants), self.files.match(pdq, variants=variants))

    def find(self, kind: HashKind, value: bytes) -> tuple[Match, ...]:
        """As `Bank.find`, in both."""
        return self._together(self.deployed.find(kind, value), self.files.find(kind, value))

    def exact(self, name: str, entry_id: str) -> tuple[Entry, ...]:
        """As `Bank.exact`, in both."""
        return self.deployed.exact(name, entry_id) + (() if name in BUILT_IN else self.files.exact(name, entry_id))

    def entries(self, name: str) -> Iterator[Entry]:
        """As `Bank.entries`, of both."""
        yield from self.deployed.entries(name)
        if name not in BUILT_IN:
            yield from self.files.entries(name)

    def _together(self, own: tuple[Match, ...], of_files: Iterable[Match]) -> tuple[Match, ...]:
        best: dict[tuple[str, str], Match] = {}
        for match in (*own, *(match for match in of_files if match.list not in BUILT_IN)):
            known = best.get((match.list, match.entry))
            if known is None or match.distance < known.distance:
                best[match.list, match.entry] = match
        return self._nearest(best.values())


def layers(bank: Bank) -> tuple[Bank, ...]:
    """The banks that this one is made of."""
    return (bank, bank.files) if isinstance(bank, BankWithFiles) else (bank,)
