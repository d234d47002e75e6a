"""The keeping of the verdict log: what is too old is removed, and small files are merged into larger ones.

Each process of each worker writes a file every ten seconds; a day of them could not be searched within a minute. Both
go in slices under a lease, and each step leaves the log whole: a merged file says which ones it holds, they are passed
over from then on, and are removed when every reader that saw them has long ended.
"""

import logging
from collections.abc import Iterable
from itertools import groupby
from time import monotonic

import pyarrow as pa
from redis import Redis

from worker import rediskeys
from worker.errors import LeaseLostError, ObjectStoreError
from worker.lease import Lease, leased
from worker.objectstore import UNFINISHED, ObjectStore
from worker.redisdb import now_ms, store_errors
from worker.trouble import Troubles
from worker.verdictlog.files import HOUR_MS, LogFile, folders
from worker.verdictlog.reading import LogReader, files_in, write_table
from worker.verdictlog.tables import TABLES, table_in

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

LEASE = rediskeys.LOG_LEASE.name
KEPT = rediskeys.LOG_KEPT.name
"""When the log was last kept, in ms."""

KEEP_EVERY_MS = 300_000
SLICE_SECONDS = 4.0

MERGE_MS = 600_000
"""What was written within the same ten minutes is merged."""

CLOSED_MS = 60_000
"""After which nothing more of ten minutes is expected."""

MERGED_ROWS = 65_536
"""Of a merged file at most: about 60 MB while it is made."""

HELD_MS = 600_000
"""How long the files that a merged one holds stay, for readers that listed them before."""

UNFINISHED_MS = HOUR_MS
"""After which a file that is still being written has lost its writer."""


def merged_with(written_ms: int) -> int:
    """Files with the same number are merged with one another only."""
    return written_ms // MERGE_MS


def is_due(redis: Redis) -> bool:
    """Whether it is time again, and nobody is at it."""
    with store_errors():
        held, kept = redis.exists(LEASE), redis.get(KEPT)
        return not held and (kept is None or now_ms(redis) - int(kept) >= KEEP_EVERY_MS)


def keep_log(redis: Redis, store: ObjectStore, *, hours: float, seconds: float = SLICE_SECONDS) -> bool:
    """Does a slice of what is due, unless another process is at it. True: there is more to do at once."""
    until = monotonic() + seconds
    try:
        with leased(redis, LEASE) as lease:
            if lease is None:
                return False
            with store_errors():
                now = now_ms(redis)
            if not (
                purge(store, now_ms=now, hours=hours, until=until) and merge(store, lease, now_ms=now, until=until)
            ):
                return True
    except ObjectStoreError as error:
        _trouble.met("log", "the verdict log cannot be kept: %s", error)
    except LeaseLostError as error:
        _log.warning("keeping the verdict log: %s", error)
        return False
    else:
        _trouble.over("log", "the verdict log is kept again")
    finally:
        # Up to 60 MB that the next segments have no use for.
        pa.default_memory_pool().release_unused()
    with store_errors():
        redis.set(KEPT, now)
    return False


def purge(store: ObjectStore, *, now_ms: int, hours: float, until: float) -> bool:
    """Removes what was written over `hours` ago, what merged files hold, and what dead writers left; False: there was
    not enough time."""
    oldest_ms = now_ms - round(hours * HOUR_MS)
    for begin_ms, folder in [partition for table in TABLES for partition in folders(store, table.root)]:
        names = store.all_names(folder)
        files = [file for name in names if (file := LogFile.parse(folder, name)) is not None]
        gone = [file.name for file in files if file.written_ms < oldest_ms]
        gone += [name for name in names if name.endswith(UNFINISHED) and _written_ms(name) < now_ms - UNFINISHED_MS]
        gone += _held(store, [file for file in files if file.written_ms >= oldest_ms], now_ms)
        for name in gone:
            store.remove(f"{folder}/{name}")
            if monotonic() >= until:
                return False
        if begin_ms + HOUR_MS <= oldest_ms:
            store.remove_folder(folder)
            store.remove_folder(folder.rpartition("/")[0])
    return True


def _written_ms(name: str) -> int:
    digits = name.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


def _held(store: ObjectStore, files: Iterable[LogFile], now_ms: int) -> list[str]:
    """Names of those that merged ones hold, and that no reader has open any more."""
    there = {file.name for file in files}
    held: list[str] = []
    for file in files:
        if file.merged and len(there) > 1:
            with LogReader(store, file) as reader:
                if reader.merged_ms < now_ms - HELD_MS:
                    held += [name for name in reader.holds if name in there]
    return held


def merge(store: ObjectStore, lease: Lease, *, now_ms: int, until: float) -> bool:
    """Merges the small files of each ten minutes that are over; False: there was not enough time."""
    for _, folder in [partition for table in TABLES for partition in reversed(folders(store, table.root))]:
        small = [file for file in files_in(store, folder) if not file.merged]
        for number, of_ten_minutes in groupby(small, key=lambda file: merged_with(file.written_ms)):
            if (number + 1) * MERGE_MS + CLOSED_MS > now_ms:
                continue
            for part in _parts(of_ten_minutes):
                if len(part) > 1:
                    lease.check()
                    _merge(store, part, now_ms)
                if monotonic() >= until:
                    return False
    return True


def _parts(files: Iterable[LogFile]) -> list[list[LogFile]]:
    """Files that are merged into one each: of MERGED_ROWS at most, unless one has more by itself."""
    parts: list[list[LogFile]] = []
    rows = 0
    for file in files:
        if not parts or rows + file.rows > MERGED_ROWS:
            parts.append([])
            rows = 0
        parts[-1].append(file)
        rows += file.rows
    return parts


def _merge(store: ObjectStore, files: list[LogFile], now_ms: int) -> None:
    of = table_in(files[0].folder)
    batches: list[pa.RecordBatch] = []
    merged: list[LogFile] = []
    for file in files:
        try:
            with LogReader(store, file) as reader:
                batches += list(reader.batches(of.schema.names))
        except ObjectStoreError as error:
            if error.missing or isinstance(error.__cause__, pa.ArrowException):
                _log.warning("not merged: %s", error)
                continue
            raise
        merged.append(file)
    if len(merged) > 1:
        table = pa.Table.from_batches(batches, schema=of.schema)
        # The time of the last of them: what is purged with it is at most ten minutes older.
        written_ms = max(file.written_ms for file in merged)
        names = [file.name for file in merged]
        write_table(store, table, written_ms=written_ms, of=of, holds=names, merged_ms=now_ms)
