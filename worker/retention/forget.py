"""Erasure of a stream's data: `livewarden streams forget`, in slices that any worker goes on with.

The order matters. Pending segments go first, so that nothing is settled any more; then evidence and incidents; then
events; then rows of the verdict log, once every process has written those that it held; then all keys. What stays, and
for how long, is in docs/retention.md.
"""

import json
import logging
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from time import monotonic
from typing import Any, Final, Protocol

from redis import Redis

from config.policy.retention import Retention, Terms
from worker.audit.entries import Act, audit_entry
from worker.errors import LeaseLostError, ObjectStoreError, RetentionError, StoreError
from worker.ingest.registry.registry import stream_key
from worker.logs.failure_log import FailureLog
from worker.people.actor import Actor, Role
from worker.people.roster import unproven
from worker.retention.erasure_plan import MOST_NAMED, ErasurePlan, plan_erasure
from worker.retention.purge import LEASE, PURGING, SLICE_SECONDS, Purge, purge_incident
from worker.retention.standing import read_kept
from worker.retention.stream_traces import (
    delete_events,
    delete_keys,
    delete_members,
    delete_pending,
    delete_refused_messages,
)
from worker.store import redis_keys
from worker.store.lease import leased
from worker.store.redis_client import is_of_data, now_ms, run_script, run_script_to_disk, store_errors

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

FORGETTING: Final = redis_keys.FORGETTING.name

MAY_FORGET: Final = (Role.LEAD, Role.OPERATOR)

LATE_MS: Final = 30_000
"""Time from the begin until rows of the verdict log are erased: processes write theirs within 10 s, and a segment that
is moderated at the begin ends within 18 s."""


class EraseLog(Protocol):
    """Deletes a stream's rows from the verdict log, which is above this room."""

    def __call__(self, stream_id: str, *, after: str, until: float) -> "ErasedRows":
        """Goes on after the file `after`, until the time `until` by `monotonic`."""


@dataclass(frozen=True, kw_only=True)
class ErasedRows:
    """The result of a slice of the erasure of rows."""

    rows: int
    after: str
    """Path of the file up to which it is done."""
    complete: bool


class ErasureStep(StrEnum):
    """The steps of an erasure, in order."""

    INCIDENTS = "incidents"
    EVENTS = "events"
    LOG = "log"
    KEYS = "keys"


@dataclass(frozen=True, kw_only=True)
class Erasure:
    """An erasure that has begun, and how far it is."""

    stream_id: str
    by: str
    verified: bool
    begun_ms: int
    incidents: tuple[str, ...]
    erased: int = 0
    """Number of these, from the first on, that are erased."""
    step: ErasureStep = ErasureStep.INCIDENTS
    log_file: str = ""
    """File of the verdict log up to which its rows are deleted."""
    pictures: int = 0
    events: int = 0
    events_waiting: int = 0
    """Events that a reader has not acknowledged: they stay until it has, at most for 30 days."""
    rows: int = 0
    keys: int = 0

    def to_json(self) -> str:
        """Returns the record on one line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, stream_id: str, text: str) -> "Erasure":
        """Reads a record; a damaged one begins anew."""
        try:
            found: dict[str, Any] = json.loads(text)
            known = {name: found[name] for name in cls.__dataclass_fields__ if name in found}
            known |= {"incidents": tuple(map(str, found.get("incidents", ()))), "step": ErasureStep(found["step"])}
            return cls(**known)
        except (ValueError, TypeError, KeyError, AttributeError):
            return cls(stream_id=stream_id, by="", verified=False, begun_ms=0, incidents=())


@dataclass(frozen=True, kw_only=True)
class ErasureWork:
    """Connections and settings of an erasure."""

    purge: Purge
    erase_log: EraseLog
    late_ms: int = LATE_MS

    @property
    def redis(self) -> Redis:
        """The deployment's."""
        return self.purge.redis


def is_due(redis: Redis) -> bool:
    """Returns whether a stream is being erased, and no process does it.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        return bool(redis.exists(FORGETTING)) and not redis.exists(LEASE)


def begin_erasure(redis: Redis, stream_id: str, actor: Actor, *, retention: Retention) -> ErasurePlan:
    """Begins to erase a stream's data, which is on record from then on; returns what it has.

    Raises:
        RetentionError: the stream is unknown or watched, or something of it must stay; nothing was changed.
        BankRequestError, PeopleError: the person may not.
        StoreError: Redis failed; it may have begun.
    """
    actor.must_be(*MAY_FORGET, to="erase a stream's data")
    plan = plan_erasure(redis, stream_id, retention)
    if not plan.known:
        raise RetentionError(f"stream_id: {stream_id}: nothing of it is on record")
    if plan.watched:
        raise _watched(stream_id)
    if plan.obstacles:
        named = "; ".join(plan.obstacles[:MOST_NAMED])
        more = f"; and {len(plan.obstacles) - MOST_NAMED} more" if len(plan.obstacles) > MOST_NAMED else ""
        raise RetentionError(f"stream {stream_id}: its data must stay: {named}{more}")
    incidents = tuple(kept.incident_id for kept in plan.incidents)
    with store_errors():
        work = Erasure(
            stream_id=stream_id, by=actor.name, verified=actor.verified, begun_ms=now_ms(redis), incidents=incidents
        )
    entry = audit_entry(
        Act.FORGET,
        by=actor.name,
        verified=actor.verified,
        subject=stream_id,
        state="begun",
        incidents=list(incidents),
        pictures=sum(len(kept.records) for kept in plan.incidents),
    )
    standings = [
        part
        for kept in plan.incidents
        for part in (kept.incident_id, kept.case_id, len(kept.reports), kept.fields.get("outcome", ""))
    ]
    answer = run_script_to_disk(
        redis,
        "forget_begin",
        keys=[stream_key(stream_id)],
        args=[stream_id, work.to_json(), actor.name, actor.role, actor.proof, entry, *standings],
    )
    match answer[0]:
        case "unproven":
            raise unproven(actor)
        case "watched":
            raise _watched(stream_id)
        case "already":
            raise RetentionError(f"stream {stream_id}: its data is being erased already")
        case "changed":
            raise RetentionError(f"stream {stream_id}: something of it has changed meanwhile: try again")
    return plan


def _watched(stream_id: str) -> RetentionError:
    return RetentionError(f"stream {stream_id} is watched: `livewarden streams remove {stream_id}` first")


def erasures(redis: Redis) -> list[Erasure]:
    """The erasures that have begun and are not done.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        found = redis.hgetall(FORGETTING)
    return [Erasure.read(str(stream_id), str(text)) for stream_id, text in sorted(found.items())]


def go_on(work: ErasureWork, *, seconds: float = SLICE_SECONDS) -> list[Erasure]:
    """Goes on with what has begun for one slice, unless another process does; returns what is done by now.

    Raises:
        StoreError: Redis failed; a later slice goes on.
    """
    until, done = monotonic() + seconds, []
    try:
        with leased(work.redis, LEASE) as lease:
            if lease is None:
                return []
            for erasure in erasures(work.redis):
                lease.check()
                finished = _go_on_if_possible(work, erasure, until)
                if finished is not None:
                    done.append(finished)
    except LeaseLostError as error:
        _log.warning("erasure of a stream: %s", error)
    return done


def _go_on_if_possible(work: ErasureWork, erasure: Erasure, until: float) -> Erasure | None:
    """As `_go_on`. What the store refuses of a stream, and foreign data under its keys, keep no other stream back."""
    stream_id = erasure.stream_id
    try:
        finished = _go_on(work, erasure, until)
    except ObjectStoreError as error:
        _trouble.met(stream_id, "stream %s: its erasure waits for the store: %s", stream_id, error)
        return None
    except StoreError as error:
        if not is_of_data(error):
            raise
        _trouble.met(stream_id, "stream %s: its data cannot be erased: %s", stream_id, error)
        return None
    _trouble.over(stream_id, "stream %s: its erasure goes on", stream_id)
    return finished


def _go_on(work: ErasureWork, erasure: Erasure, until: float) -> Erasure | None:
    """Takes the steps of an erasure until the time is over; returns it once it is done."""
    redis, stream_id = work.redis, erasure.stream_id
    delete_pending(redis, stream_id)
    if erasure.step is ErasureStep.INCIDENTS:
        erasure = _erase_incidents(work, erasure, until)
        if erasure.erased < len(erasure.incidents):
            _save(redis, erasure)
            return None
        erasure = _save(redis, replace(erasure, step=ErasureStep.EVENTS))
    if erasure.step is ErasureStep.EVENTS:
        deleted, waiting = delete_events(redis, stream_id)
        erasure = replace(erasure, events=erasure.events + deleted, events_waiting=waiting, step=ErasureStep.LOG)
        _save(redis, erasure)
    if erasure.step is ErasureStep.LOG:
        with store_errors():
            if now_ms(redis) < erasure.begun_ms + work.late_ms:
                return None
        erased = work.erase_log(stream_id, after=erasure.log_file, until=until)
        erasure = replace(erasure, log_file=erased.after, rows=erasure.rows + erased.rows)
        erasure = _save(redis, replace(erasure, step=ErasureStep.KEYS) if erased.complete else erasure)
        if not erased.complete:
            return None
    keys = delete_keys(redis, stream_id) + delete_members(redis, stream_id) + delete_refused_messages(redis, stream_id)
    erasure = replace(erasure, keys=keys)
    _end(redis, erasure)
    return erasure


def _erase_incidents(work: ErasureWork, erasure: Erasure, until: float) -> Erasure:
    """Deletes evidence and records of the next incidents, one at least, until the time is over or the store refuses."""
    for kept in read_kept(work.redis, erasure.incidents[erasure.erased :]):
        if kept.records:
            terms = Terms(content_until_ms=erasure.begun_ms, reference_until_ms=erasure.begun_ms, why="forgotten")
            with store_errors():
                begun = tuple(str(work.redis.hget(PURGING, kept.incident_id) or "").split())
            purge_incident(work.purge, kept, terms, begun=begun, over=True)
            (left,) = read_kept(work.redis, [kept.incident_id])
            erasure = replace(erasure, pictures=erasure.pictures + len(kept.records) - len(left.records))
            if left.records:
                return erasure
        with store_errors():
            run_script(
                work.redis,
                "forget_incident",
                keys=[redis_keys.INCIDENT.of(kept.incident_id)],
                args=[kept.incident_id, kept.case_id, erasure.stream_id],
            )
        erasure = replace(erasure, erased=erasure.erased + 1)
        if monotonic() >= until:
            break
    return erasure


def _save(redis: Redis, erasure: Erasure) -> Erasure:
    with store_errors():
        redis.hset(FORGETTING, erasure.stream_id, erasure.to_json())
    return erasure


def _end(redis: Redis, erasure: Erasure) -> None:
    entry = audit_entry(
        Act.FORGET,
        by=erasure.by,
        verified=erasure.verified,
        subject=erasure.stream_id,
        state="done",
        incidents=list(erasure.incidents),
        pictures=erasure.pictures,
        events=erasure.events,
        events_waiting=erasure.events_waiting,
        rows=erasure.rows,
    )
    run_script_to_disk(redis, "forget_end", keys=[], args=[erasure.stream_id, entry])
