"""Ends incidents whose stream has ended or was silent, without a decision: they stay in the queue for a person.

A set has the streams with open incidents, by the time when one of them may have ended; scripts that end a watch put
their stream first. Any worker takes those that are due, some with each call; the script that ends an incident checks
that nothing has changed meanwhile, so that each end is published once, whoever is killed on the way.
"""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from redis.exceptions import TimeoutError as RedisTimeoutError

from config.errors import LivewardenError
from worker.incidents.events import Event, escalation_ended
from worker.incidents.findings import Incident
from worker.incidents.incident_end import LONGEST_CHECK_MS, PurposeWatch, due_end, end, next_check_ms
from worker.incidents.keys import ENDS, incident_key, incidents_key
from worker.incidents.store import ended_record, event_record, incidents_of, rounds, states_record
from worker.ingest.pending.segments import SegmentRecord, pending_key
from worker.ingest.registry.registration import Purpose
from worker.ingest.registry.registry import DUES, is_over, stream_key
from worker.logs.failure_log import FailureLog
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors, time_ms

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

MOST_AT_ONCE: Final = 100
"""Streams checked by one call, which comes every 2 s: 0.06 s of a process where none ends, 0.3 s where all do, and the
waits for Redis's disk."""

PATIENCE_SECONDS: Final = 1.0
"""The time for which one stream is tried again while its segments change its incidents; then the next call tries."""

_OPEN: Final = '"incident":{'
"""In the state of a rule that has an open incident (`encode`), of every version."""

LOOKED_BACK: Final = "~"
"""Part of the keys of look-backs' pending finds: these are of segments that were moderated before."""


def end_incidents(redis: Redis, *, deployment: str) -> int:
    """Ends incidents that are due; returns how many.

    Raises:
        StoreError: Redis failed; the next call ends the rest.
    """
    with store_errors():
        now = now_ms(redis)
        # A time further ahead than any that is set was written before Redis's clock went back.
        spans = (("-inf", str(now)), (f"({now + 2 * LONGEST_CHECK_MS}", "+inf"))
        due = [str(one) for span in spans for one in redis.zrangebyscore(ENDS, *span, start=0, num=MOST_AT_ONCE)]
    return sum(_end_due(redis, stream_id, deployment) for stream_id in due[:MOST_AT_ONCE])


def add_missing_ends(redis: Redis, stream_ids: Sequence[str]) -> None:
    """Adds those of the streams that have open incidents, and are not in the set: an older version has raised them, or
    the set was lost.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    with redis.pipeline(transaction=False) as pipe:
        for stream_id in stream_ids:
            pipe.zscore(ENDS, stream_id)
        noted = pipe.execute(raise_on_error=False)
    missing = [stream_id for stream_id, score in zip(stream_ids, noted, strict=True) if score is None]
    with redis.pipeline(transaction=False) as pipe:
        for stream_id in missing:
            pipe.hvals(incidents_key(stream_id))
        states = pipe.execute(raise_on_error=False)
    is_open = [not isinstance(texts, Exception) and any(_OPEN in str(text) for text in texts) for texts in states]
    if found := [stream_id for stream_id, one in zip(missing, is_open, strict=True) if one]:
        redis.zadd(ENDS, dict.fromkeys(found, now_ms(redis)), nx=True)


def _end_due(redis: Redis, stream_id: str, deployment: str) -> int:
    """Ends the due incidents of a stream. One whose data is damaged is checked again later, and costs no other."""
    try:
        for _ in rounds(PATIENCE_SECONDS):
            found = _EndRound.read(redis, stream_id, deployment)
            if found.write(redis):
                _trouble.over(stream_id, "stream %s: incidents end again", stream_id)
                return len(found.ended)
    except (LivewardenError, ResponseError, ValueError, TypeError, KeyError) as error:
        if isinstance(error.__cause__, RedisConnectionError | RedisTimeoutError):
            raise
        _trouble.met(stream_id, "stream %s: incidents cannot be ended: %r", stream_id, error)
        with store_errors():
            redis.zadd(ENDS, {stream_id: now_ms(redis) + LONGEST_CHECK_MS}, xx=True)
    return 0


@dataclass(kw_only=True)
class _EndRound:
    """The incidents of a stream that end, decided on one state of it."""

    stream_id: str
    version: int
    now_ms: int
    states: dict[str, str] = field(default_factory=dict)
    ended: list[Incident] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    next_ms: int | None = None
    """Time of the next check of the stream; None: no incident of it is open."""

    @classmethod
    def read(cls, redis: Redis, stream_id: str, deployment: str) -> "_EndRound":
        """Reads the stream, and decides."""
        with store_errors(), redis.pipeline(transaction=True) as pipe:
            pipe.hmget(stream_key(stream_id), "state", "purpose")
            for due in DUES:
                pipe.zscore(due, stream_id)
            pipe.hgetall(incidents_key(stream_id))
            pipe.hgetall(pending_key(stream_id))
            pipe.time()
            (state, purpose), *scores, record, pending, time = pipe.execute()
        watched = any(score is not None for score in scores) or (state is not None and not is_over(str(state)))
        round_ = cls(stream_id=stream_id, version=int(record.get("version", 0)), now_ms=time_ms(time))
        watches = {
            one: PurposeWatch(
                goes_on=watched and one == str(purpose or Purpose.LIVE),
                waiting_since_ms=_waiting_since_ms(pending, one, str(purpose or Purpose.LIVE)),
            )
            for one in Purpose
        }
        for one, watch in watches.items():
            round_._decide(redis, one, record, watch, deployment)
        return round_

    def _decide(
        self, redis: Redis, purpose: str, record: Mapping[Any, Any], watch: PurposeWatch, deployment: str
    ) -> None:
        changed = {}
        for name, state in incidents_of(record, purpose).rules.items():
            incident = state.incident
            if incident is None:
                continue
            reason = due_end(incident, watch, now_ms=self.now_ms)
            if reason is None:
                check_ms = next_check_ms(incident, watch, now_ms=self.now_ms)
                self.next_ms = check_ms if self.next_ms is None else min(self.next_ms, check_ms)
                continue
            changed[name], ended = end(state, reason)
            self.ended.append(ended)
            newest = _newest(redis, incident.incident_id)
            if newest is not None:
                self.events.append(escalation_ended(newest, reason, deployment=deployment, now_ms=self.now_ms))
        self.states |= states_record(changed, None, purpose)

    def write(self, redis: Redis) -> bool:
        """Writes it; False: the stream's incidents have changed since they were read."""
        answer = run_script_to_disk(
            redis,
            "end_incidents",
            keys=[incidents_key(self.stream_id), ENDS],
            args=[
                self.stream_id,
                self.version,
                json.dumps(self.states),
                json.dumps([ended_record(incident, self.now_ms) for incident in self.ended]),
                json.dumps([event_record(event) for event in self.events]),
                "" if self.next_ms is None else self.next_ms,
            ],
        )
        return str(answer) == "written"


def _newest(redis: Redis, incident_id: str) -> Mapping[str, Any] | None:
    """The newest event of an incident; None: it is a canary's, whose record has none, or is gone."""
    with store_errors():
        text = redis.hget(incident_key(incident_id), "event")
    if text is None:
        return None
    event: Mapping[str, Any] = json.loads(str(text))
    return event


def _waiting_since_ms(pending: Mapping[Any, Any], purpose: str, purpose_now: str) -> int | None:
    """The time when the first of the pending segments of that purpose was listed."""
    records = (SegmentRecord.read(str(key), str(text)) for key, text in pending.items() if LOOKED_BACK not in str(key))
    waiting = [record.admitted_ms for record in records if (record.purpose or purpose_now) == purpose]
    return min(waiting, default=None)
