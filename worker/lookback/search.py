"""Looking back: a hash that has just come is searched for in what was judged without it, and streams that already
showed it are escalated, the way that live ones are.

The search goes in slices under a lease, and how far it has come is in Redis: a killed look-back goes on where it was.
What it finds is written down in the same step, and raised from there: once, whoever dies over it.
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
from worker.bank.follower import BankSource
from worker.errors import LeaseLostError, ObjectStoreError
from worker.logs.failure_log import Troubles
from worker.lookback.file_search import IN_A_TASK, LoggedMatch, SearchPace, Sought, files_left, scan
from worker.lookback.found import WatchMatches, groups_of, in_parts, raise_group
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
    sought,
    take_up,
)
from worker.lookback.late import next_late
from worker.lookback.recheck import Recheck
from worker.store.age_clock import age_ms
from worker.store.lease import Lease, leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, run_script, store_errors
from worker.verdictlog.damaged import noting

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

SLICE_SECONDS = 4.0
"""Of one task: with the step in hand well under the time limit of tasks."""

TOLD_SPARE_MS = 3_600_000
"""How much longer than the log, hits are remembered as told."""


@dataclass(frozen=True, kw_only=True)
class Lookback:
    """What a look-back works with."""

    redis: Redis
    store: ObjectStore
    policy: Policy
    bank: BankSource
    """Gives the lists as they are at least since the changes that are taken up."""
    deployment: str
    hours: float
    """How far back."""
    pace: SearchPace = IN_A_TASK


def look_back(looking: Lookback, *, seconds: float = SLICE_SECONDS) -> bool:
    """Does a slice of what is due, unless another process is at it. True: there is more to do at once.

    Raises:
        StoreError: Redis failed; what was found by then is raised by the next slice.
    """
    until = monotonic() + seconds
    try:
        with leased(looking.redis, LEASE) as lease:
            if lease is None:
                return False
            with store_errors():
                take_up(looking.redis, hours=looking.hours)
                more = _go_on(looking, lease, until)
            _trouble.over("log", "looking back goes on")
            return more
    except ObjectStoreError as error:
        _trouble.met("log", "looking back waits for the verdict log: %s", error)
        with store_errors():
            looking.redis.set(REST, "1", px=REST_MS)
    except LeaseLostError as error:
        _log.warning("looking back: %s", error)
    return False


def _go_on(looking: Lookback, lease: Lease, until: float) -> bool:
    raise_found(looking, until=until)
    # Neither keeps the other waiting, however much of it there is.
    _recheck(looking, lease, (monotonic() + until) / 2)
    while monotonic() < until:
        job = next_job(looking.redis, hours=looking.hours)
        if job is None:
            return _recheck(looking, lease, until)
        for new in search(looking, lease, job, sought(looking.redis, job)):
            if new:
                raise_found(looking, until=until)
            if monotonic() >= until:
                return True
    return True


def _recheck(looking: Lookback, lease: Lease, until: float) -> bool:
    """Compares files that came late with what came meanwhile. True: there are more."""
    rechecking = Recheck(redis=looking.redis, store=looking.store, bank=looking.bank, lease=lease)
    while (late := next_late(looking.redis)) is not None:
        if monotonic() >= until:
            return True
        try:
            new = rechecking.step(late)
        except (LivewardenError, RedisError, OSError):
            raise
        except Exception:
            # Trying again would end the same way, and keep all others waiting for ever.
            _log.exception("%s: cannot be compared with hashes that came since it was judged", late.path)
            rechecking.give_up(late)
            continue
        if new:
            raise_found(looking, until=until)
    return False


def search(looking: Lookback, lease: Lease, job: Job, changes: Sequence[BankChange]) -> Iterator[int]:
    """Searches on for one job, to the end of its pass; after each step, which is written down, gives how many hits are
    new.

    Raises:
        LeaseLostError: another process searches now.
        ObjectStoreError: the store is away.
    """
    in_force = looking.bank()
    wanted = Sought.of(changes, in_force.bank.specs, in_force.versions)
    if wanted.size < len(changes):
        gone = counted(len(changes) - wanted.size, "hash", "are")
        _log.warning("%s of lists that are no more: not looked back for", gone)
    if wanted.size:
        files, left_out = files_left(looking.store, job), noting(looking.redis)
        for step in scan(looking.store, files, wanted, job, looking.pace, left_out=left_out):
            lease.check()
            found = _still_listed(step.found, wanted, looking.bank().bank) if job.bulk and step.found else step.found
            yield _note(looking, lease, job, step.job, groups_of(wanted.matched(found)))
            job = step.job
    if not job.last_pass:
        yield _note(looking, lease, job, replace(job, last_pass=True, done_ms=None, done_name=""))
        return
    lease.check()
    finish(looking.redis, job)
    oldest_ms = age_ms(looking.redis) - round(looking.hours * 3_600_000) - TOLD_SPARE_MS
    looking.redis.zremrangebyscore(TOLD, "-inf", oldest_ms)


def _still_listed(found: Sequence[LoggedMatch], wanted: Sought, bank: Bank) -> list[LoggedMatch]:
    """Those of which the entry was not withdrawn since: of lists that came in whole nobody takes it out of the job."""
    return [
        one
        for one in found
        if any(
            entry.value == wanted.entries[one.place].value
            for entry in bank.exact(wanted.lists[one.place], wanted.entries[one.place].entry)
        )
    ]


def _note(looking: Lookback, lease: Lease, before: Job, after: Job, groups: Sequence[WatchMatches] = ()) -> int:
    """Writes down what was found, and with the last of it how far the job has come; gives how many hits are new.

    What dies in between is found again from `before` on.
    """
    new = 0
    parts = in_parts(groups)
    for number, part in enumerate(parts):
        job = after if number == len(parts) - 1 else before
        added = int(
            run_script(
                looking.redis,
                "lookback_found",
                keys=[lease.key, JOBS, TOLD, FOUND],
                args=[lease.token, job.id, job_record(job), now_ms(looking.redis), json.dumps(part)],
            )
        )
        if added < 0:
            raise LeaseLostError(f"{lease.key}: another process looks back now")
        new += added
    if new:
        _log.info(
            "looking back found %s of %s that new hashes match", counted(new, "picture"), counted(len(groups), "stream")
        )
    return new


def raise_found(looking: Lookback, *, until: float) -> None:
    """Raises what was found and is written down, as far as there is time."""
    if not looking.redis.exists(FOUND):
        return
    in_force = looking.bank()
    for name, text in looking.redis.hscan_iter(FOUND, count=100):
        if monotonic() >= until:
            return
        try:
            raise_group(
                looking.redis, str(text), policy=looking.policy, in_force=in_force, deployment=looking.deployment
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            # Trying again would end the same way, and keep all others waiting for ever.
            _log.error("what looking back found (%s) cannot be read: %s", name, type(error).__name__)
        looking.redis.hdel(FOUND, str(name))
