"""Erasure of one stream's rows from the verdict log: files that have some are written anew without them.

A new file names the one that it replaces, as a merged file names its sources: readers skip the old one from then on, so
that no row is read twice or missed if this process dies before it removes the old one.
"""

import logging
from time import monotonic
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from redis import Redis

from worker.errors import ObjectStoreError
from worker.logs.failure_log import FailureLog
from worker.retention.forget import ErasedRows
from worker.store.lease import leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, store_errors
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.files import LogFile, folders
from worker.verdictlog.reading import LogReader, files_and_replaced
from worker.verdictlog.retention import LEASE
from worker.verdictlog.tables import TABLES, LogTable

_trouble = FailureLog(logging.getLogger(__name__))

STREAM: Final = "stream_id"


def erase_stream(redis: Redis, store: ObjectStore, stream_id: str, *, after: str, until: float) -> ErasedRows:
    """Deletes a stream's rows for one slice of time, unless the log is being merged at this moment.

    A damaged file cannot be written anew: it is left, and removed with its time (LIVEWARDEN_VERDICT_LOG_HOURS).

    Args:
        after: path of the file up to which it is done; empty: of none.
        until: time by `monotonic` at which the slice ends.

    Raises:
        ObjectStoreError: the store is away or refuses it.
        LeaseLostError: it took longer than its lease; it may be called again.
    """
    deleted = 0
    with leased(redis, LEASE, wait_seconds=max(0.0, until - monotonic())) as lease:
        if lease is None:
            return ErasedRows(rows=0, after=after, complete=False)
        for table in TABLES:
            for _, folder in folders(store, table.root):
                for file, held in _files(store, folder):
                    if _place(file.path) <= _place(after):
                        continue
                    lease.check()
                    deleted += _erase(redis, store, file, table, stream_id, held=held)
                    if monotonic() >= until:
                        return ErasedRows(rows=deleted, after=file.path, complete=False)
    return ErasedRows(rows=deleted, after=after, complete=True)


def _files(store: ObjectStore, folder: str) -> list[tuple[LogFile, bool]]:
    """Files by path, each with whether a merged file has its rows; the merged ones that readers skip are left out."""
    read, damaged = files_and_replaced(store, folder)
    visible = {file.name for file in read}
    every = (LogFile.parse(folder, name) for name in store.names(folder))
    found = [file for file in every if file is not None and file.name not in damaged]
    return sorted(((file, file.name not in visible) for file in found), key=lambda one: _place(one[0].path))


def _place(path: str) -> tuple[int, str]:
    """Orders paths as they are visited: by table, then by name, which begins with the time."""
    roots = [table.root for table in TABLES]
    root = path.partition("/")[0]
    return (roots.index(root) if root in roots else -1, path)


def _erase(redis: Redis, store: ObjectStore, file: LogFile, of: LogTable, stream_id: str, *, held: bool) -> int:
    """Writes a file anew without the stream's rows, if it has any; returns how many went.

    One that is `held` by a merged file is removed: its other rows are there, and would be read twice.
    """
    try:
        with LogReader(store, file) as reader:
            if not any(pc.any(pc.equal(batch.column(0), stream_id)).as_py() for batch in reader.batches([STREAM])):
                return 0
            table = pa.Table.from_batches(list(reader.batches(of.schema.names)), schema=of.schema)
            holds, merged_ms = reader.holds, reader.merged_ms
    except ObjectStoreError as error:
        if not (error.missing or error.damaged):
            raise
        if error.damaged:
            _trouble.met(file.path, "rows of a stream cannot be erased from a damaged file: %s", error)
        return 0
    if held:
        store.remove(file.path)
        return 0
    kept = table.filter(pc.not_equal(table.column(STREAM), stream_id))
    if kept.num_rows:
        with store_errors():
            merged_ms = merged_ms or now_ms(redis)
        # With the same time: it is purged when the old one would have been.
        write_table(store, kept, written_ms=file.written_ms, of=of, holds=[file.name, *holds], merged_ms=merged_ms)
    store.remove(file.path)
    return int(table.num_rows - kept.num_rows)
