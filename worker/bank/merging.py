"""A file's entries and a list's, made one list: as streams, for both may be of any length."""

from array import array
from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
import numpy.typing as npt

from models.bank.entries import Entry
from models.formats import Removal

BATCH_ENTRIES = 8192

Flags = npt.NDArray[np.bool_]


class Merge:
    """Call `incoming` to its end, then `kept` to its end; then the counts hold.

    What is in both is told by 128 bits of hash an entry, 16 bytes of memory each: a chance meeting of two entries does
    not happen in the life of the project.
    """

    def __init__(self, records: Iterable[Entry | Removal], *, replace: bool) -> None:
        """`replace`: the file is all of the list; else what the list has stays, except for what the file withdraws."""
        self._records = records
        self._replace = replace
        self._withdrawn: set[str] = set()
        self._first, self._second = array("q"), array("q")
        self._sorted: npt.NDArray[np.int64] | None = None
        self._seconds: npt.NDArray[np.int64] = np.empty(0, np.int64)
        self._known: Flags = np.empty(0, np.bool_)
        self.removed = 0
        """Entries that the list had and has no longer."""

    @property
    def new(self) -> int:
        """Entries of the file that the list did not have."""
        return int((~self._known).sum())

    def incoming(self) -> Iterator[Entry]:
        """The file's entries."""
        for record in self._records:
            if isinstance(record, Removal):
                self._withdrawn.add(record.entry)
                continue
            first, second = _fingerprint(record)
            self._first.append(first)
            self._second.append(second)
            yield record
        order = np.argsort(np.frombuffer(self._first, np.int64), kind="stable")
        self._sorted = np.frombuffer(self._first, np.int64)[order]
        self._first = array("q")
        self._seconds = np.frombuffer(self._second, np.int64)[order]
        self._second = array("q")
        self._known = np.zeros(len(order), np.bool_)

    def kept(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Of the list's entries those that stay and are not in the file."""
        for batch, there in self._looked_up(entries, mark=True):
            for entry, again in zip(batch, there.tolist(), strict=True):
                if again:
                    continue
                if self._replace or entry.entry in self._withdrawn:
                    self.removed += 1
                else:
                    yield entry

    def only_new(self, entries: Iterable[Entry]) -> Iterator[Entry]:
        """Of the file's entries, read again, those that the list did not have."""
        for batch, known in self._looked_up(entries, mark=False):
            yield from (entry for entry, was in zip(batch, known.tolist(), strict=True) if not was)

    def _looked_up(self, entries: Iterable[Entry], *, mark: bool) -> Iterator[tuple[list[Entry], Flags]]:
        """Batches, and for each entry whether the file has it; without `mark`, whether the list had it as well."""
        assert self._sorted is not None
        source = iter(entries)
        while batch := list(islice(source, BATCH_ENTRIES)):
            if not len(self._sorted):
                yield batch, np.zeros(len(batch), np.bool_)
                continue
            wanted = np.array([_fingerprint(entry) for entry in batch], np.int64)
            places = np.minimum(np.searchsorted(self._sorted, wanted[:, 0]), len(self._sorted) - 1)
            same = (self._sorted[places] == wanted[:, 0]) & (self._seconds[places] == wanted[:, 1])
            if mark:
                self._known[places[same]] = True
                yield batch, same
            else:
                yield batch, ~same | self._known[places]


def _fingerprint(entry: Entry) -> tuple[int, int]:
    """Two hashes of 64 bits, keyed anew in each process, over all that tells entries apart."""
    kind = entry.kind._value_  # a plain text: an enum's own hash is slow
    return hash((entry.entry, kind, entry.value)), hash((entry.value, entry.entry, kind))
