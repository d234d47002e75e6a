"""Content of a list: entries of a snapshot, and those added since."""

from collections.abc import Iterator
from dataclasses import dataclass

from models.bank.entries import Entry, HashKind
from models.bank.reading import Snapshot
from models.bank.table import TableRun


@dataclass(frozen=True, kw_only=True, eq=False)
class Content:
    """Entries of a list. Iterating gives each; writing a snapshot copies those that lie in one, which is far faster."""

    name: str
    stored: Snapshot | None = None
    left_out: frozenset[tuple[HashKind, int]] = frozenset()
    """(kind, row) of the snapshot's that are in it no longer."""
    added: tuple[Entry, ...] = ()

    def __iter__(self) -> Iterator[Entry]:
        for run in self.runs():
            yield from run.table.entries(run.start, run.end)
        yield from self.added

    def runs(self) -> Iterator[TableRun]:
        """Entries in the snapshot."""
        if self.stored is not None:
            yield from self.stored.runs(self.name, self.left_out)
