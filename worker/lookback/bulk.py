"""Look-back for complete lists: imports too large for the stream of changes, and lists of files.

Their hashes wait in the store, not in Redis, PART of them a job. A separate process (`python -m worker.lookback.bulk`)
searches for them, since comparing so many takes longer than a task may. Its matches are raised by the tasks that raise
those of single hashes, which do not wait for it; so it needs no policy.
"""

import logging
import secrets
import threading
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from redis import Redis

from config.errors import LivewardenError
from models.bank.delta import BankChange
from models.bank.entries import Entry, HashKind
from worker.bank.changelog import read_pointer
from worker.bank.file_records import record_list_files
from worker.bank.folder_lists import FolderLists
from worker.bank.follower import BankFollower
from worker.bank.keys import FILES
from worker.bank.lists_in_force import ListsInForce
from worker.bank.publication import PreparedLookBack
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError, LeaseLostError, ObjectStoreError, StoreError
from worker.logs.failure_log import FailureLog
from worker.lookback.file_search import IN_BULK
from worker.lookback.jobs import BULK_LEASE, BULK_REST, JOBS, REST_MS, Job, is_bulk_due, job_record, next_bulk_job
from worker.lookback.search import LogSearch, search
from worker.processes.periodic import periodic
from worker.processes.subprocess_job import begin_job, run_subprocess_job
from worker.store.age_clock import age_ms
from worker.store.lease import leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect, now_ms, store_errors

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

CHECK_SECONDS = (2.0, 6.0)
"""Between two checks: at random, so that workers do not all start a search."""

REST_SECONDS = 60.0
"""After a failed search."""

FOLDER: Final = "lookback"
"""In the store: it has a file for each job."""
SUFFIX: Final = ".parquet"

PART: Final = 131_072
"""Hashes of a job: comparing them takes about 300 MB."""

ORPHAN_MS: Final = 3_600_000
"""After which a file without a job is removed: its writer died before it made the job, or after the job was done."""

_SCHEMA: Final = pa.schema(
    [
        ("list", pa.string()),
        ("entry", pa.string()),
        ("pdq", pa.binary(32)),
        ("tags", pa.list_(pa.string())),
        ("video", pa.string()),
        ("seconds", pa.float64()),
    ]
)


def keep_looking_back(
    redis: Redis, bank: BankFollower, store_url: str, hours: float, stopping: threading.Event
) -> None:
    """Enqueues new lists of files, and starts a search for complete lists when one is due and no other worker does,
    until `stopping` is set."""
    store: ObjectStore | None = None

    def step() -> float | None:
        nonlocal store
        _record_files(redis, bank.folder)
        store = ObjectStore(store_url) if store is None else store
        look_back_for_files(redis, store, bank.folder, hours=hours)
        return REST_SECONDS if is_bulk_due(redis) and not run_subprocess_job("worker.lookback.bulk", stopping) else None

    periodic(
        step,
        stopping,
        interval_seconds=CHECK_SECONDS,
        troubles=_trouble,
        failing="complete lists are not looked back for",
        well_again="complete lists are looked back for again",
    )


def _record_files(redis: Redis, folder: FolderLists) -> None:
    """Records lists of files in the audit log; trouble with that costs no look-back."""
    try:
        record_list_files(redis, {name: version for name, (version, _) in folder.lists.items()})
    except StoreError as error:
        _trouble.met("files", "changes of lists of files cannot be recorded in the audit log: %s", error)
    else:
        _trouble.over("files", "changes of lists of files are recorded in the audit log again")


def look_back_for_files(redis: Redis, store: ObjectStore, folder: FolderLists, *, hours: float) -> int:
    """Enqueues those lists of files that the log was not searched for in their present version; returns the number of
    hashes.

    Every worker sees the files. If two enqueue a list at the same time, the log is searched twice, and a match is
    raised once. A changed list is searched for completely: matches that were raised before are not raised again.

    Raises:
        ObjectStoreError, StoreError: it is tried again at the next check.
    """
    enqueued = 0
    with store_errors():
        now = now_ms(redis)
        for name, (version, entries) in folder.lists.items():
            seen = f"{name} {version}"
            if redis.zscore(FILES, seen) is None:
                enqueued += enqueue(redis, store, name, entries)
            redis.zadd(FILES, {seen: now})
        redis.zremrangebyscore(FILES, "-inf", age_ms(redis) - round(hours * 3_600_000))
    return enqueued


def enqueue(redis: Redis, store: ObjectStore, name: str, entries: Iterable[Entry], *, part: int = PART) -> int:
    """Enqueues entries of the list `name` that are not in the stream of changes, `part` of them a job.

    Returns the number of those that will be looked back for: entries with a PDQ hash.

    Raises:
        ObjectStoreError, StoreError: the store or Redis failed; some may be enqueued.
    """
    enqueued = 0
    with store_errors():
        for job, hashes in _written_jobs(redis, store, name, entries, part):
            redis.hset(JOBS, job.id, job_record(job))
            enqueued += hashes
    return enqueued


def prepare(
    redis: Redis, store: ObjectStore, name: str, entries: Iterable[Entry], *, part: int = PART
) -> PreparedLookBack:
    """As `enqueue`, for entries that are not in force yet: whoever publishes them enqueues the jobs.

    Raises:
        ObjectStoreError, StoreError: the store or Redis failed; nothing is enqueued.
    """
    with store_errors():
        jobs = list(_written_jobs(redis, store, name, entries, part))
    return PreparedLookBack(jobs={job.id: job_record(job) for job, _ in jobs}, hashes=sum(hashes for _, hashes in jobs))


def _written_jobs(
    redis: Redis, store: ObjectStore, name: str, entries: Iterable[Entry], part: int
) -> Iterator[tuple[Job, int]]:
    """Writes entries into the store; yields each job with the number of its hashes."""
    pdq = (entry for entry in entries if entry.kind is HashKind.PDQ)
    while entries_of_job := list(islice(pdq, part)):
        now = now_ms(redis)
        job = Job(id=f"{now}-{secrets.token_hex(8)}", bulk=True, since_ms=0, arrived_ms=now, begun_ms=now)
        _write(store, job, name, entries_of_job)
        yield job, len(entries_of_job)


def look_back_in_bulk(log_search: LogSearch) -> None:
    """Searches for all lists that are due, unless another process does.

    Raises:
        BankRequestError: this host does not have the snapshot in force yet; others search meanwhile.
        StoreError: Redis failed; matches so far are recorded, and the next process goes on from there.
    """
    try:
        with leased(log_search.redis, BULK_LEASE) as lease, store_errors():
            while lease is not None and (job := next_bulk_job(log_search.redis)) is not None:
                _expect_snapshot(log_search)
                for _ in search(log_search, lease, job, _read(log_search.store, job)):
                    lease.check()
                if job.last_pass:
                    log_search.store.remove(_path(job.id))
            if lease is not None:
                _tidy(log_search.redis, log_search.store)
    except ObjectStoreError as error:
        _trouble.met("store", "the look-back for a complete list waits for the store: %s", error)
        with store_errors():
            log_search.redis.set(BULK_REST, "1", px=REST_MS)
    except LeaseLostError as error:
        _log.warning("look-back: %s", error)


def _expect_snapshot(log_search: LogSearch) -> None:
    """A host that fetches a large snapshot takes its hashes for withdrawn ones meanwhile, and would find nothing."""
    in_force = read_pointer(log_search.redis).edition
    if log_search.bank().mark.edition != in_force:
        raise BankRequestError("this host does not have the hash bank's snapshot yet: another try comes in a minute")


def _path(job_id: str) -> str:
    return f"{FOLDER}/{job_id}{SUFFIX}"


def _write(store: ObjectStore, job: Job, name: str, entries: list[Entry]) -> None:
    columns = [
        [name] * len(entries),
        [entry.entry for entry in entries],
        [entry.value for entry in entries],
        [list(entry.tags) for entry in entries],
        [entry.video for entry in entries],
        [entry.seconds for entry in entries],
    ]
    table = pa.table(dict(zip(_SCHEMA.names, columns, strict=True)), schema=_SCHEMA)
    data = pa.BufferOutputStream()
    pq.write_table(table, data, compression="zstd")
    store.write(_path(job.id), memoryview(data.getvalue()))


def _read(store: ObjectStore, job: Job) -> list[BankChange]:
    """The hashes of a job; none if its file is gone or damaged, which is logged."""
    try:
        with store.open(_path(job.id)) as file:
            table = pq.read_table(file, schema=_SCHEMA)
        table.validate(full=True)
        return [change for batch in table.to_batches() for change in _changes(batch, job.arrived_ms)]
    except ObjectStoreError as error:
        if not error.missing and not error.damaged:
            raise
        _log.error("a list is not looked back for: %s", error)
    except Exception as error:  # pyarrow raises many types for a damaged file
        _log.error("a list is not looked back for: its hashes in the store are damaged: %s", error)
    return []


def _changes(batch: pa.RecordBatch, at_ms: int) -> Iterator[BankChange]:
    for row in batch.to_pylist():
        entry = Entry(
            entry=row["entry"],
            kind=HashKind.PDQ,
            value=row["pdq"],
            tags=tuple(row["tags"]),
            video=row["video"],
            seconds=row["seconds"],
        )
        yield BankChange.add(row["list"], entry, at_ms=at_ms)


def _tidy(redis: Redis, store: ObjectStore) -> None:
    """Removes files that no job needs any more."""
    names = [name.removesuffix(SUFFIX) for name in store.names(FOLDER)]
    jobs = {str(job_id) for job_id in redis.hkeys(JOBS)}
    oldest_ms = now_ms(redis) - ORPHAN_MS
    for name in names:
        written = name.partition("-")[0]
        if name not in jobs and written.isdecimal() and int(written) < oldest_ms:
            store.remove(_path(name))


def main() -> None:
    """Looks back for all lists that wait, by the environment's settings."""
    settings = begin_job()
    with connect(settings.redis_url.get_secret_value()) as redis:
        follower = BankFollower(redis, SnapshotStorage.of(settings), settings.lists_dir)

        def bank() -> ListsInForce:
            follower.refresh()
            return follower.in_force()

        try:
            store = ObjectStore(settings.store_url)
            hours = settings.verdict_log_hours
            look_back_in_bulk(LogSearch(redis=redis, store=store, bank=bank, hours=hours, pace=IN_BULK))
        except LivewardenError as error:
            _log.warning("look-back for a complete list: %s", error)
            raise SystemExit(1) from error


if __name__ == "__main__":
    main()
