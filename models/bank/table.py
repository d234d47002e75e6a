"""The entries of one kind of hash in a snapshot: a row each, list behind list.

Files of a table, all beginning with the kind's name: `values` (the hashes), `records` (ids, and what else an entry
says, as bytes one behind the other), `offsets` (where in `records` each ends), `ids` (sorted keys of the ids), and, to
find hashes, `digests` (sorted keys) or, for PDQ, `starts` and `rows` of the multi-index, unless there are few.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bank.arrays import SUFFIX, map_array, read_ahead
from models.bank.digests import SortedKeys, prefix_of_text, rows_of
from models.bank.entries import Entry, HashKind
from models.bank.flat import Distances, Rows, Words, search
from models.bank.index import SMALLEST, MultiIndex
from models.errors import SnapshotError

BLOCK: Final = 1 << 14
"""Entries written or read at once."""

_MORE: Final = b"\0"
"""In a record, between the id, which is printable, and JSON of tags, video and seconds, where there are any."""


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
        values = map_array(table_path(folder, kind, "values"), np.uint8, (kind.size_bytes,))
        is_pdq = kind is HashKind.PDQ
        index = None
        if is_pdq and len(values) >= SMALLEST:
            for name in ("starts", "rows", "values"):
                read_ahead(table_path(folder, kind, name))
            index = MultiIndex(
                words=values.view(np.uint64),
                starts=map_array(table_path(folder, kind, "starts"), np.uint32),
                rows=map_array(table_path(folder, kind, "rows"), np.uint32),
            )
        table = cls(
            kind=kind,
            values=values,
            records=map_array(table_path(folder, kind, "records"), np.uint8),
            offsets=map_array(table_path(folder, kind, "offsets"), np.uint64),
            ids=map_array(table_path(folder, kind, "ids"), np.uint64),
            digests=None if is_pdq else map_array(table_path(folder, kind, "digests"), np.uint64),
            index=index,
        )
        if not table._fits():
            raise SnapshotError(f"{table_path(folder, kind, 'values')}: the table's other files are not of this one")
        return table

    def _fits(self) -> bool:
        """True if all arrays are as long as those of one table are."""
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
            positions = (offsets - offsets[0]).tolist()
            for row in range(last - first):
                record = records[positions[row] : positions[row + 1]]
                yield _entry(self.kind, values[row * size : (row + 1) * size], record)

    def _record(self, row: int) -> bytes:
        start, end = self.offsets[row : row + 2].tolist()
        return self.records[start:end].tobytes()


@dataclass(frozen=True, kw_only=True)
class TableRun:
    """Rows of a table that follow each other."""

    table: Table
    start: int
    end: int
    """[start, end), at most BLOCK of them."""


def table_path(folder: Path, kind: HashKind, name: str) -> Path:
    """A file of a table."""
    return folder / f"{kind}.{name}{SUFFIX}"


def _entry(kind: HashKind, value: bytes, record: bytes) -> Entry:
    entry_id, _, more = record.partition(_MORE)
    if not more:
        return Entry(entry=entry_id.decode(), kind=kind, value=value)
    tags, video, seconds = _read_more(more)
    return Entry(entry=entry_id.decode(), kind=kind, value=value, tags=tags, video=video, seconds=seconds)


def more_of(entry: Entry) -> bytes:
    """The part of a record after the id, of an entry with more fields."""
    return _write_more(entry.tags, entry.video, entry.seconds)


@lru_cache(maxsize=1024)  # the entries of a list say much the same: a category, a video
def _write_more(tags: tuple[str, ...], video: str | None, seconds: float | None) -> bytes:
    return _MORE + json.dumps([tags, video, seconds], separators=(",", ":")).encode()


@lru_cache(maxsize=1024)
def _read_more(more: bytes) -> tuple[tuple[str, ...], str | None, float | None]:
    tags, video, seconds = json.loads(more)
    return tuple(tags), video, seconds
