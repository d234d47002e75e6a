"""Keys that are too many for memory: sorted in runs, which lie on disk, and read again one range of keys at a time.

For keys that are spread evenly, as hashes are, a range has about RUN_ROWS of them, however many there are in all. Few
keys never reach the disk.
"""

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import numpy as np
import numpy.typing as npt

from models.errors import SnapshotError

RUN_ROWS: Final = 1 << 18
"""Sorted together: 2 MB a column, and as much again while it is sorted."""

_SPLITS: Final = 4096
"""Places in each run that are remembered: 32 KB a run, 1.3 MB at 10^7 rows."""

_BOUNDS: Final = np.arange(1, _SPLITS, dtype=np.uint64) << np.uint64(64 - 12)

Columns = npt.NDArray[np.uint64]
"""uint64, (columns, n): the first one has the keys."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Run:
    offset_bytes: int
    """In the file; its columns lie one behind the other."""
    bounds: npt.NDArray[np.int64]
    """(_SPLITS + 1,): where each of _SPLITS equal parts of all keys starts, and the end."""


class SortedRuns:
    """Rows of uint64 words, the first of which is a key. Append all, then read `ranges`. A context manager."""

    def __init__(self, columns: int, folder: Path | None) -> None:
        """`folder`: where the disk has room, made if need be; None: that of the system for files that soon go."""
        self._columns, self._folder = columns, folder
        self._file: BinaryIO | None = None
        self._runs: list[_Run] = []
        self._waiting: list[Columns] = []
        self._waiting_rows = 0
        self.count = 0
        """Rows so far."""

    def append(self, *columns: npt.NDArray[Any] | Sequence[int]) -> None:
        """Appends rows, column by column; each is (n,), of 64 bits.

        Raises:
            SnapshotError: they cannot be written: a full disk, say.
        """
        rows = np.stack([np.asarray(column).view(np.uint64) for column in columns])
        self._waiting.append(rows)
        self._waiting_rows += rows.shape[1]
        self.count += rows.shape[1]
        if self._waiting_rows >= RUN_ROWS:
            self._write_run()

    def ranges(self) -> Iterator[Columns]:
        """All rows, by ascending keys; rows of one key come together. May be read again.

        Raises:
            SnapshotError: the file cannot be read.
        """
        if not self._runs:
            if self.count:
                yield _sorted(self._joined())
            return
        if self._waiting_rows:
            self._write_run()
        sizes = np.sum([np.diff(run.bounds) for run in self._runs], axis=0)
        begin = 0
        while begin < _SPLITS:
            ends = np.cumsum(sizes[begin:])
            end = begin + max(1, int(np.searchsorted(ends, RUN_ROWS, side="right")))
            if ends[end - begin - 1]:
                yield _sorted(np.concatenate([self._read(run, begin, end) for run in self._runs], axis=1))
            begin = end

    def close(self) -> None:
        """Gives the disk's room back; may be called twice. What dies gives it back, too."""
        self._waiting, self._runs = [], []
        if self._file is not None:
            self._file.close()
            self._file = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _joined(self) -> Columns:
        rows = self._waiting[0] if len(self._waiting) == 1 else np.concatenate(self._waiting, axis=1)
        self._waiting = [rows]
        return rows

    def _write_run(self) -> None:
        rows = _sorted(self._joined())
        self._waiting, self._waiting_rows = [], 0
        bounds = np.concatenate([[0], np.searchsorted(rows[0], _BOUNDS), [rows.shape[1]]])
        try:
            if self._file is None:
                if self._folder is not None:
                    self._folder.mkdir(parents=True, exist_ok=True)
                self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115 - see close()
            offset = self._file.seek(0, os.SEEK_END)
            data = np.ascontiguousarray(rows).data.cast("B")
            while data:
                data = data[self._file.write(data) :]
        except OSError as error:
            raise SnapshotError(f"{self._folder or 'a temporary file'}: cannot be written: {error.strerror}") from error
        self._runs.append(_Run(offset_bytes=offset, bounds=bounds))

    def _read(self, run: _Run, begin: int, end: int) -> Columns:
        """Rows of a run in the parts [begin, end) of all keys."""
        assert self._file is not None
        first, last, length = int(run.bounds[begin]), int(run.bounds[end]), int(run.bounds[-1])
        rows = np.empty((self._columns, last - first), np.uint64)
        for column in range(self._columns):
            at = run.offset_bytes + (column * length + first) * rows.itemsize
            if os.preadv(self._file.fileno(), [rows[column].data.cast("B")], at) != rows[column].nbytes:
                raise SnapshotError(f"{self._folder or 'a temporary file'}: was cut short")
        return rows


def _sorted(rows: Columns) -> Columns:
    """By the first column; of more than one, rows of one key stay in their order."""
    if len(rows) == 1:
        rows = rows.copy()
        rows.sort()
        return rows
    return rows[:, np.argsort(rows[0], kind="stable")]
