"""The verdict log's files: what each sampled picture was judged to be, in Parquet, one row a picture.

Small files are merged into larger ones in the background (`worker.verdictlog.retention`): a merged file says in its
metadata which ones it holds, and those are passed over from then on.
"""

import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any, Self

import pyarrow as pa
import pyarrow.parquet as pq

from worker.errors import ObjectStoreError
from worker.store.object_store import ObjectStore
from worker.verdictlog.checking import check_directory, check_rows
from worker.verdictlog.file_writing import HOLDS, MERGED_MS
from worker.verdictlog.files import HOUR_MS, LogFile, folders
from worker.verdictlog.rows import Row
from worker.verdictlog.tables import VERDICTS, LogTable, table_in

_log = logging.getLogger(__name__)

BATCH_ROWS = 65_536


def files_in(store: ObjectStore, folder: str) -> list[LogFile]:
    """The files of a partition, the earliest written first, without those that a merged one holds.

    A merged file whose content is damaged is left out itself, as long as files that it holds are there.

    Raises:
        ObjectStoreError: the store is away.
    """
    return files_and_replaced(store, folder)[0]


def files_and_replaced(store: ObjectStore, folder: str) -> tuple[list[LogFile], dict[str, frozenset[str]]]:
    """What `files_in` gives; and the names of merged files that are damaged, with those that are read in their place.

    Raises:
        ObjectStoreError: the store is away.
    """
    every = sorted(file for name in store.names(folder) if (file := LogFile.parse(folder, name)) is not None)
    there = {file.name for file in every}
    held: set[str] = set()
    replaced: dict[str, frozenset[str]] = {}
    for file in every:
        if not file.merged:
            continue
        of_file = there.intersection(held_by(store, file)) - {file.name}
        if of_file and not _is_whole(store, file):
            replaced[file.name] = frozenset(of_file)
        else:
            held |= of_file
    return [file for file in every if file.name not in held and file.name not in replaced], replaced


_whole: OrderedDict[tuple[str, str], float] = OrderedDict()
"""Merged files whose content was read, and when, by `monotonic`; MOST_WHOLE at most."""

MOST_WHOLE = 256
WHOLE_SECONDS = 60.0
"""How long a merged file that was read is taken for whole: reading all of it takes about 0.1 s."""


def _is_whole(store: ObjectStore, file: LogFile) -> bool:
    key = (store.root, file.path)
    if monotonic() - _whole.get(key, -WHOLE_SECONDS) < WHOLE_SECONDS:
        return True
    try:
        with LogReader(store, file) as reader:
            reader.check()
    except ObjectStoreError as error:
        if error.missing or error.damaged:
            return False
        raise
    _whole[key] = monotonic()
    while len(_whole) > MOST_WHOLE:
        _whole.popitem(last=False)
    return True


def held_by(store: ObjectStore, file: LogFile) -> list[str]:
    """Names of the files that a merged one was merged from; none if it is gone or cannot be read."""
    try:
        with LogReader(store, file) as reader:
            return reader.holds
    except ObjectStoreError as error:
        if error.missing or error.damaged:
            return []
        raise


class LogReader:
    """One open file of the log. A context manager."""

    def __init__(self, store: ObjectStore, file: LogFile) -> None:
        """Opens it and reads its directory.

        Raises:
            ObjectStoreError: it cannot be read; `missing` if it is gone, `damaged` if it is no file of the log.
        """
        self._file = file
        self._bytes = store.open(file.path)
        try:
            with _file_errors(file):
                # Reading ahead is for stores that are far away. It is done by threads of Arrow's, which end the process
                # by SIGABRT where they let go of what they read while the interpreter ends (apache/arrow#34314).
                self._parquet = pq.ParquetFile(self._bytes, pre_buffer=not store.local)
                schema = self._parquet.schema_arrow
                check_directory(self._parquet.metadata, schema, file, table_in(file.folder))
                self._columns = frozenset(schema.names)
                told = schema.metadata or {}
                # What cannot be read of it is found now, and not by whoever asks.
                self.holds = [str(name) for name in json.loads(told.get(HOLDS, b"[]"))]
                """Names of the files that it was merged from; none, if it was not."""
                self.merged_ms = int(told.get(MERGED_MS, b"0"))
                """When it was merged; 0, if it was not."""
        except BaseException:
            self._bytes.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()
        self._bytes.close()

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """The rows, in order, at most `BATCH_ROWS` at a time, with those columns of the table's schema.

        Raises:
            ObjectStoreError: as when it was opened.
        """
        yield from self._batches(columns, range(self._parquet.num_row_groups))

    def check(self) -> None:
        """Reads all of it.

        Raises:
            ObjectStoreError: as when it was opened.
        """
        for _ in self.batches(table_in(self._file.folder).schema.names):
            pass

    def _batches(self, columns: Sequence[str], groups: Iterable[int]) -> Iterator[pa.RecordBatch]:
        table = table_in(self._file.folder)
        schema = pa.schema([table.schema.field(name) for name in columns])
        with _file_errors(self._file):
            for batch in self._parquet.iter_batches(
                batch_size=BATCH_ROWS,
                row_groups=list(groups),
                columns=[name for name in columns if name in self._columns],
                use_threads=False,
            ):
                arrays = [
                    batch.column(field.name) if field.name in self._columns else pa.nulls(batch.num_rows, field.type)
                    for field in schema
                ]
                read = pa.RecordBatch.from_arrays(arrays, schema=schema)
                check_rows(read, table)
                yield read

    def rows(self, columns: Sequence[str], places: Sequence[int]) -> dict[int, Row]:
        """Rows by their place in the file.

        Raises:
            ObjectStoreError: as when it was opened.
        """
        found: dict[int, Row] = {}
        begin = 0
        for group in range(self._parquet.num_row_groups):
            end = begin + self._parquet.metadata.row_group(group).num_rows
            here = [place for place in places if begin <= place < end]
            if here:
                batches = list(self._batches(columns, [group]))
                with _file_errors(self._file):
                    taken = pa.Table.from_batches(batches).take([place - begin for place in here]).to_pylist()
                found.update(zip(here, taken, strict=True))
            begin = end
        return found


@contextmanager
def _file_errors(file: LogFile) -> Iterator[None]:
    """Translates what Arrow raises about a file's content; what the store raises is translated already."""
    try:
        yield
    except ObjectStoreError:
        raise
    except Exception as error:  # of many kinds: a file that is cut short, or made to be read by nobody
        told = " ".join(str(error).split())[:200] or type(error).__name__
        raise ObjectStoreError(f"store: {file.path}: {told}", damaged=True) from error


LeftOut = Callable[[LogFile, ObjectStoreError], None]
"""Is told of a file that is damaged, and was left out."""


def log_left_out(_: LogFile, error: ObjectStoreError) -> None:
    """Where nobody else is told."""
    _log.warning("a file of the verdict log is damaged, and left out: %s", error)


def read_log(
    store_url: str,
    since_ms: int,
    until_ms: int,
    columns: Sequence[str] | None = None,
    *,
    of: LogTable = VERDICTS,
    left_out: LeftOut = log_left_out,
) -> Iterator[pa.RecordBatch]:
    """What was captured in [`since_ms`, `until_ms`), in Redis's milliseconds, file by file as they were written; of
    outcomes what was published then.

    Args:
        columns: of the table's schema; None: all of them.
        left_out: is told of each file that is damaged; of one that is so in its middle, what comes before was given.

    Raises:
        ObjectStoreError: the store is away.
    """
    store = ObjectStore(store_url)
    wanted = of.schema.names if columns is None else list(columns)
    asked = [*wanted, *([of.time] if of.time not in wanted else [])]
    for folder in _folders_since(store, since_ms, of):
        for file in _files_within(store, folder, since_ms, until_ms):
            try:
                with LogReader(store, file) as reader:
                    for batch in reader.batches(asked):
                        within = _within(batch, of.time, since_ms, until_ms)
                        if within.num_rows:
                            yield within.select(wanted)
            except ObjectStoreError as error:
                if error.damaged:
                    left_out(file, error)
                elif not error.missing:  # else it was purged meanwhile
                    raise


def count_rows(store: ObjectStore, since_ms: int, until_ms: int, *, of: LogTable = VERDICTS) -> int:
    """About how many rows `read_log` will look at: files that lie in the time in part count as a whole.

    Raises:
        ObjectStoreError: the store is away.
    """
    return sum(
        file.rows
        for folder in _folders_since(store, since_ms, of)
        for file in _files_within(store, folder, since_ms, until_ms)
    )


def _folders_since(store: ObjectStore, since_ms: int, of: LogTable) -> list[str]:
    # What was captured then was written then or later; an hour is left for clocks.
    return [folder for begin_ms, folder in folders(store, of.root) if begin_ms + 2 * HOUR_MS > since_ms]


def _files_within(store: ObjectStore, folder: str, since_ms: int, until_ms: int) -> list[LogFile]:
    return [
        file
        for file in files_in(store, folder)
        if file.last_capture_ms >= since_ms and file.first_capture_ms < until_ms
    ]


def _within(batch: pa.RecordBatch, time: str, since_ms: int, until_ms: int) -> pa.RecordBatch:
    times: Any = batch.column(time).to_numpy()
    mask = (times >= since_ms) & (times < until_ms)
    return batch if mask.all() else batch.filter(pa.array(mask))
