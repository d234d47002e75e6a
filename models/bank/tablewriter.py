"""Writing one kind's table of a snapshot (`models.bank.table`): entry by entry, or as they lie in another snapshot.

Memory does not grow with the entries: keys of ids wait on disk, and what finds hashes is built part by part.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bank.arrays import ArrayFile, map_array
from models.bank.digests import Prefixes, keys_of, prefix_of_text, prefixes_in_rows, prefixes_of_digests
from models.bank.entries import Entry, HashKind
from models.bank.external_sort import SortedRuns
from models.bank.index import SMALLEST, build_parts
from models.bank.table import Table, TableRun, more_of, table_path

WINDOW: Final = 1 << 20
"""Rows of which the prefixes are made together: each time all keys of a table are read, 20 ms at 10^7."""

LARGEST_TABLE: Final = (1 << 32) // 11 - 1
"""Entries: indices in `rows` are 32 bits."""

Bytes = npt.NDArray[np.uint8]


class ContentDigest:
    """SHA-256 of a list's entries of one kind: the same for the same entries in the same order, however they came."""

    def __init__(self) -> None:
        self._parts = (hashlib.sha256(), hashlib.sha256(), hashlib.sha256())

    def update(self, values: bytes, lengths: bytes, records: bytes) -> None:
        """Takes the next entries."""
        for part, data in zip(self._parts, (values, lengths, records), strict=True):
            part.update(data)

    def digest(self) -> bytes:
        """Sum of all so far."""
        return b"".join(part.digest() for part in self._parts)


class TableWriter:
    """Writes one kind's table."""

    def __init__(self, folder: Path, kind: HashKind) -> None:
        self.kind, self._folder = kind, folder
        self._values = ArrayFile(self._path("values"), np.uint8, (kind.size_bytes,))
        self._records = ArrayFile(self._path("records"), np.uint8)
        self._offsets = ArrayFile(self._path("offsets"), np.uint64)
        self._offsets.append(np.zeros(1, np.uint64))
        self._ids = SortedRuns(1, folder)
        self._source: _Window | None = None

    @property
    def count(self) -> int:
        """Entries so far."""
        return self._values.count

    def append(self, entries: Sequence[Entry], digest: ContentDigest) -> None:
        """Appends entries of this kind; `digest` is of their list."""
        values = b"".join([entry.value for entry in entries])
        ids = [entry.entry.encode() for entry in entries]
        records = [
            entry_id if entry.video is None and entry.seconds is None and not entry.tags else entry_id + more_of(entry)
            for entry_id, entry in zip(ids, entries, strict=True)
        ]
        lengths = np.fromiter(map(len, records), np.uint64, len(records))
        text = b"".join(records)
        self._append(
            np.frombuffer(values, np.uint8).reshape(-1, self.kind.size_bytes),
            lengths,
            np.frombuffer(text, np.uint8),
            np.fromiter(map(prefix_of_text, ids), np.uint32, len(ids)),
            digest,
        )

    def copy(self, run: "TableRun", digest: ContentDigest) -> None:
        """Appends entries as they lie in another table: fifty times as fast as one by one."""
        table, rows = run.table, slice(run.start, run.end)
        offsets = table.offsets[run.start : run.end + 1]
        self._append(
            table.values[rows],
            np.diff(offsets),
            table.records[int(offsets[0]) : int(offsets[-1])],
            self._prefixes_of(run),
            digest,
        )

    def _append(
        self, values: Bytes, lengths: npt.NDArray[np.uint64], records: Bytes, prefixes: Prefixes, digest: ContentDigest
    ) -> None:
        digest.update(values.tobytes(), lengths.tobytes(), records.tobytes())
        self._values.append(values)
        self._offsets.append(np.cumsum(lengths) + np.uint64(self._records.count))
        self._records.append(records)
        self._ids.append(keys_of(prefixes, self._values.count - len(prefixes)))

    def _prefixes_of(self, run: "TableRun") -> Prefixes:
        """Runs come in the order of their rows, so those of many are made at once."""
        source = self._source
        if source is None or source.table is not run.table or not source.start <= run.start <= run.end <= source.end:
            end = max(run.end, min(run.start + WINDOW, len(run.table.ids)))
            prefixes = prefixes_in_rows(run.table.ids, run.start, end)
            self._source = source = _Window(table=run.table, start=run.start, end=end, prefixes=prefixes)
        return source.prefixes[run.start - source.start : run.end - source.start]

    def finish(self) -> Iterator[None]:
        """Closes the files and writes what finds entries, in steps of about a second at 10^7 entries."""
        for file in self._files:
            file.close()
        yield
        self._source = None
        yield from self._write_sorted("ids", self._ids)
        values = map_array(self._path("values"), np.uint8, (self.kind.size_bytes,))
        if self.kind is not HashKind.PDQ:
            with SortedRuns(1, self._folder) as digests:
                for start in range(0, len(values), WINDOW):
                    digests.append(keys_of(prefixes_of_digests(values[start : start + WINDOW]), start))
                yield from self._write_sorted("digests", digests)
        elif len(values) >= SMALLEST:
            with ArrayFile(self._path("starts"), np.uint32) as starts, ArrayFile(self._path("rows"), np.uint32) as rows:
                for of_starts, of_rows in build_parts(values.view(np.uint64)):
                    starts.append(of_starts)
                    rows.append(of_rows)
                    yield

    def _write_sorted(self, name: str, keys: SortedRuns) -> Iterator[None]:
        with ArrayFile(self._path(name), np.uint64) as file:
            for (part,) in keys.ranges():
                file.append(part)
                yield
        keys.close()

    def abandon(self) -> None:
        """Closes the files as they are, if they are still open."""
        self._ids.close()
        for file in self._files:
            file.abandon()

    @property
    def _files(self) -> tuple[ArrayFile, ...]:
        return self._values, self._records, self._offsets

    def _path(self, name: str) -> Path:
        return table_path(self._folder, self.kind, name)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """Rows [start, end) of a table, of which the prefixes are known."""

    table: "Table"
    start: int
    end: int
    prefixes: Prefixes
