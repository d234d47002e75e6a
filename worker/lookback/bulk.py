"""Looking back for lists that came in whole: imports too large for the stream of changes, and files of lists.

Their hashes wait in the store, not in Redis, PART of them a job. A process of its own searches for them, since
comparing with so many takes longer than a task may.
What it finds is raised by the tasks that raise what is found for single hashes, which do not wait for it.
"""

import logging
import secrets
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import pyarrow as pa
import pyarrow.parquet as pq
from redis import Redis

from models.bank.delta import BankChange
from models.bank.entries import Entry, HashKind
from worker.errors import LeaseLostError, ObjectStoreError
from worker.logs.failure_log import Troubles
from worker.lookback.jobs import BULK_LEASE, BULK_REST, JOBS, REST_MS, Job, job_record, next_bulk_job
from worker.lookback.search import Lookback, search
from worker.store.lease import leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, store_errors

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

FOLDER: Final = "lookback"
"""Of the store: a file a job."""
SUFFIX: Final = ".parquet"

PART: Final = 131_072
"""Hashes of a job: what is compared with them takes about 300 MB."""

ORPHAN_MS: Final = 3_600_000
"""After which a file of no job is removed: whoever wrote it died before it made the job, or after the job was done."""

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


def enqueue(redis: Redis, store: ObjectStore, name: str, entries: Iterable[Entry], *, part: int = PART) -> int:
    """Has the log searched for entries of the list `name` that are not in the stream of changes, `part` of them a job.

    Gives how many will be looked back for: those of PDQ hashes.

    Raises:
        ObjectStoreError, StoreError: the store or Redis failed; some may have been taken.
    """
    taken = 0
    pdq = (entry for entry in entries if entry.kind is HashKind.PDQ)
    while entries_of_job := list(islice(pdq, part)):
        with store_errors():
            now = now_ms(redis)
            job = Job(id=f"{now}-{secrets.token_hex(8)}", bulk=True, since_ms=0, arrived_ms=now, begun_ms=now)
            _write(store, job, name, entries_of_job)
            redis.hset(JOBS, job.id, job_record(job))
        taken += len(entries_of_job)
    return taken


def look_back_in_bulk(looking: Lookback) -> None:
    """Searches for all that is due, unless another process is at it.

    Raises:
        StoreError: Redis failed; what was found is written down, and the next one goes on from there.
    """
    try:
        with leased(looking.redis, BULK_LEASE) as lease, store_errors():
            while lease is not None and (job := next_bulk_job(looking.redis)) is not None:
                for _ in search(looking, lease, job, _read(looking.store, job)):
                    lease.check()
                if job.last_pass:
                    looking.store.remove(_path(job.id))
            if lease is not None:
                _tidy(looking.redis, looking.store)
    except ObjectStoreError as error:
        _trouble.met("store", "looking back for a whole list waits for the store: %s", error)
        with store_errors():
            looking.redis.set(BULK_REST, "1", px=REST_MS)
    except LeaseLostError as error:
        _log.warning("looking back: %s", error)


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
    """The hashes of a job; none where its file is gone or damaged, which is told in the log."""
    try:
        with store.open(_path(job.id)) as file:
            table = pq.read_table(file, schema=_SCHEMA)
        table.validate(full=True)
        return [change for batch in table.to_batches() for change in _changes(batch, job.arrived_ms)]
    except ObjectStoreError as error:
        if not error.missing and not error.damaged:
            raise
        _log.error("a list is not looked back for: %s", error)
    except Exception as error:  # of many kinds; the store's own are told as ours
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
    """Removes what no job needs any more."""
    names = [name.removesuffix(SUFFIX) for name in store.names(FOLDER)]
    jobs = {str(job_id) for job_id in redis.hkeys(JOBS)}
    oldest_ms = now_ms(redis) - ORPHAN_MS
    for name in names:
        written = name.partition("-")[0]
        if name not in jobs and written.isdecimal() and int(written) < oldest_ms:
            store.remove(_path(name))
