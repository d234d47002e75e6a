"""Retention of the verdict log: old files are removed, and small files are merged into larger ones.

Each process of each worker writes a file every ten seconds; a day of them could not be searched within a minute. Both
run in slices under a lease, and each step leaves the log consistent: a merged file names its sources, readers skip
these from then on, and they are removed when every reader that listed them has long ended.
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
from worker.logs.failure_log import FailureLog
from worker.store import redis_keys
from worker.store.age_clock import age_ms
from worker.store.lease import Lease, leased
from worker.store.object_store import UNFINISHED, ObjectStore
from worker.store.redis_client import is_recent, now_ms, store_errors
from worker.verdictlog.damaged import DAMAGED, damage_recorder, publish_damage, recheck_damaged
from worker.verdictlog.file_writing import write_table
from worker.verdictlog.files import HOUR_MS, LogFile, folders
from worker.verdictlog.reading import LeftOut, LogReader, files_and_replaced, leaving_out, log_left_out
from worker.verdictlog.tables import TABLES, table_in

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

LEASE = redis_keys.LOG_LEASE.name
KEPT = redis_keys.LOG_KEPT.name
"""Time when this was last done, in ms."""

KEEP_EVERY_MS = 300_000
SLICE_SECONDS = 4.0

MERGE_MS = 600_000
"""Files written within the same ten minutes are merged."""

CLOSED_MS = 60_000
"""After which no more files of ten minutes are expected."""

MERGED_ROWS = 65_536
"""Most rows of a merged file: about 60 MB while it is written."""

HELD_MS = 600_000
"""The time for which the sources of a merged file stay, for readers that listed them before."""

MOST_REFUSED = 3
"""Removals that the store refuses in a folder, before the next folder is purged: a folder's rights hold for all its
files."""

UNFINISHED_MS = HOUR_MS
"""After which an unfinished file has lost its writer."""


def merged_with(written_ms: int) -> int:
    """Returns the number of a file's ten minutes; only files of one number are merged with one another."""
    return written_ms // MERGE_MS


def is_due(redis: Redis) -> bool:
    """Returns whether it is time again, and no process does it."""
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
    """Works on what is due for one slice, unless another process does. True: more is due immediately.

    Args:
        when_whole: called with the path of a file that was damaged and can be read now.
    """
    until = monotonic() + seconds
    try:
        with leased(redis, LEASE) as lease:
            if lease is None:
                return False
            with store_errors():
                now, aged, left_out = now_ms(redis), age_ms(redis), damage_recorder(redis)
                half = (monotonic() + until) / 2
                purged = purge(store, now_ms=aged, hours=hours, until=half, left_out=left_out)
                half = (monotonic() + until) / 2
                recheck_damaged(redis, _listing(store), partial(_is_damaged, store), when_whole, until=half)
                damaged = frozenset(map(str, redis.hkeys(DAMAGED)))
                oldest = aged - round(hours * HOUR_MS)
                if not merge(
                    store, lease, now_ms=aged, until=until, left_out=left_out, skipped=damaged, oldest_ms=oldest
                ):
                    return True
                publish_damage(redis, deployment=deployment)
                if not purged:
                    return True
    except ObjectStoreError as error:
        _trouble.met("log", "the verdict log cannot be purged and merged: %s", error)
    except LeaseLostError as error:
        _log.warning("retention of the verdict log: %s", error)
        return False
    else:
        _trouble.over("log", "the verdict log is purged and merged again")
    finally:
        # Up to 60 MB that the next segments do not use.
        pa.default_memory_pool().release_unused()
    with store_errors():
        redis.set(KEPT, now)
    return False


def _listing(store: ObjectStore) -> Callable[[str], bool]:
    """Returns a function that tests whether a path exists; it lists each folder once."""
    names: dict[str, frozenset[str]] = {}

    def is_listed(path: str) -> bool:
        folder, _, name = path.rpartition("/")
        if folder not in names:
            names[folder] = frozenset(store.names(folder))
        return name in names[folder]

    return is_listed


def _is_damaged(store: ObjectStore, path: str) -> bool | None:
    """Returns whether a file is still damaged; None: it is gone."""
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
    """Removes files written over `hours` ago, sources of merged files, and files of dead writers; False: the time was
    over, though files were removed.

    Names and folders alone give a file's age, so that an unreadable file ages too. The order is random: files that the
    store refuses to remove are skipped, and must not use up the time of the same others each time.
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
    """Removes a file; False: the store refuses, which must not keep other files from being removed."""
    try:
        store.remove(path)
    except ObjectStoreError as error:
        if not error.damaged and not isinstance(error.__cause__, PermissionError):
            raise
        _trouble.met("purge", "not purged: %s", error)
        return False
    return True


def _held(store: ObjectStore, files: Sequence[LogFile], now_ms: int, left_out: LeftOut) -> list[str]:
    """Names of the sources of merged files that no reader has open any more."""
    there = {file.name for file in files}
    held: list[str] = []
    for file in files:
        if not file.merged or len(there) == 1:
            continue
        with leaving_out(file, left_out), LogReader(store, file) as reader:
            of_file = [name for name in reader.holds if name in there and name != file.name]
            if of_file and reader.merged_ms < now_ms - HELD_MS:
                reader.check()  # before its sources, which have the same rows, are removed
                held += of_file
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
    """Merges the small files of each ten minutes that are over; False: the time was over first.

    Args:
        left_out: called for each damaged file.
        skipped: paths of files that are known to be damaged.
        oldest_ms: files written earlier (<) are due to be removed, and not merged.
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
    """Groups files that are merged into one: of MERGED_ROWS at most, unless one file alone has more."""
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
    """Merges files into one; it also counts as a merge of damaged merged files of `replaced` whose rows it has."""
    of = table_in(files[0].folder)
    batches: list[pa.RecordBatch] = []
    merged: list[LogFile] = []
    for file in files:
        with leaving_out(file, left_out), LogReader(store, file) as reader:
            batches += list(reader.batches(of.schema.names))
            merged.append(file)
    if len(merged) > 1:
        table = pa.Table.from_batches(batches, schema=of.schema)
        # The time of the last of them: what is purged with it is at most ten minutes older.
        written_ms = max(file.written_ms for file in merged)
        names = [file.name for file in merged]
        names += [name for name, of_file in replaced.items() if not of_file.isdisjoint(names)]
        write_table(store, table, written_ms=written_ms, of=of, holds=names, merged_ms=now_ms)
