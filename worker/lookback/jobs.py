"""What is still to be looked back on, in Redis: hashes that wait, jobs and how far each has come.

lw:lookback:position   id of the last change of the bank that was taken up
lw:lookback:again      from when on (ms) changes are to be taken up again
lw:lookback:waiting    list of changes (`models.bank.delta.Change`, JSON): hashes that came one by one
lw:lookback:bulk       the same for imports, which wait for the others
lw:lookback:jobs       hash: id -> `Job` as JSON
lw:lookback:sought:ID  list of the changes that a job seeks
lw:lookback:found      hash: group -> JSON: what was found and is not raised yet
lw:lookback:told       sorted set: ids of hits that were found, by the time at which they were; none is told twice
lw:lookback:lease      of the one process that looks back
lw:lookback:rest       there while a look-back that failed waits for its next try
"""

import json
import logging
import secrets
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from config.facts import ALLOW, SELFTEST
from models.bank.delta import Change, ChangeOp
from models.bank.entries import HashKind
from models.errors import ChangeError
from worker.bank.keys import CHANGES
from worker.redisdb import now_ms, run_script, store_errors

_log = logging.getLogger(__name__)

POSITION: Final = "lw:lookback:position"
AGAIN: Final = "lw:lookback:again"
WAITING: Final = "lw:lookback:waiting"
BULK: Final = "lw:lookback:bulk"
JOBS: Final = "lw:lookback:jobs"
FOUND: Final = "lw:lookback:found"
TOLD: Final = "lw:lookback:told"
LEASE: Final = "lw:lookback:lease"
REST: Final = "lw:lookback:rest"

MOST_SOUGHT: Final = 1_000
"""Hashes a job: sweeping 10^7 logged pictures for them takes 15 s of one core."""

MOST_BULK: Final = 100_000
"""Hashes of imports that may wait, in Redis and for minutes of one core; a list beyond it is not looked back for, and
that is told."""

FOLLOWED_AT_ONCE: Final = 10_000

SETTLED_MS: Final = 30_000
"""After a hash arrived, when everything that was judged without it is in the log: 2 s until the hash is in force
everywhere, 18 s for the longest segment, 10 s in the writer's buffer."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A set of hashes, and how far the log was searched for it."""

    id: str
    bulk: bool
    since_ms: int
    """What was captured from then on (>=) is looked at."""
    arrived_ms: int
    """When the last of the hashes came."""
    begun_ms: int
    """When the first pass began; what is written later is left to the last pass."""
    last_pass: bool = False
    """The first pass goes from the newest file to the oldest; the last one sees what was written meanwhile."""
    done_ms: int | None = None
    """Files written then or later are done, in this pass; None: none is."""
    done_name: str = ""
    """Of those written at `done_ms`, the names from this one on."""

    @property
    def ready_ms(self) -> int:
        """When it may go on."""
        return self.arrived_ms + SETTLED_MS if self.last_pass else 0


def sought_key(job_id: str) -> str:
    """The changes that a job seeks."""
    return f"lw:lookback:sought:{job_id}"


def enqueue(redis: Redis, changes: Iterable[Change]) -> int:
    """Has the log searched for hashes that went straight into a snapshot. Those in the stream of changes are taken up
    without this.

    Gives how many will be looked back for: PDQ hashes only, and no more wait than MOST_BULK.

    Raises:
        StoreError: Redis failed; some may have been taken.
    """
    with store_errors():
        room = MOST_BULK - int(redis.llen(BULK))
        taken = 0
        part: list[str] = []
        for change in changes:
            if taken >= room:
                _log.warning("no more than %d hashes of imports wait for a look-back: the others get none", MOST_BULK)
                break
            if is_sought(change):
                part.append(change.to_json())
                taken += 1
            if len(part) == MOST_SOUGHT:
                redis.rpush(BULK, *part)
                part = []
        if part:
            redis.rpush(BULK, *part)
    return taken


def search_again(redis: Redis, *, since_ms: int) -> None:
    """Has hashes that came since then (Redis's clock) searched for again: verdicts from before them came into the log
    only now. Never raises: it is told in the log if it could not be had.
    """
    try:
        run_script(redis, "lookback_again", keys=[AGAIN], args=[since_ms])
    except RedisError as error:
        _log.error("hashes that came while the verdict log could not be written are not looked back for: %s", error)


def is_sought(change: Change) -> bool:
    """Whether the log is searched for it: PDQ hashes of known material."""
    entry = change.entry
    return (
        change.op is ChangeOp.ADD
        and entry is not None
        and entry.kind is HashKind.PDQ
        and change.list not in (ALLOW, SELFTEST)
    )


def is_due(redis: Redis) -> bool:
    """Whether there is something to do, and nobody at it. Cheap: asked every two seconds."""
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        pipe.exists(LEASE, REST)
        pipe.exists(WAITING, BULK, FOUND, AGAIN)
        pipe.hvals(JOBS)
        pipe.xrevrange(CHANGES, count=1)
        pipe.get(POSITION)
        pipe.time()
        held, waiting, jobs, newest, position, (seconds, microseconds) = pipe.execute()
    if held:
        return False
    unread = bool(newest) and str(newest[0][0]) != position
    now = int(seconds) * 1000 + int(microseconds) // 1000
    return bool(waiting) or unread or any(_job(text).ready_ms <= now for text in jobs)


def take_up(redis: Redis, *, hours: float) -> None:
    """Takes up what has changed in the bank: new hashes wait, withdrawn ones are sought no more.

    Under the lease. A process that dies in it has it done again: a hash that waits twice is looked for twice, and what
    is found is told once.
    """
    again_ms = redis.get(AGAIN)
    if again_ms is not None:
        position, since_ms = str(redis.get(POSITION) or "0-0"), max(0, int(again_ms) - SETTLED_MS)
        if int(position.partition("-")[0]) > since_ms:
            redis.set(POSITION, f"{since_ms}-0")
        redis.delete(AGAIN)
    while True:
        after = str(redis.get(POSITION) or "0-0")
        elements = redis.xrange(CHANGES, min=f"({after}", count=FOLLOWED_AT_ONCE)
        if not elements:
            return
        oldest_ms = now_ms(redis) - round(hours * 3_600_000)
        added: list[str] = []
        withdrawn: set[tuple[str, str | None]] = set()
        for _, fields in elements:
            try:
                change = Change.from_json(str((fields or {}).get("change", "")))
            except ChangeError:  # of a newer version of ours: whoever made it has a look-back that knows it
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


def _is_of(withdrawn: set[tuple[str, str | None]], text: str) -> bool:
    """Whether a change adds one of those entries; of None, any of the list."""
    change = Change.from_json(text)
    entry_id = None if change.entry is None else change.entry.entry
    return (change.list, entry_id) in withdrawn or (change.list, None) in withdrawn


def _forget(redis: Redis, withdrawn: set[tuple[str, str | None]]) -> None:
    jobs = [sought_key(str(job_id)) for job_id in redis.hkeys(JOBS)]
    for key in (WAITING, BULK, *jobs):
        for text in redis.lrange(key, 0, -1):
            if _is_of(withdrawn, str(text)):
                redis.lrem(key, 0, str(text))


def next_job(redis: Redis, *, hours: float) -> Job | None:
    """The job to go on with: hashes that came one by one go first, in their order, and imports when there is time.

    Under the lease. None: there is nothing to do now.
    """
    now = now_ms(redis)
    for bulk in (False, True):
        jobs = [job for text in redis.hvals(JOBS) if (job := _job(text)).bulk == bulk and job.ready_ms <= now]
        if jobs:  # what is under way is not held up by what comes after it: else it would never end
            return min(jobs, key=lambda job: (job.ready_ms, job.arrived_ms, job.id))
        made = _make(redis, BULK if bulk else WAITING, bulk=bulk, now=now, hours=hours)
        if made is not None:
            return made
    return None


def _make(redis: Redis, waiting: str, *, bulk: bool, now: int, hours: float) -> Job | None:
    """Makes a job of what waits; all of it or, of much, a part."""
    job = Job(id=secrets.token_hex(8), bulk=bulk, since_ms=now - round(hours * 3_600_000), arrived_ms=now, begun_ms=now)
    made = run_script(
        redis,
        "lookback_make",
        keys=[waiting, JOBS, sought_key(job.id)],
        args=[MOST_SOUGHT, job.id, json.dumps(asdict(job))],
    )
    return job if made else None


def sought(redis: Redis, job: Job) -> list[Change]:
    """The hashes that a job seeks."""
    return [Change.from_json(str(text)) for text in redis.lrange(sought_key(job.id), 0, -1)]


def finish(redis: Redis, job: Job) -> None:
    """Forgets a job that is done."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hdel(JOBS, job.id)
        pipe.delete(sought_key(job.id))
        pipe.execute()


def job_record(job: Job) -> str:
    """As it is kept in Redis."""
    return json.dumps(asdict(job))


def _job(text: object) -> Job:
    return Job(**json.loads(str(text)))
