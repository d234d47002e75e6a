"""The merge of a file's entries into a list's: as streams, since both may be of any length."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Final, Self

import numpy as np
import numpy.typing as npt

from models.bank.entries import Entry, HashKind
from models.bank.external_sort import Columns, SortedRuns
from models.formats import Removal

BATCH_ENTRIES: Final = 8192

Flags = npt.NDArray[np.bool_]


class Merge:
    """Exhaust `incoming`, then `kept`; then the counts are valid. A context manager.

    Entries in both are found by 128 bits of hash an entry, which are kept on disk with its index and compared range by
    range: a collision of two entries does not happen in the life of the project. Memory: a byte an entry.
    """

    def __init__(self, records: Iterable[Entry | Removal], *, replace: bool, folder: Path | None = None) -> None:
        """`replace`: the file is the complete list; else the list's entries stay, except those that the file withdraws.

        `folder`: on a disk with room for 24 bytes an entry of both.
        """
        self._records = records
        self._replace = replace
        self._theirs = SortedRuns(3, folder)
        self._own = SortedRuns(3, folder)
        self._withdrawn = SortedRuns(1, folder)
        self._own_ids = SortedRuns(2, folder)
        self._known: Flags = np.empty(0, np.bool_)
        self._pdq: list[Flags] = []
        self.removed = 0
        """Number of entries that the list had and does not have any more."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for runs in (self._theirs, self._own, self._withdrawn, self._own_ids):
            runs.close()

    @property
    def new(self) -> int:
        """Number of entries of the file that the list did not have."""
        return int((~self._known).sum())

    def incoming(self, *, alone: bool = False) -> Iterator[Entry]:
        """Yields the file's entries; `alone`: the list is known to be empty.

        Raises:
            SnapshotError: the disk is full.
        """
        source, count = iter(self._records), 0
        while batch := list(islice(source, BATCH_ENTRIES)):
            entries = [record for record in batch if isinstance(record, Entry)]
            gone = [hash(record.entry) for record in batch if isinstance(record, Removal)]
            if entries:
                count += len(entries)
                if not alone:
                    _keep(self._theirs, entries)
                self._pdq.append(np.array([entry.kind is HashKind.PDQ for entry in entries]))
            if gone:
                self._withdrawn.append(np.array(gone, np.int64))
            yield from entries
        self._known = np.zeros(count, np.bool_)

    def kept(self, entries: Callable[[], Iterable[Entry]]) -> Iterator[Entry]:
        """Yields the list's entries that stay and are not in the file. `entries` is called twice, for the same ones.

        Raises:
            SnapshotError: the disk is full.
        """
        for batch in _batches(entries()):
            count = self._own.count
            _keep(self._own, batch)
            if self._withdrawn.count:
                ids = np.array([hash(entry.entry) for entry in batch], np.int64)
                self._own_ids.append(ids, np.arange(count, count + len(batch)))
        again, gone = np.zeros(self._own.count, np.bool_), np.zeros(self._own.count, np.bool_)
        for theirs, own in _together(self._theirs, self._own):
            _mark_same(theirs, own, self._known, again)
        for (ids,), (own_ids, indices) in _together(self._withdrawn, self._own_ids):
            gone[indices[np.isin(own_ids, ids)].astype(np.intp)] = True
        if again.all():
            return
        begin = 0
        for batch in _batches(entries()):
            flags = slice(begin, begin + len(batch))
            begin += len(batch)
            for entry, in_file, withdrawn in zip(batch, again[flags].tolist(), gone[flags].tolist(), strict=True):
                if in_file:
                    continue
                if self._replace or withdrawn:
                    self.removed += 1
                else:
                    yield entry

    def only_new(self, written: Iterable[Entry]) -> Iterator[Entry]:
        """Yields the file's PDQ hashes that the list did not have, from the written list, which begins with the file's
        entries in their order."""
        pdq = np.concatenate([np.empty(0, np.bool_), *self._pdq])
        new = ~self._known[pdq]
        if not new.any():
            return
        entries = (entry for entry in written if entry.kind is HashKind.PDQ)
        for start in range(0, len(new), BATCH_ENTRIES):
            flags = new[start : start + BATCH_ENTRIES].tolist()
            yield from (entry for entry, is_new in zip(islice(entries, len(flags)), flags, strict=True) if is_new)


def _batches(entries: Iterable[Entry]) -> Iterator[list[Entry]]:
    source = iter(entries)
    while batch := list(islice(source, BATCH_ENTRIES)):
        yield batch


def _keep(runs: SortedRuns, entries: list[Entry]) -> None:
    """Adds two hashes of 64 bits, keyed anew in each process, over all that distinguishes entries; and the index."""
    kinds = [entry.kind._value_ for entry in entries]  # plain texts: an enum's own hash is slow
    first = [hash((entry.entry, kind, entry.value)) for entry, kind in zip(entries, kinds, strict=True)]
    second = [hash((entry.value, entry.entry, kind)) for entry, kind in zip(entries, kinds, strict=True)]
    indices = np.arange(runs.count, runs.count + len(entries))
    runs.append(np.array(first, np.int64), np.array(second, np.int64), indices)


def _together(one: SortedRuns, other: SortedRuns) -> Iterator[tuple[Columns, Columns]]:
    """Yields the ranges of one, each with the other's rows of the same keys."""
    others = other.ranges()
    waiting = next(others, None)
    for rows in one.ranges():
        last, parts = rows[0, -1], []
        while waiting is not None:
            end = int(np.searchsorted(waiting[0], last, side="right"))
            parts.append(waiting[:, :end])
            waiting = waiting[:, end:] if end < waiting.shape[1] else next(others, None)
            if waiting is not None and waiting[0, 0] > last:
                break
        if any(part.shape[1] for part in parts):
            yield rows, np.concatenate(parts, axis=1)


def _mark_same(theirs: Columns, own: Columns, known: Flags, again: Flags) -> None:
    """Marks the indices of rows that both have; a row may be there more than once."""
    known[theirs[2][_among(theirs, own)].astype(np.intp)] = True
    again[own[2][_among(own, theirs)].astype(np.intp)] = True


def _among(rows: Columns, others: Columns) -> Flags:
    """Returns which rows are among the others, which are sorted; of rows with one key, the first one stands for all."""
    indices = np.minimum(np.searchsorted(others[0], rows[0]), others.shape[1] - 1)
    same: Flags = (others[0][indices] == rows[0]) & (others[1][indices] == rows[1])
    return same
