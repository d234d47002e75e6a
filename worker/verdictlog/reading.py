"""Reads the verdict log's files: Parquet, one row a picture.

Small files are merged into larger ones in the background (`worker.verdictlog.retention`): a merged file names its
sources in its metadata, and readers skip those from then on.
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
    """Lists the files of a partition, the earliest written first, without the sources of merged ones.

    A merged file whose content is damaged is left out itself, as long as any of its sources is there.

    Raises:
        ObjectStoreError: the store is away.
    """
    return files_and_replaced(store, folder)[0]


def files_and_replaced(store: ObjectStore, folder: str) -> tuple[list[LogFile], dict[str, frozenset[str]]]:
    """As `files_in`; also returns the names of damaged merged files, with the sources that are read in their place.

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
        if of_file and not _is_intact(store, file):
            replaced[file.name] = frozenset(of_file)
        else:
            held |= of_file
    return [file for file in every if file.name not in held and file.name not in replaced], replaced


_intact: OrderedDict[tuple[str, str], float] = OrderedDict()
"""Merged files whose content was checked, and when, by `monotonic`; MOST_INTACT at most."""

MOST_INTACT = 256
INTACT_SECONDS = 60.0
"""The time for which a merged file that was checked is taken for intact: reading all of it takes about 0.1 s."""


def _is_intact(store: ObjectStore, file: LogFile) -> bool:
    key = (store.root, file.path)
    if monotonic() - _intact.get(key, -INTACT_SECONDS) < INTACT_SECONDS:
        return True
    try:
        with LogReader(store, file) as reader:
            reader.check()
    except ObjectStoreError as error:
        if error.missing or error.damaged:
            return False
        raise
    _intact[key] = monotonic()
    while len(_intact) > MOST_INTACT:
        _intact.popitem(last=False)
    return True


def held_by(store: ObjectStore, file: LogFile) -> list[str]:
    """Names of the sources of a merged file; none if it is gone or cannot be read."""
    try:
        with LogReader(store, file) as reader:
            return reader.holds
    except ObjectStoreError as error:
        if error.missing or error.damaged:
            return []
        raise


class LogReader:
    """An open file of the log. A context manager."""

    def __init__(self, store: ObjectStore, file: LogFile) -> None:
        """Opens it and reads its directory.

        Raises:
            ObjectStoreError: it cannot be read; `missing` if it is gone, `damaged` if it is not a file of the log.
        """
        self._file = file
        self._bytes = store.open(file.path)
        try:
            with _file_errors(file):
                # Reading ahead is for remote stores. Arrow does it in threads, which end the process by SIGABRT if they
                # release buffers while the interpreter ends (apache/arrow#34314).
                self._parquet = pq.ParquetFile(self._bytes, pre_buffer=not store.local)
                schema = self._parquet.schema_arrow
                check_directory(self._parquet.metadata, schema, file, table_in(file.folder))
                self._columns = frozenset(schema.names)
                metadata = schema.metadata or {}
                # Parsed here, so that opening finds damaged metadata.
                self.holds = [str(name) for name in json.loads(metadata.get(HOLDS, b"[]"))]
                """Names of its sources; none if it was not merged."""
                self.merged_ms = int(metadata.get(MERGED_MS, b"0"))
                """Time when it was merged; 0 if it was not."""
        except BaseException:
            self._bytes.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._parquet.close()
        self._bytes.close()

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yields the rows in order, at most `BATCH_ROWS` at a time, with those columns of the table's schema.

        Raises:
            ObjectStoreError: as when it was opened.
        """
        yield from self._batches(columns, range(self._parquet.num_row_groups))

    def check(self) -> None:
        """Reads all of it, and discards it.

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

    def rows(self, columns: Sequence[str], indices: Sequence[int]) -> dict[int, Row]:
        """Returns rows by their index in the file.

        Raises:
            ObjectStoreError: as when it was opened.
        """
        found: dict[int, Row] = {}
        begin = 0
        for group in range(self._parquet.num_row_groups):
            end = begin + self._parquet.metadata.row_group(group).num_rows
            here = [index for index in indices if begin <= index < end]
            if here:
                batches = list(self._batches(columns, [group]))
                with _file_errors(self._file):
                    taken = pa.Table.from_batches(batches).take([index - begin for index in here]).to_pylist()
                found.update(zip(here, taken, strict=True))
            begin = end
        return found


@contextmanager
def _file_errors(file: LogFile) -> Iterator[None]:
    """Translates Arrow's errors about a file's content; those of the store are translated already."""
    try:
        yield
    except ObjectStoreError:
        raise
    except Exception as error:  # Arrow raises many types for a file that is cut short or made to be unreadable
        problem = " ".join(str(error).split())[:200] or type(error).__name__
        raise ObjectStoreError(f"store: {file.path}: {problem}", damaged=True) from error


LeftOut = Callable[[LogFile, ObjectStoreError], None]
"""Called for a damaged file that was left out."""


def log_left_out(_: LogFile, error: ObjectStoreError) -> None:
    """Logs a damaged file; the default."""
    _log.warning("a file of the verdict log is damaged, and left out: %s", error)


@contextmanager
def leaving_out(file: LogFile, left_out: LeftOut) -> Iterator[None]:
    """Leaves the block where the file is damaged, which is reported to `left_out`, or gone.

    Raises:
        ObjectStoreError: the store is away.
    """
    try:
        yield
    except ObjectStoreError as error:
        if error.damaged:
            left_out(file, error)
        elif not error.missing:  # else it was purged meanwhile
            raise


def read_log(
    store_url: str,
    since_ms: int,
    until_ms: int,
    columns: Sequence[str] | None = None,
    *,
    of: LogTable = VERDICTS,
    left_out: LeftOut = log_left_out,
) -> Iterator[pa.RecordBatch]:
    """Yields rows captured in [`since_ms`, `until_ms`), in Redis's milliseconds, file by file as they were written; of
    outcomes, rows published then.

    Args:
        columns: of the table's schema; None: all of them.
        left_out: called for each damaged file; rows before the damage may have been yielded.

    Raises:
        ObjectStoreError: the store is away.
    """
    store = ObjectStore(store_url)
    wanted = of.schema.names if columns is None else list(columns)
    read = [*wanted, *([of.time] if of.time not in wanted else [])]
    for folder in _folders_since(store, since_ms, of):
        for file in _files_within(store, folder, since_ms, until_ms):
            with leaving_out(file, left_out), LogReader(store, file) as reader:
                for batch in reader.batches(read):
                    within = _within(batch, of.time, since_ms, until_ms)
                    if within.num_rows:
                        yield within.select(wanted)


def count_rows(store: ObjectStore, since_ms: int, until_ms: int) -> int:
    """About how many verdicts `read_log` will read: files that are partly within the time count completely.

    Raises:
        ObjectStoreError: the store is away.
    """
    return sum(
        file.rows
        for folder in _folders_since(store, since_ms, VERDICTS)
        for file in _files_within(store, folder, since_ms, until_ms)
    )


def _folders_since(store: ObjectStore, since_ms: int, of: LogTable) -> list[str]:
    # Rows are written after their capture; an hour is left for differences of clocks.
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
