"""Rows of the log, put together by stream in bounded memory: the log has them as they were written.

A log of more than `PART_ROWS` rows is parted by stream into files in a folder of its own, which only their owner can
read, and which are gone when the replay ends. Each part is then gone through by itself.
"""

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa

from worker.errors import ReplayError

PART_ROWS = 250_000
"""Of one part, about: 150 MB while it is gone through."""

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")
"""A day of 1,000 streams, 43 million rows, then takes about 2 GB."""

MOST_PARTS = 400
"""Files that are open at once; systems allow a process 1,024 of them."""


class Spool:
    """Takes rows in any order, and gives all those of a stream together. A context manager."""

    def __init__(self, schema: pa.Schema, *, rows: int) -> None:
        """`rows`: how many there will be, about."""
        self._schema = schema
        self.parts = min(MOST_PARTS, -(-max(1, rows) // PART_ROWS))
        self._kept: list[pa.RecordBatch] = []
        self._folder = ExitStack()
        self._open = ExitStack()
        self._writers: list[Any] = []
        self._paths: list[Path] = []

    def __enter__(self) -> Self:
        if self.parts > 1:
            with _disk_errors():
                made = tempfile.TemporaryDirectory(prefix="livewarden-replay-")
                folder = Path(self._folder.enter_context(made))
                for number in range(self.parts):
                    path = folder / f"{number}.arrow"
                    file = self._open.enter_context(pa.OSFile(str(path), "wb"))
                    writer = pa.ipc.new_stream(file, self._schema, options=_COMPRESSED)
                    self._writers.append(self._open.enter_context(writer))
                    self._paths.append(path)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError, pa.ArrowException):  # the disk may be full, and that is told
            self._open.close()
        self._folder.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Takes rows.

        Raises:
            ReplayError: the disk is full.
        """
        if self.parts == 1:
            self._kept.append(batch)
            return
        streams = batch.column("stream_id").dictionary_encode()
        part_of = np.array([part_number(stream, self.parts) for stream in streams.dictionary.to_pylist()])
        parts = part_of[streams.indices.to_numpy()]
        in_order = batch.take(pa.array(np.argsort(parts, kind="stable")))
        ends = np.cumsum(np.bincount(parts, minlength=self.parts)).tolist()
        with _disk_errors():
            for number, (begin, end) in enumerate(pairwise([0, *ends])):
                if end > begin:
                    self._writers[number].write_batch(in_order.slice(begin, end - begin))

    def tables(self) -> Iterator[pa.Table]:
        """The parts, one after the other, each with all rows of its streams; some may be empty. Nothing can be added
        any more."""
        if self.parts == 1:
            yield pa.Table.from_batches(self._kept, schema=self._schema)
            return
        with _disk_errors():
            self._open.close()
        for path in self._paths:
            with _disk_errors(), path.open("rb") as file, pa.ipc.open_stream(file) as reader:
                table = reader.read_all()
            path.unlink()
            yield table


def part_number(stream_id: str, parts: int) -> int:
    """Which part has a stream: the same in every process."""
    return zlib.crc32(stream_id.encode()) % parts


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Tells a full disk as ours."""
    try:
        yield
    except OSError as error:
        told = f"{tempfile.gettempdir()}: {error.strerror or error}"
        raise ReplayError(f"{told}: TMPDIR may name a folder with more room") from error
