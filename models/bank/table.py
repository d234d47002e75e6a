"""The entries of one kind of hash in a snapshot: a row each, list behind list.

Files of a table, all beginning with the kind's name: `values` (the hashes), `records` (ids, and what else an entry
says, as bytes one behind the other), `offsets` (where in `records` each ends), `ids` (sorted keys of the ids), and, to
find hashes, `digests` (sorted keys) or, for PDQ, `starts` and `rows` of the multi-index, unless there are few.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bank.arrays import SUFFIX, ArrayFile, map_array, read_ahead
from models.bank.digests import (
    Prefixes,
    SortedKeys,
    keys_of,
    prefix_of_text,
    prefixes_in_rows,
    prefixes_of_digests,
    rows_of,
)
from models.bank.entries import Entry, HashKind
from models.bank.flat import Distances, Rows, Words, search
from models.bank.index import SMALLEST, MultiIndex, build_parts
from models.errors import SnapshotError
from models.runs import SortedRuns

BLOCK: Final = 1 << 14
"""Entries written or read at once."""

WINDOW: Final = 1 << 20
"""Rows of which the prefixes are made together: each time all keys of a table are looked at, 20 ms at 10^7."""

LARGEST_TABLE: Final = (1 << 32) // 11 - 1
"""Entries: places in `rows` are 32 bits."""

_MORE: Final = b"\0"
"""In a record, between the id, which is printable, and JSON of tags, video and seconds, where there are any."""


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
        """Of all so far."""
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
            entry_id if entry.video is None and entry.seconds is None and not entry.tags else entry_id + _more(entry)
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

    def copy(self, run: "Run", digest: ContentDigest) -> None:
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

    def _prefixes_of(self, run: "Run") -> Prefixes:
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
        return _path(self._folder, self.kind, name)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Window:
    """Rows [start, end) of a table, of which the prefixes are known."""

    table: "Table"
    start: int
    end: int
    prefixes: Prefixes


@dataclass(frozen=True, kw_only=True, eq=False)
class Table:
    """One kind's table, open. Its arrays are memory maps."""

    kind: HashKind
    values: npt.NDArray[np.uint8]
    """uint8, (n, size)."""
    records: npt.NDArray[np.uint8]
    offsets: npt.NDArray[np.uint64]
    """uint64, (n + 1,)."""
    ids: SortedKeys
    digests: SortedKeys | None
    """None: these are PDQ hashes."""
    index: MultiIndex | None
    """None: these are no PDQ hashes, or few."""

    @classmethod
    def open(cls, folder: Path, kind: HashKind) -> "Table":
        """Maps the table's files.

        Raises:
            SnapshotError: one is missing or is not what it should be.
        """
        values = map_array(_path(folder, kind, "values"), np.uint8, (kind.size_bytes,))
        is_pdq = kind is HashKind.PDQ
        index = None
        if is_pdq and len(values) >= SMALLEST:
            for name in ("starts", "rows", "values"):
                read_ahead(_path(folder, kind, name))
            index = MultiIndex(
                words=values.view(np.uint64),
                starts=map_array(_path(folder, kind, "starts"), np.uint32),
                rows=map_array(_path(folder, kind, "rows"), np.uint32),
            )
        table = cls(
            kind=kind,
            values=values,
            records=map_array(_path(folder, kind, "records"), np.uint8),
            offsets=map_array(_path(folder, kind, "offsets"), np.uint64),
            ids=map_array(_path(folder, kind, "ids"), np.uint64),
            digests=None if is_pdq else map_array(_path(folder, kind, "digests"), np.uint64),
            index=index,
        )
        if not table._fits():
            raise SnapshotError(f"{_path(folder, kind, 'values')}: the table's other files are not of this one")
        return table

    def _fits(self) -> bool:
        """Whether all arrays are as long as those of one table are."""
        count = len(self.values)
        return (
            len(self.offsets) == count + 1
            and int(self.offsets[-1]) == len(self.records)
            and len(self.ids) == count
            and (self.digests is None or len(self.digests) == count)
            and (self.index is None or self.index.fits)
        )

    def near(self, wanted: Words, max_distance: int) -> tuple[Rows, Distances]:
        """Rows of PDQ hashes within `max_distance` (<=), ascending, and their distances."""
        if self.index is not None:
            return self.index.search(wanted, max_distance=max_distance)
        return search(self.values.view(np.uint64), wanted, max_distance=max_distance)

    def rows_with_value(self, value: bytes) -> list[int]:
        """Rows that have exactly this hash."""
        if self.digests is None:
            return [int(row) for row in self.near(np.frombuffer(value, np.uint64), 0)[0]]
        prefix = int.from_bytes(value[:4])
        return [row for row in rows_of(self.digests, prefix) if self.values[row].tobytes() == value]

    def rows_with_id(self, entry_id: str) -> list[int]:
        """Rows of this id, in whatever list."""
        wanted = entry_id.encode()
        return [
            row for row in rows_of(self.ids, prefix_of_text(wanted)) if self._record(row).split(_MORE, 1)[0] == wanted
        ]

    def entry(self, row: int) -> Entry:
        """The entry of a row."""
        return _entry(self.kind, self.values[row].tobytes(), self._record(row))

    def entries(self, start: int, end: int) -> Iterator[Entry]:
        """The entries of rows [start, end)."""
        size = self.kind.size_bytes
        for first in range(start, end, BLOCK):
            last = min(end, first + BLOCK)
            values = self.values[first:last].tobytes()
            offsets = self.offsets[first : last + 1].astype(np.int64)
            records = self.records[offsets[0] : offsets[-1]].tobytes()
            places = (offsets - offsets[0]).tolist()
            for row in range(last - first):
                record = records[places[row] : places[row + 1]]
                yield _entry(self.kind, values[row * size : (row + 1) * size], record)

    def _record(self, row: int) -> bytes:
        start, end = self.offsets[row : row + 2].tolist()
        return self.records[start:end].tobytes()


@dataclass(frozen=True, kw_only=True)
class Run:
    """Rows of a table that follow each other."""

    table: Table
    start: int
    end: int
    """[start, end), at most BLOCK of them."""


def _path(folder: Path, kind: HashKind, name: str) -> Path:
    return folder / f"{kind}.{name}{SUFFIX}"


def _entry(kind: HashKind, value: bytes, record: bytes) -> Entry:
    entry_id, _, more = record.partition(_MORE)
    if not more:
        return Entry(entry=entry_id.decode(), kind=kind, value=value)
    tags, video, seconds = _read_more(more)
    return Entry(entry=entry_id.decode(), kind=kind, value=value, tags=tags, video=video, seconds=seconds)


def _more(entry: Entry) -> bytes:
    return _write_more(entry.tags, entry.video, entry.seconds)


@lru_cache(maxsize=1024)  # the entries of a list say much the same: a category, a video
def _write_more(tags: tuple[str, ...], video: str | None, seconds: float | None) -> bytes:
    return _MORE + json.dumps([tags, video, seconds], separators=(",", ":")).encode()


@lru_cache(maxsize=1024)
def _read_more(more: bytes) -> tuple[tuple[str, ...], str | None, float | None]:
    tags, video, seconds = json.loads(more)
    return tuple(tags), video, seconds
