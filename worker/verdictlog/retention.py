"""The keeping of the verdict log: what is too old is removed, and small files are merged into larger ones.

Each process of each worker writes a file every ten seconds; a day of them could not be searched within a minute. Both
go in slices under a lease, and each step leaves the log whole: a merged file says which ones it holds, they are passed
over from then on, and are removed when every reader that saw them has long ended.
"""

import logging
import random
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from functools import partial
from itertools import groupby
from time import monotonic
from types import MappingProxyType

import pyarrow as pa
from redis import Redis

from worker.errors import LeaseLostError, ObjectStoreError
from worker.logs.failure_log import Troubles
from worker.store import redis_keys
from worker.store.age_clock import age_ms
from worker.store.lease import Lease, leased
from worker.store.object_store import UNFINISHED, ObjectStore
from worker.store.redis_client import is_recent, now_ms, store_errors
from worker.verdictlog.damaged import DAMAGED, look_again, noting, tell_damaged
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.files import HOUR_MS, LogFile, folders
from worker.verdictlog.reading import LeftOut, LogReader, files_and_replaced, log_left_out
from worker.verdictlog.tables import TABLES, table_in

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

LEASE = redis_keys.LOG_LEASE.name
KEPT = redis_keys.LOG_KEPT.name
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

MOST_REFUSED = 3
"""Removals that the store refuses in a folder, before the next folder is purged: a folder's rights go for all in it."""

UNFINISHED_MS = HOUR_MS
"""After which a file that is still being written has lost its writer."""


def merged_with(written_ms: int) -> int:
    """Files with the same number are merged with one another only."""
    return written_ms // MERGE_MS


def is_due(redis: Redis) -> bool:
    """Whether it is time again, and nobody is at it."""
    with store_errors():
        held, kept = redis.exists(LEASE), redis.get(KEPT)
        return not held and not is_recent(kept, now_ms(redis), KEEP_EVERY_MS)


def keep_log(
    redis: Redis,
    store: ObjectStore,
    *,
    hours: float,
    deployment: str = "local",
    when_whole: Callable[[str], None] = lambda _: None,
    seconds: float = SLICE_SECONDS,
) -> bool:
    """Does a slice of what is due, unless another process is at it. True: there is more to do at once.

    Args:
        when_whole: is told the path of a file that was damaged, and can be read now.
    """
    until = monotonic() + seconds
    try:
        with leased(redis, LEASE) as lease:
            if lease is None:
                return False
            with store_errors():
                now, aged, left_out = now_ms(redis), age_ms(redis), noting(redis)
                half = (monotonic() + until) / 2
                purged = purge(store, now_ms=aged, hours=hours, until=half, left_out=left_out)
                half = (monotonic() + until) / 2
                look_again(redis, _listing(store), partial(_is_damaged, store), when_whole, until=half)
                damaged = frozenset(map(str, redis.hkeys(DAMAGED)))
                oldest = aged - round(hours * HOUR_MS)
                if not merge(
                    store, lease, now_ms=aged, until=until, left_out=left_out, skipped=damaged, oldest_ms=oldest
                ):
                    return True
                tell_damaged(redis, deployment=deployment)
                if not purged:
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


def _listing(store: ObjectStore) -> Callable[[str], bool]:
    """Whether there is a file of that path, of folders that are listed once each."""
    names: dict[str, frozenset[str]] = {}

    def is_listed(path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if folder not in names:
            names[folder] = frozenset(store.names(folder))
        return name in names[folder]

    return is_listed


def _is_damaged(store: ObjectStore, path: str) -> bool | None:
    """Whether a file still is; None: it is gone."""
    folder, _, name = path.rpartition("/")
    file = LogFile.parse(folder, name)
    if file is None or name not in store.names(folder):
        return None
    try:
        with LogReader(store, file) as reader:
            reader.check()
    except ObjectStoreError as error:
        if error.missing:
            return None
        if error.damaged:
            return True
        raise
    return False


def purge(store: ObjectStore, *, now_ms: int, hours: float, until: float, left_out: LeftOut = log_left_out) -> bool:
    """Removes what was written over `hours` ago, what merged files hold, and what dead writers left; False: there was
    not enough time, though files were removed.

    Age is told by names and folders alone: a file that cannot be read is as old as one that can. The order is random:
    files that the store refuses to remove are passed over, and must not use up the time of the same others each time.
    """
    oldest_ms = now_ms - round(hours * HOUR_MS)
    removed = refused = 0
    partitions = [partition for table in TABLES for partition in folders(store, table.root)]
    random.shuffle(partitions)
    for begin_ms, folder in partitions:
        names = store.all_names(folder)
        files = [file for name in names if (file := LogFile.parse(folder, name)) is not None]
        over = begin_ms + HOUR_MS <= oldest_ms
        old = {file.name for file in files if over or file.written_ms < oldest_ms}
        gone = sorted(old)
        gone += [name for name in names if name.endswith(UNFINISHED) and _written_ms(name) < now_ms - UNFINISHED_MS]
        gone += _held(store, [file for file in files if file.name not in old], now_ms, left_out)
        random.shuffle(gone)
        refused_here = 0
        for name in gone:
            if _remove(store, f"{folder}/{name}"):
                removed += 1
            else:
                refused_here += 1
            if monotonic() >= until:
                return not removed
            if refused_here >= MOST_REFUSED:
                break
        refused += refused_here
        if over:
            store.remove_folder(folder)
            store.remove_folder(folder.rpartition("/")[0])
    if not refused:
        _trouble.over("purge", "all that is due is purged from the verdict log again")
    return True


def _written_ms(name: str) -> int:
    digits = name.partition("-")[0]
    return int(digits) if digits.isdecimal() else 0


def _remove(store: ObjectStore, path: str) -> bool:
    """Removes a file; False: the store refuses to, which must not keep the others there."""
    try:
        store.remove(path)
    except ObjectStoreError as error:
        if not error.damaged and not isinstance(error.__cause__, PermissionError):
            raise
        _trouble.met("purge", "not purged: %s", error)
        return False
    return True


def _held(store: ObjectStore, files: Sequence[LogFile], now_ms: int, left_out: LeftOut) -> list[str]:
    """Names of those that merged ones hold, and that no reader has open any more."""
    there = {file.name for file in files}
    held: list[str] = []
    for file in files:
        if not file.merged or len(there) == 1:
            continue
        try:
            with LogReader(store, file) as reader:
                of_file = [name for name in reader.holds if name in there and name != file.name]
                if of_file and reader.merged_ms < now_ms - HELD_MS:
                    reader.check()  # once: what it was merged from is whole, as long as it is there
                    held += of_file
        except ObjectStoreError as error:
            if error.damaged:
                left_out(file, error)
            elif not error.missing:
                raise
    return held


def merge(
    store: ObjectStore,
    lease: Lease,
    *,
    now_ms: int,
    until: float,
    left_out: LeftOut = log_left_out,
    skipped: Set[str] = frozenset(),
    oldest_ms: int = 0,
) -> bool:
    """Merges the small files of each ten minutes that are over; False: there was not enough time.

    Args:
        left_out: is told of each file that is damaged.
        skipped: paths of files that are known to be so.
        oldest_ms: what was written earlier (<) is due to be removed, and not merged.
    """
    for _, folder in [partition for table in TABLES for partition in reversed(folders(store, table.root))]:
        files, replaced = files_and_replaced(store, folder)
        for name in replaced:
            if (file := LogFile.parse(folder, name)) is not None:
                problem = f"store: {file.path}: its content is damaged; what it was merged from is read in its place"
                left_out(file, ObjectStoreError(problem, damaged=True))
        small = [
            file for file in files if not file.merged and file.path not in skipped and file.written_ms >= oldest_ms
        ]
        for number, of_ten_minutes in groupby(small, key=lambda file: merged_with(file.written_ms)):
            if (number + 1) * MERGE_MS + CLOSED_MS > now_ms:
                continue
            for part in _parts(of_ten_minutes):
                if len(part) > 1:
                    lease.check()
                    _merge(store, part, now_ms, left_out, replaced)
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


def _merge(
    store: ObjectStore,
    files: list[LogFile],
    now_ms: int,
    left_out: LeftOut = log_left_out,
    replaced: Mapping[str, frozenset[str]] = MappingProxyType({}),
) -> None:
    """Merges files into one; it holds as well those of `replaced`, damaged merged files, whose rows it has."""
    of = table_in(files[0].folder)
    batches: list[pa.RecordBatch] = []
    merged: list[LogFile] = []
    for file in files:
        try:
            with LogReader(store, file) as reader:
                batches += list(reader.batches(of.schema.names))
        except ObjectStoreError as error:
            if error.damaged:
                left_out(file, error)
            elif not error.missing:
                raise
            continue
        merged.append(file)
    if len(merged) > 1:
        table = pa.Table.from_batches(batches, schema=of.schema)
        # The time of the last of them: what is purged with it is at most ten minutes older.
        written_ms = max(file.written_ms for file in merged)
        names = [file.name for file in merged]
        names += [name for name, of_file in replaced.items() if not of_file.isdisjoint(names)]
        write_table(store, table, written_ms=written_ms, of=of, holds=names, merged_ms=now_ms)
