"""Rows of the log, collected by stream in bounded memory: the log has them in the order in which they were written.

A log of more than `PART_ROWS` rows is split by stream into unnamed files on the disk of TMPDIR. Each part is then
replayed separately.
"""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from heapq import heapify, heappop, heappush
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pyarrow as pa

from worker.errors import ReplayError

PART_ROWS = 250_000
"""Approximate rows of a part: 150 MB while it is replayed."""

_COMPRESSED = pa.ipc.IpcWriteOptions(compression="lz4")
"""A day of 1,000 streams, 43 million rows, takes about 2 GB with it."""

MOST_PARTS = 400
"""Open files; systems allow a process 1,024 of them."""


class RowSpool:
    """Takes rows in any order, and returns all rows of a stream together. A context manager."""

    def __init__(self, schema: pa.Schema, *, rows: int) -> None:
        """`rows`: the approximate number."""
        self._schema = schema
        self.parts = min(MOST_PARTS, -(-max(1, rows) // PART_ROWS))
        self._kept: list[pa.RecordBatch] = []
        self._files = ExitStack()
        self._parts: list[tuple[Any, Any]] = []
        """The file and the writer of each part."""
        self._rows = [0] * self.parts
        self._known: dict[str, int] = {}
        """The part of each stream."""

    def __enter__(self) -> Self:
        if self.parts > 1:
            with _disk_errors():
                for _ in range(self.parts):
                    # It has no name, so nothing is left of it when the process dies.
                    file = self._files.enter_context(tempfile.TemporaryFile(prefix="livewarden-replay-"))
                    self._parts.append((file, pa.ipc.new_stream(file, self._schema, options=_COMPRESSED)))
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):  # the last writes may find the disk full, which was reported
            self._files.close()

    def add(self, batch: pa.RecordBatch) -> None:
        """Adds rows.

        Raises:
            ReplayError: the disk is full.
        """
        if self.parts == 1:
            self._kept.append(batch)
            return
        streams = batch.column("stream_id").dictionary_encode()
        counts = np.bincount(streams.indices.to_numpy(), minlength=len(streams.dictionary)).tolist()
        part_of = np.array(self._parts_of(streams.dictionary.to_pylist(), counts))
        parts = part_of[streams.indices.to_numpy()]
        in_order = batch.take(pa.array(np.argsort(parts, kind="stable")))
        ends = np.cumsum(np.bincount(parts, minlength=self.parts)).tolist()
        with _disk_errors():
            for number, (begin, end) in enumerate(pairwise([0, *ends])):
                if end > begin:
                    self._parts[number][1].write_batch(in_order.slice(begin, end - begin))

    def _parts_of(self, streams: Sequence[str], counts: Sequence[int]) -> list[int]:
        """The part of each stream; a new stream goes into the smallest, since the largest part decides the memory."""
        smallest = [(rows, number) for number, rows in enumerate(self._rows)]
        heapify(smallest)
        for stream, count in zip(streams, counts, strict=True):
            if stream not in self._known:
                rows, number = heappop(smallest)
                self._known[stream] = number
                heappush(smallest, (rows + count, number))
        for stream, count in zip(streams, counts, strict=True):
            self._rows[self._known[stream]] += count
        return [self._known[stream] for stream in streams]

    def tables(self) -> Iterator[pa.Table]:
        """The parts, one after the other, each with all rows of its streams; some may be empty. Rows cannot be added
        afterwards."""
        if self.parts == 1:
            yield pa.Table.from_batches(self._kept, schema=self._schema)
            return
        for file, writer in self._parts:
            with _disk_errors():
                writer.close()
                file.seek(0)
                with pa.ipc.open_stream(file) as reader:
                    table = reader.read_all()
                file.close()
            yield table


@contextmanager
def _disk_errors() -> Iterator[None]:
    """Translates a full disk into ReplayError."""
    try:
        yield
    except OSError as error:
        problem = f"{tempfile.gettempdir()}: {error.strerror or error}"
        raise ReplayError(f"{problem}: TMPDIR may name a folder with more room") from error
