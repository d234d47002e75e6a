"""Report of an import: what it took and left, and where a file contradicts itself."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from models.bank.entries import Entry
from models.bank.external_sort import SortedRuns
from models.formats.records import Record, Removal, Skip, SkipReason

Hashes = npt.NDArray[np.uint64]

_BATCH: Final = 1 << 14
"""Entries of which the hashes are put away together."""


@dataclass(frozen=True, kw_only=True)
class ImportReport:
    """Everything that a file held, counted."""

    accepted: dict[str, int]
    """Entries by kind of hash, duplicates among them."""
    skipped: dict[str, int]
    """Pieces that did not become entries, by reason (`SkipReason`)."""
    first_skipped: dict[str, str]
    """Place of the first of each reason."""
    removed: int
    """Tombstones."""
    duplicates: int
    """Entries whose hash an earlier one had, under whatever id."""
    contradictions: int
    """Ids that stand for different hashes of one kind: all of them are in the list."""

    @property
    def total_accepted(self) -> int:
        """Entries of all kinds."""
        return sum(self.accepted.values())

    def to_record(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "accepted": self.total_accepted,
            "kinds": self.accepted,
            "skipped": self.skipped,
            "first_skipped": self.first_skipped,
            "removed": self.removed,
            "duplicates": self.duplicates,
            "contradictions": self.contradictions,
        }


class ImportCount:
    """Counts records on their way into a list. A context manager.

    Duplicates and contradictions are found by 64-bit hashes of the records, which wait on disk: among 10^7 entries two
    are taken for the same once in 400,000 imports.
    """

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: where the disk has room for 24 bytes an entry; None: that of the system for files that soon go."""
        self._accepted: Counter[str] = Counter()
        self._skipped: Counter[SkipReason] = Counter()
        self._first_skipped: dict[str, str] = {}
        self._removed = 0
        self._values = array("q")
        self._names = array("q")
        self._by_value = SortedRuns(1, folder)
        self._by_name = SortedRuns(2, folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._by_value.close()
        self._by_name.close()

    def count(self, records: Iterable[Record]) -> Iterator[Entry | Removal]:
        """Passes on what a list takes in, and keeps the skips for the report.

        Raises:
            SnapshotError: the disk is full.
        """
        for record in records:
            if isinstance(record, Entry):
                kind = record.kind._value_  # a plain text: an enum's own hash takes longer than all else here
                self._accepted[kind] += 1
                self._values.append(hash((kind, record.value)))
                self._names.append(hash((kind, record.entry)))
                if len(self._values) == _BATCH:
                    self._keep()
                yield record
            elif isinstance(record, Removal):
                self._removed += 1
                yield record
            else:
                self._skip(record)

    def _keep(self) -> None:
        values, names = np.array(self._values, np.int64), np.array(self._names, np.int64)
        del self._values[:], self._names[:]
        self._by_value.append(values)
        self._by_name.append(names, values)

    def _skip(self, skip: Skip) -> None:
        self._skipped[skip.reason] += 1
        self._first_skipped.setdefault(skip.reason.value, skip.place)

    def report(self) -> ImportReport:
        """The counts so far.

        Raises:
            SnapshotError: the disk is full.
        """
        self._keep()
        return ImportReport(
            accepted=dict(self._accepted),
            skipped={str(reason): count for reason, count in self._skipped.items()},
            first_skipped=dict(self._first_skipped),
            removed=self._removed,
            duplicates=sum(_duplicates(values) for (values,) in self._by_value.ranges()),
            contradictions=sum(_contradictions(names, values) for names, values in self._by_name.ranges()),
        )


def _duplicates(values: Hashes) -> int:
    """Count of sorted values that have an equal one before them."""
    return int((values[1:] == values[:-1]).sum())


def _contradictions(names: Hashes, values: Hashes) -> int:
    """Count of sorted names that have more than one value: then two neighbours of one name differ, in whatever
    order they come."""
    contradicted = names[1:][(names[1:] == names[:-1]) & (values[1:] != values[:-1])]
    return int((contradicted[1:] != contradicted[:-1]).sum()) + bool(len(contradicted))
