"""The look-back for single hashes: the verdict log is searched for a new hash, and streams that showed it are escalated
as live ones are.

The search runs in slices under a lease, and its position is in Redis: a killed look-back continues where it was.
Matches are recorded in the same step, and raised from the record: once, at whatever step a process dies.
"""

import json
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from time import monotonic

from redis import Redis
from redis.exceptions import RedisError

from config.counts import counted
from config.errors import LivewardenError
from config.policy.policy import Policy
from models.bank.bank import Bank
from models.bank.delta import BankChange
from worker.bank.lists_in_force import BankSource
from worker.errors import LeaseLostError, ObjectStoreError
from worker.logs.failure_log import FailureLog
from worker.lookback.file_search import IN_A_TASK, HashQuery, LoggedMatch, SearchPace, files_left, scan
from worker.lookback.jobs import (
    FOUND,
    JOBS,
    LEASE,
    REST,
    REST_MS,
    TOLD,
    Job,
    finish,
    job_record,
    next_job,
    read_changes,
    sought,
)
from worker.lookback.late_files import next_late
from worker.lookback.matches import WatchMatches, groups_of, in_parts, raise_watch_matches
from worker.lookback.recheck import Recheck
from worker.store.age_clock import age_ms
from worker.store.lease import Lease, leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, run_script, store_errors
from worker.verdictlog.damaged import damage_recorder

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

SLICE_SECONDS = 4.0
"""The slice of one task: with the current step well under the time limit of tasks."""

TOLD_SPARE_MS = 3_600_000
"""The time beyond the log's for which a hit is remembered as raised."""


@dataclass(frozen=True, kw_only=True)
class LogSearch:
    """The means of a search of the verdict log; only raising its matches needs a policy."""

    redis: Redis
    store: ObjectStore
    bank: BankSource
    """Returns the lists as they are at least since the changes that are taken up."""
    hours: float
    """The age of the oldest pictures that are searched."""
    pace: SearchPace = IN_A_TASK


@dataclass(frozen=True, kw_only=True)
class Lookback(LogSearch):
    """The means of a search whose matches are raised as incidents."""

    policy: Policy
    deployment: str


def look_back(lookback: Lookback, *, seconds: float = SLICE_SECONDS) -> bool:
    """Works on what is due for one slice, unless another process does. True: more is due immediately.

    Raises:
        StoreError: Redis failed; matches so far are raised by the next slice.
    """
    until = monotonic() + seconds
    try:
        with leased(lookback.redis, LEASE) as lease:
            if lease is None:
                return False
            with store_errors():
                read_changes(lookback.redis, hours=lookback.hours)
                more = _go_on(lookback, lease, until)
            _trouble.over("log", "the look-back goes on")
            return more
    except ObjectStoreError as error:
        _trouble.met("log", "the look-back waits for the verdict log: %s", error)
        with store_errors():
            lookback.redis.set(REST, "1", px=REST_MS)
    except LeaseLostError as error:
        _log.warning("look-back: %s", error)
    return False


def _go_on(lookback: Lookback, lease: Lease, until: float) -> bool:
    raise_matches(lookback, until=until)
    # Half of the slice each: neither late files nor new hashes wait for all of the other.
    _recheck(lookback, lease, (monotonic() + until) / 2)
    while monotonic() < until:
        job = next_job(lookback.redis, hours=lookback.hours)
        if job is None:
            return _recheck(lookback, lease, until)
        for new in search(lookback, lease, job, sought(lookback.redis, job)):
            if new:
                raise_matches(lookback, until=until)
            if monotonic() >= until:
                return True
    return True


def _recheck(lookback: Lookback, lease: Lease, until: float) -> bool:
    """Compares late files with hashes that came meanwhile. True: there are more."""
    rechecking = Recheck(redis=lookback.redis, store=lookback.store, bank=lookback.bank, lease=lease)
    while (late := next_late(lookback.redis)) is not None:
        if monotonic() >= until:
            return True
        try:
            new = rechecking.step(late)
        except (LivewardenError, RedisError, OSError):
            raise
        except Exception:
            # A retry would fail likewise, and keep all others waiting indefinitely.
            _log.exception("%s: cannot be compared with hashes that came after its pictures were judged", late.path)
            rechecking.give_up(late)
            continue
        if new:
            raise_matches(lookback, until=until)
    return False


def search(log_search: LogSearch, lease: Lease, job: Job, changes: Sequence[BankChange]) -> Iterator[int]:
    """Continues the search for one job to the end of its pass; after each step, which is recorded, yields the number of
    new hits.

    Raises:
        LeaseLostError: another process searches now.
        ObjectStoreError: the store is away.
    """
    in_force = log_search.bank()
    wanted = HashQuery.of(changes, in_force.bank.specs, in_force.versions)
    if wanted.size < len(changes):
        gone = counted(len(changes) - wanted.size, "hash", "are")
        _log.warning("%s of lists that do not exist any more: not looked back for", gone)
    if wanted.size:
        files, left_out = files_left(log_search.store, job), damage_recorder(log_search.redis)
        for step in scan(log_search.store, files, wanted, job, log_search.pace, left_out=left_out):
            lease.check()
            found = _still_listed(step.found, wanted, log_search.bank().bank) if job.bulk and step.found else step.found
            yield _note(log_search, lease, job, step.job, groups_of(wanted.matched(found)))
            job = step.job
    if not job.last_pass:
        yield _note(log_search, lease, job, replace(job, last_pass=True, done_ms=None, done_name=""))
        return
    lease.check()
    finish(log_search.redis, job)
    oldest_ms = age_ms(log_search.redis) - round(log_search.hours * 3_600_000) - TOLD_SPARE_MS
    log_search.redis.zremrangebyscore(TOLD, "-inf", oldest_ms)


def _still_listed(found: Sequence[LoggedMatch], wanted: HashQuery, bank: Bank) -> list[LoggedMatch]:
    """The matches whose entry was not withdrawn since: a job for a complete list keeps entries that are withdrawn."""
    return [
        one
        for one in found
        if any(
            entry.value == wanted.entries[one.sought].value
            for entry in bank.exact(wanted.lists[one.sought], wanted.entries[one.sought].entry)
        )
    ]


def _note(log_search: LogSearch, lease: Lease, before: Job, after: Job, groups: Sequence[WatchMatches] = ()) -> int:
    """Records matches, and with the last of them the job's position; returns the number of new hits.

    If the process dies in between, they are found again from `before` on.
    """
    new = 0
    parts = in_parts(groups)
    for number, part in enumerate(parts):
        job = after if number == len(parts) - 1 else before
        added = int(
            run_script(
                log_search.redis,
                "lookback_found",
                keys=[lease.key, JOBS, TOLD, FOUND],
                args=[lease.token, job.id, job_record(job), now_ms(log_search.redis), json.dumps(part)],
            )
        )
        if added < 0:
            raise LeaseLostError(f"{lease.key}: another process holds the lease now")
        new += added
    if new:
        _log.info(
            "the look-back found %s of %s that new hashes match",
            counted(new, "picture"),
            counted(len(groups), "stream"),
        )
    return new


def raise_matches(lookback: Lookback, *, until: float) -> None:
    """Raises recorded matches, as far as there is time."""
    if not lookback.redis.exists(FOUND):
        return
    in_force = lookback.bank()
    for name, text in lookback.redis.hscan_iter(FOUND, count=100):
        if monotonic() >= until:
            return
        try:
            raise_watch_matches(
                lookback.redis, str(text), policy=lookback.policy, in_force=in_force, deployment=lookback.deployment
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # A retry would fail likewise, and keep all others waiting indefinitely.
            _log.error("a match of the look-back (%s) cannot be read: %s", name, type(error).__name__)
        lookback.redis.hdel(FOUND, str(name))
