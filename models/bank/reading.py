"""A snapshot of the bank: a folder of arrays that all processes of a host share through memory maps.

It is written whole under another name, synced to disk and then renamed (`models.bank.writing`); `models.bank.pointer`
names the one in force. Once it has its name nothing in it changes.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
from pydantic import ValidationError

from config.counts import counted
from models.bank.entries import Entry, HashKind, ListSpec
from models.bank.flat import Words
from models.bank.table import BLOCK, Table, TableRun
from models.errors import SnapshotError

FORMAT: Final = 1
"""Version of the folder's format. Another one is refused: the bank is then written anew from its lists."""

MANIFEST: Final = "manifest.json"

Ranges = Mapping[HashKind, tuple[int, int]]
"""Kind -> a list's rows in that kind's table, [start, end)."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Snapshot:
    """An open snapshot. Open it once a process, with `open_snapshot`."""

    path: Path
    watermark: str
    """Id of the last change that is in it; empty: none."""
    specs: Mapping[str, ListSpec]
    """List name -> list, in the order of their rows."""
    versions: Mapping[str, str]
    """List name -> version, which follows from its content."""
    ranges: Mapping[str, Ranges]
    tables: Mapping[HashKind, Table]

    @property
    def sizes(self) -> Mapping[str, int]:
        """List name -> number of its entries."""
        return {name: sum(end - start for start, end in of.values()) for name, of in self.ranges.items()}

    def near(self, wanted: Words, limits: Mapping[str, int]) -> Iterator[tuple[str, Iterable[tuple[Entry, int]]]]:
        """For each list that has any: (list, its (entry, distance) within its limit (<=), nearest first).

        Entries are read on demand: taking the first few of many costs no more than those.
        """
        limits = {name: limit for name, limit in limits.items() if name in self.ranges}
        table = self.tables.get(HashKind.PDQ)
        if table is None or not limits:
            return
        rows, apart = table.near(wanted, max(limits.values()))
        if not len(rows):
            return
        for name, limit in limits.items():
            start, end = self.ranges[name].get(HashKind.PDQ, (0, 0))
            own = slice(*np.searchsorted(rows, (start, end)).tolist())
            order = np.argsort(apart[own], kind="stable")
            order = order[apart[own][order] <= limit]
            if len(order):
                yield name, _read(table, rows[own][order].tolist(), apart[own][order].tolist())

    def find(self, kind: HashKind, value: bytes) -> Iterator[tuple[str, Entry]]:
        """(list, entry) of the entries that have exactly this hash."""
        if kind in self.tables:
            table = self.tables[kind]
            for row in table.rows_with_value(value):
                yield self._list_of(kind, row), table.entry(row)

    def exact(self, name: str, entry_id: str) -> tuple[Entry, ...]:
        """Entries of a list under an id."""
        return tuple(self.tables[kind].entry(row) for kind, row in self.locate(name, entry_id))

    def locate(self, name: str, entry_id: str) -> Iterator[tuple[HashKind, int]]:
        """(kind, row) of what a list has under an id."""
        for kind, (start, end) in self.ranges.get(name, {}).items():
            for row in self.tables[kind].rows_with_id(entry_id):
                if start <= row < end:
                    yield kind, row

    def entries(self, name: str) -> Iterator[Entry]:
        """All of a list, kind by kind. Unknown lists have none."""
        for run in self.runs(name):
            yield from run.table.entries(run.start, run.end)

    def runs(self, name: str, left_out: Set[tuple[HashKind, int]] = frozenset()) -> Iterator[TableRun]:
        """The rows of a list, kind by kind, without those `left_out`, given as (kind, row)."""
        for kind, (start, end) in self.ranges.get(name, {}).items():
            first = start
            for gone in (*sorted(row for of, row in left_out if of is kind), end):
                for block in range(first, gone, BLOCK):
                    yield TableRun(table=self.tables[kind], start=block, end=min(gone, block + BLOCK))
                first = gone + 1

    def _list_of(self, kind: HashKind, row: int) -> str:
        return next(name for name, of in self.ranges.items() if kind in of and of[kind][0] <= row < of[kind][1])


def open_snapshot(path: Path) -> Snapshot:
    """Opens a snapshot: maps its files after a check of their sizes. `verify_snapshot` reads every byte.

    Raises:
        SnapshotError: it is not there, not whole, or of another format.
    """
    manifest = _read_manifest(path)
    try:
        for name, file in manifest["files"].items():
            found = (path / name).stat().st_size
            if found != file["bytes"]:
                raise SnapshotError(f"{path / name}: expected {counted(file['bytes'], 'byte')}, found {found}")
        lists = [
            (
                ListSpec.of_record(of["spec"]),
                str(of["version"]),
                {HashKind(kind): (int(start), int(end)) for kind, (start, end) in of["rows"].items()},
            )
            for of in manifest["lists"]
        ]
        tables = {HashKind(kind): Table.open(path, HashKind(kind)) for kind in manifest["kinds"]}
        watermark = str(manifest["watermark"])
    except OSError as error:
        raise SnapshotError(f"{path}: cannot be read: {error}") from error
    except (KeyError, ValueError, TypeError, AttributeError, ValidationError) as error:
        raise SnapshotError(f"{path / MANIFEST}: is not whole: {type(error).__name__}") from error
    for _, _, ranges in lists:
        for kind, (start, end) in ranges.items():
            if kind not in tables or not 0 <= start <= end <= len(tables[kind].values):
                raise SnapshotError(f"{path / MANIFEST}: is not whole: a list's rows are not in the table")
    return Snapshot(
        path=path,
        watermark=watermark,
        specs=MappingProxyType({spec.name: spec for spec, _, _ in lists}),
        versions=MappingProxyType({spec.name: version for spec, version, _ in lists}),
        ranges=MappingProxyType({spec.name: MappingProxyType(ranges) for spec, _, ranges in lists}),
        tables=MappingProxyType(tables),
    )


def is_whole(path: Path) -> bool:
    """True if a snapshot is there with all of its files, as far as their sizes show. Cheap."""
    try:
        files = _read_manifest(path)["files"]
        return all((path / name).stat().st_size == file["bytes"] for name, file in files.items())
    except (SnapshotError, OSError):
        return False


def verify_snapshot(path: Path) -> None:
    """Compares every byte with what was written: about a second a gigabyte.

    Raises:
        SnapshotError: something differs; the text names the file.
    """
    open_snapshot(path)
    for name, file in _read_manifest(path)["files"].items():
        if digest_of_file(path / name) != file["sha256"]:
            raise SnapshotError(f"{path / name}: its content was altered since it was written")


def digest_of_file(path: Path) -> str:
    """SHA-256 of a file, as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_manifest(path: Path) -> dict[str, Any]:
    file = path / MANIFEST
    try:
        return parse_manifest(file.read_bytes(), file)
    except OSError as error:
        raise SnapshotError(f"{file}: cannot be read: {error.strerror}") from error


def parse_manifest(data: bytes, file: Path) -> dict[str, Any]:
    """Reads a manifest; `file` names it.

    Raises:
        SnapshotError: it is none, or of another format.
    """
    try:
        manifest = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise SnapshotError(f"{file}: is not whole: no JSON") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise SnapshotError(f"{file}: expected a snapshot of format {FORMAT}")
    return manifest


def _read(table: Table, rows: list[int], apart: list[int]) -> Iterator[tuple[Entry, int]]:
    for row, distance in zip(rows, apart, strict=True):
        yield table.entry(row), distance
