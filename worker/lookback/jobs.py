"""The state of look-backs in Redis: hashes that wait, jobs, and the position of each job.

The content and lifetime of each key are in `worker.store.redis_keys`. The values of `lw:lookback:waiting` and
`lw:lookback:sought:ID` are changes (`models.bank.delta.BankChange`, JSON; those of a complete list are in the store),
of `lw:lookback:files` "LIST VERSION", of `lw:lookback:jobs` a `Job` as JSON by its id, and of `lw:lookback:judged` a
`LateFile` as JSON by its path.
"""

import json
import logging
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from redis import Redis

from config.facts import ALLOW, SELFTEST
from models.bank.delta import BankChange, ChangeOp
from models.bank.entries import HashKind
from models.errors import ChangeError
from worker.bank.keys import CHANGES
from worker.store import redis_keys
from worker.store.lease import LEASE_MS, expire_within
from worker.store.redis_client import now_ms, run_script, store_errors, time_ms

_log = logging.getLogger(__name__)

POSITION: Final = redis_keys.LOOKBACK_POSITION.name
WAITING: Final = redis_keys.LOOKBACK_WAITING.name
UNCHECKED: Final = redis_keys.LOOKBACK_UNCHECKED.name
JUDGED: Final = redis_keys.LOOKBACK_JUDGED.name
JOBS: Final = redis_keys.LOOKBACK_JOBS.name
FOUND: Final = redis_keys.LOOKBACK_FOUND.name
TOLD: Final = redis_keys.LOOKBACK_TOLD.name
LEASE: Final = redis_keys.LOOKBACK_LEASE.name
REST: Final = redis_keys.LOOKBACK_REST.name
BULK_LEASE: Final = redis_keys.LOOKBACK_BULK_LEASE.name
BULK_REST: Final = redis_keys.LOOKBACK_BULK_REST.name
sought_key: Final = redis_keys.LOOKBACK_SOUGHT.of

LONGEST_DUE_MS: Final = 60_000
"""The longest time ahead of Redis's clock at which a late file of the log is due."""

REST_MS: Final = 15_000
"""After the store failed."""

GONE: Final = -2
"""PTTL of a key that does not exist."""

MOST_SOUGHT: Final = 5_000
"""Hashes of a job: comparing 10^7 logged pictures with them takes half a minute of one core."""

FOLLOWED_AT_ONCE: Final = 10_000

SETTLED_MS: Final = 30_000
"""Time after a hash's arrival by which pictures judged without it are usually logged: 2 s until the hash is in force
everywhere, 18 s for the longest segment, 10 s in the writer's buffer. Later files are compared separately
(`worker.lookback.late_files`)."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A set of hashes, and the position of the search for it."""

    id: str
    bulk: bool
    """It seeks a complete list (`worker.lookback.bulk`): its hashes are in the store."""
    since_ms: int
    """Pictures captured from then on (>=) are searched."""
    arrived_ms: int
    """Time when the last of the hashes came."""
    begun_ms: int
    """Time when the first pass began; files written later are left to the last pass."""
    last_pass: bool = False
    """The first pass goes from the newest file to the oldest; the last one searches files written meanwhile."""
    done_ms: int | None = None
    """Files written then or later are done in this pass; None: none is."""
    done_name: str = ""
    """The first name that is done among files written at `done_ms`."""

    @property
    def ready_ms(self) -> int:
        """Time when it may continue."""
        return self.arrived_ms + SETTLED_MS if self.last_pass else 0

    def is_ready(self, now_ms: int) -> bool:
        """Returns whether it may continue now. A hash that came in the future came before Redis's clock went back."""
        return self.ready_ms <= now_ms or self.arrived_ms > now_ms


def is_sought(change: BankChange) -> bool:
    """Returns whether the log is searched for a change: it adds a PDQ hash of known material."""
    entry = change.entry
    return (
        change.op is ChangeOp.ADD
        and entry is not None
        and entry.kind is HashKind.PDQ
        and change.list not in (ALLOW, SELFTEST)
    )


def is_due(redis: Redis) -> bool:
    """Returns whether anything is due and no process works on it. Cheap, since called every two seconds."""
    with store_errors():
        if _is_held(redis, LEASE, REST):
            return False
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        pipe.exists(WAITING, FOUND)
        pipe.hvals(JOBS)
        pipe.xrevrange(CHANGES, count=1)
        pipe.get(POSITION)
        pipe.zrange(UNCHECKED, 0, 0, withscores=True)
        pipe.zrange(UNCHECKED, -1, -1, withscores=True)
        pipe.time()
        waiting, jobs, newest, position, first, last, time = pipe.execute()
    unread = bool(newest) and str(newest[0][0]) != position
    now = time_ms(time)
    late = bool(first) and (first[0][1] <= now or last[0][1] > now + LONGEST_DUE_MS)
    return bool(waiting) or unread or late or bool(_ready(jobs, now, bulk=False))


def is_bulk_due(redis: Redis) -> bool:
    """As `is_due`, for complete lists."""
    with store_errors():
        return not _is_held(redis, BULK_LEASE, BULK_REST) and next_bulk_job(redis) is not None


def _is_held(redis: Redis, lease: str, rest: str) -> bool:
    """Returns whether a process holds the lease, or a failure was too recent."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.pttl(lease)
        pipe.pttl(rest)
        lease_ms, rest_ms = (int(left_ms) for left_ms in pipe.execute())
    # A key that lives longer than it is ever set for was set before Redis's clock went back.
    if lease_ms > LEASE_MS:
        expire_within(redis, lease, LEASE_MS)
    if rest_ms > REST_MS:
        redis.delete(rest)
    return lease_ms != GONE or (rest_ms != GONE and rest_ms <= REST_MS)


def read_changes(redis: Redis, *, hours: float) -> None:
    """Reads new changes of the bank: added hashes wait for a job, withdrawn ones are removed from jobs.

    Under the lease. If the process dies, it is done again: a hash that waits twice is searched for twice, and a match
    is raised once.
    """
    while True:
        after = str(redis.get(POSITION) or "0-0")
        elements = redis.xrange(CHANGES, min=f"({after}", count=FOLLOWED_AT_ONCE)
        if not elements:
            return
        oldest_ms = now_ms(redis) - round(hours * 3_600_000)
        added: list[str] = []
        withdrawn: set[tuple[str, str | None]] = set()
        for _, values in elements:
            change = _change(str((values or {}).get("change", "")))
            if change is None:
                continue
            if is_sought(change) and change.at_ms >= oldest_ms:
                added.append(change.to_json())
            elif change.op in (ChangeOp.REMOVE, ChangeOp.DROP_LIST):
                gone = (change.list, change.entry_id)
                added = [text for text in added if not _is_of({gone}, text)]
                withdrawn.add(gone)
        if withdrawn:
            _forget(redis, withdrawn)
        with redis.pipeline(transaction=True) as pipe:
            if added:
                pipe.rpush(WAITING, *added)
            pipe.set(POSITION, str(elements[-1][0]))
            pipe.execute()


def _change(text: str) -> BankChange | None:
    """None: it is damaged, or of a later version, whose look-back reads it."""
    try:
        return BankChange.from_json(text)
    except ChangeError:
        return None


def _is_of(withdrawn: set[tuple[str, str | None]], text: str) -> bool:
    """Returns whether a change adds one of those entries; None stands for all entries of the list."""
    change = _change(text)
    if change is None:
        return False
    entry_id = None if change.entry is None else change.entry.entry
    return (change.list, entry_id) in withdrawn or (change.list, None) in withdrawn


def _forget(redis: Redis, withdrawn: set[tuple[str, str | None]]) -> None:
    jobs = [sought_key(str(job_id)) for job_id in redis.hkeys(JOBS)]
    for key in (WAITING, *jobs):
        for text in redis.lrange(key, 0, -1):
            if _is_of(withdrawn, str(text)):
                redis.lrem(key, 0, str(text))


def next_job(redis: Redis, *, hours: float) -> Job | None:
    """Returns the next job for single hashes, in order of arrival. Under the lease; None: none is due now."""
    now = now_ms(redis)
    ready = _ready(redis.hvals(JOBS), now, bulk=False)
    # Jobs under way come before new hashes: else they might never end.
    return _first(ready) if ready else _make(redis, now=now, hours=hours)


def next_bulk_job(redis: Redis) -> Job | None:
    """Returns the next job for complete lists. Under their lease."""
    return _first(_ready(redis.hvals(JOBS), now_ms(redis), bulk=True))


def _ready(jobs: Iterable[object], now: int, *, bulk: bool) -> list[Job]:
    read = (read_job(text) for text in jobs)
    return [job for job in read if job is not None and job.bulk == bulk and job.is_ready(now)]


def _first(jobs: Iterable[Job]) -> Job | None:
    return min(jobs, key=lambda job: (job.ready_ms, job.arrived_ms, job.id), default=None)


def _make(redis: Redis, *, now: int, hours: float) -> Job | None:
    """Makes a job of the hashes that wait, of at most MOST_SOUGHT of them."""
    since_ms = now - round(hours * 3_600_000)
    job = Job(id=secrets.token_hex(8), bulk=False, since_ms=since_ms, arrived_ms=now, begun_ms=now)
    made = run_script(
        redis, "lookback_make", keys=[WAITING, JOBS, sought_key(job.id)], args=[MOST_SOUGHT, job.id, job_record(job)]
    )
    return job if made else None


def sought(redis: Redis, job: Job) -> list[BankChange]:
    """The hashes that a job for single hashes seeks."""
    read = (_change(str(text)) for text in redis.lrange(sought_key(job.id), 0, -1))
    return [change for change in read if change is not None]


def finish(redis: Redis, job: Job) -> None:
    """Removes a job that is done."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hdel(JOBS, job.id)
        pipe.delete(sought_key(job.id))
        pipe.execute()


def job_record(job: Job) -> str:
    """The record in Redis."""
    return json.dumps(asdict(job))


def read_job(text: object) -> Job | None:
    """Reads a record of `job_record`; None: it is damaged, or of a version with another form."""
    try:
        record = json.loads(str(text))
        known = {field.name: record[field.name] for field in fields(Job) if field.name in record}
        job = Job(**known)
        numbers = (job.since_ms, job.arrived_ms, job.begun_ms, 0 if job.done_ms is None else job.done_ms)
        names = (job.id, job.done_name)
        return job if all(isinstance(number, int) for number in numbers) and all(map(_is_text, names)) else None
    except (ValueError, TypeError, RecursionError):
        return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def look_backs(redis: Redis) -> dict[str, Any]:
    """Counts look-backs under way, and names those whose record is damaged, for `livewarden bank stats`.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        jobs = {str(job_id): read_job(text) for job_id, text in redis.hgetall(JOBS).items()}
    return {
        "look_backs": len(jobs),
        "look_backs_unreadable": sorted(job_id for job_id, job in jobs.items() if job is None),
    }
