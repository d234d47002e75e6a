"""Claims on incidents: a person takes one from the queue and holds it under a lease, so that it is free again if the
person goes away. Besides, the queue's entries are followed and its open incidents listed.
"""

import json
import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from config.facts import Severity
from worker.audit.entries import Act, audit_entry
from worker.errors import PeopleError
from worker.events.cloudevent import rfc3339
from worker.incidents.keys import ESCALATION_KEYS, OPEN_KEYS, held_key, incident_key, open_key
from worker.people.actor import Actor, Role
from worker.people.roster import may_hold, read_roster, unproven
from worker.store.redis_client import ANSWER_SECONDS, now_ms, run_script, store_errors

LEASE_SECONDS = 600.0
LONGEST_LEASE_MS = round(LEASE_SECONDS * 1000)
"""A longer lease was taken before Redis's clock went back; it lasts so long from then on."""
MAX_DRAINED = 1000
"""New entries that one take reads of each stream: bounds how long Redis is busy. The next take reads on."""
BLOCK_SECONDS = 5.0
"""The longest wait of one XREAD."""
assert BLOCK_SECONDS < ANSWER_SECONDS
RECHECK_SECONDS = 0.8
"""The interval in which `take_or_wait` checks for incidents that are free without a new entry: one was given back, or
its lease ended. It must be seen within a second. A check writes nothing."""


@dataclass(frozen=True, kw_only=True)
class HeldWith:
    """Another incident of the same case, held together with the one that was taken."""

    incident_id: str
    event: str
    """Its newest CloudEvent, JSON on one line."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """An incident that its taker now holds."""

    incident_id: str
    event: str
    """Its newest CloudEvent, JSON on one line; its `data` has what only its holder is given: `lease_until`, `others`
    (ids of the other incidents of its case that the holder holds) and `times.taken`."""
    lease_until_ms: int
    """Redis's clock."""
    taken_ms: int = 0
    """Redis's time at which its holder took it; 0: unknown, an older version's."""
    again: bool = False
    """The taker held it already."""
    others: tuple[str, ...] = ()
    """Ids of the other incidents that the taker holds."""
    in_case: tuple[HeldWith, ...] = ()
    """Those of them that are of its case, the most urgent first."""


@dataclass(frozen=True, kw_only=True)
class QueueEntry:
    """An entry of a stream."""

    stream_key: str
    entry_id: str
    event: str


@dataclass(frozen=True, kw_only=True)
class OpenIncident:
    """An undecided incident as `queue list` shows it."""

    incident_id: str
    stream_id: str
    rule: str
    severity: Severity
    purpose: str
    hits: int
    age_seconds: float
    """Since it was raised."""
    holder: str | None
    lease_seconds: float
    """Until the holder's lease ends; 0 without one."""
    streams: int = 1
    """More than one: one hash raised it on so many, and a lead decides; `stream_id` is one of them."""
    case_id: str | None = None
    """None: an older version raised it."""
    needs_role: str = Role.MODERATOR
    """Role of the person who decides, or a higher one."""


UNREADABLE: Final = "unreadable"
"""In place of a field that a damaged record lacks."""

_CLAIM_PARTS: Final = 7
"""Parts of a claim in the script's answer; a refusal has fewer."""
_ROLE_NEEDED: Final = 2
"""Place of the role that is needed, in a refusal because of the role; left out where a moderator's suffices."""

LONGEST_NUMBER: Final = 19
"""Digits of a stored number: a longer one is foreign data."""


def take(redis: Redis, by: str | Actor, *, lease_seconds: float = LEASE_SECONDS, another: bool = False) -> Claim | None:
    """Takes an incident for `by`: critical, then high, then review; with it the other open incidents of its case that
    nobody else holds.

    Of one severity, an incident that `by` holds already comes first, before others one that has changed since it was
    given: a person whose terminal was lost gets the same incident again. Then comes the oldest free one. Incidents that
    need a higher role than `by` has are left to others. What a person holds who was removed from the roster is free.

    Args:
        by: a name alone: unverified, which a roster refuses.
        lease_seconds: up to LEASE_SECONDS, from now on, also for an incident that `by` held already.
        another: only an incident that `by` does not hold.

    Returns:
        None if there is nothing to take.

    Raises:
        QueueError: `by` is not a valid name.
        PeopleError: the roster does not have `by` any more, or in a role that decides nothing.
        StoreError: Redis failed.
    """
    actor, token = Actor.named(by), secrets.token_hex(16)
    with store_errors():
        answer = run_script(
            redis,
            "take",
            keys=[*OPEN_KEYS, *ESCALATION_KEYS, held_key(actor.name)],
            args=[
                actor.name,
                actor.proof,
                round(lease_seconds * 1000),
                MAX_DRAINED,
                token,
                LONGEST_LEASE_MS,
                int(another),
                # Only the script knows which incidents are taken: it puts them in the place of the token.
                audit_entry(Act.TAKE, by=actor.name, verified=actor.verified, subject=token, others=f"+{token}"),
            ],
        )
    if not answer:
        return None
    if len(answer) < _CLAIM_PARTS:
        raise refused_person(actor, answer, "take incidents")
    incident_id, event, lease_until_ms, again, taken_ms, others, in_case = answer
    held_with = tuple(
        HeldWith(incident_id=str(one), event=str(text)) for one, text in zip(in_case[::2], in_case[1::2], strict=True)
    )
    return Claim(
        incident_id=str(incident_id),
        event=for_holder(
            str(event),
            lease_until_ms=int(lease_until_ms),
            taken_ms=int(taken_ms),
            others=[one.incident_id for one in held_with],
        ),
        lease_until_ms=int(lease_until_ms),
        taken_ms=int(taken_ms),
        again=bool(again),
        others=tuple(str(other) for other in others),
        in_case=held_with,
    )


def refused_person(actor: Actor, answer: Sequence[object], act: str) -> PeopleError:
    """Translates a script's answer that a person may not act; `act` names what only others may."""
    if answer[0] == "unproven":
        return unproven(actor)
    needed = answer[2] if len(answer) > _ROLE_NEEDED else Role.MODERATOR
    others = "a lead" if needed == Role.LEAD else "a moderator or a lead"
    return PeopleError(f"{actor.name} is {answer[1]}: only {others} may {act}")


def for_holder(event: str, *, lease_until_ms: int, taken_ms: int, others: Sequence[str]) -> str:
    """Adds to an escalation event what its holder is given beside it."""
    record = json.loads(event)
    if isinstance(record, dict) and isinstance(data := record.get("data"), dict):
        data["lease_until"] = rfc3339(lease_until_ms)
        data["others"] = list(others)
        if taken_ms and isinstance(data.get("times"), dict):
            data["times"]["taken"] = rfc3339(taken_ms)
    return json.dumps(record)


def take_or_wait(redis: Redis, by: str | Actor, *, wait_seconds: float, another: bool = False) -> Claim | None:
    """As `take`, but waits up to `wait_seconds` for something to take.

    Redis wakes it when an event is published. It sees an incident that is free again after RECHECK_SECONDS at most.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        # Read before the take: an event that is published between the two ends the wait immediately.
        seen = _last_ids(redis)
        taken = take(redis, by, another=another)
        left = deadline - time.monotonic()
        if taken is not None or left <= 0:
            return taken
        # A take is a write, and each write goes to the disk: while nothing is free, waiting only reads.
        while left > 0 and not _read(redis, seen, min(left, RECHECK_SECONDS)) and not anything_free(redis, by):
            left = deadline - time.monotonic()


def anything_free(redis: Redis, by: str | Actor) -> bool:
    """Returns whether an undecided incident is free that `by` could take; True too if `take` would refuse `by`."""
    actor = Actor.named(by)
    with store_errors():
        args: list[str | int] = [LONGEST_LEASE_MS, actor.name, actor.proof]
        return bool(run_script(redis, "anything_free", keys=OPEN_KEYS, args=args))


def follow(redis: Redis, *, from_start: bool) -> Iterator[QueueEntry]:
    """Follows the queue's streams endlessly without a claim; from now on, or from the oldest entry kept."""
    seen = dict.fromkeys(ESCALATION_KEYS, "0-0") if from_start else _last_ids(redis)
    while True:
        for entry in _read(redis, seen, BLOCK_SECONDS):
            seen[entry.stream_key] = entry.entry_id
            yield entry


def _last_ids(redis: Redis) -> dict[str, str]:
    """The newest entry's ID of each of the queue's streams."""
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        for key in ESCALATION_KEYS:
            pipe.xrevrange(key, count=1)
        newest = pipe.execute()
    return {key: entries[0][0] if entries else "0-0" for key, entries in zip(ESCALATION_KEYS, newest, strict=True)}


def _read(redis: Redis, seen: dict[str, str], block_seconds: float) -> list[QueueEntry]:
    with store_errors():
        after: dict[Any, Any] = {**seen}
        answer: Any = redis.xread(after, count=100, block=max(1, round(block_seconds * 1000)))
    streams = answer.items() if isinstance(answer, dict) else answer or ()
    return [
        QueueEntry(stream_key=key, entry_id=entry_id, event=fields["event"])
        for key, entries in streams
        for entry_id, fields in entries
        if "event" in fields
    ]


def open_incidents(redis: Redis) -> list[OpenIncident]:
    """Returns all undecided incidents, in the order in which they are taken."""
    with store_errors():
        now = now_ms(redis)
        with redis.pipeline(transaction=False) as pipe:
            for severity in Severity:
                pipe.zrange(open_key(severity), 0, -1)
            queued = [
                (severity, str(incident_id))
                for severity, found in zip(Severity, pipe.execute(), strict=True)
                for incident_id in found
            ]
        with redis.pipeline(transaction=False) as pipe:
            for _, incident_id in queued:
                pipe.hgetall(incident_key(incident_id))
            records = pipe.execute(raise_on_error=False)
    roster = read_roster(redis)
    # One may have been decided between the two reads.
    return [
        _open_incident(incident_id, severity, {} if isinstance(fields, ResponseError) else fields, now, roster)
        for (severity, incident_id), fields in zip(queued, records, strict=True)
        if isinstance(fields, ResponseError) or "outcome" not in fields
    ]


def _open_incident(
    incident_id: str, severity: Severity, fields: dict[str, str], now: int, roster: Mapping[str, str]
) -> OpenIncident:
    """Reads the valid fields of a record; `severity`: of the queue that it is in."""
    lease_ms = lease_left_ms(fields, now, roster)
    raised_ms = number_of(fields, "raised_ms")
    return OpenIncident(
        incident_id=incident_id,
        stream_id=fields.get("stream_id", UNREADABLE),
        rule=fields.get("rule", UNREADABLE),
        severity=severity,
        purpose=fields.get("purpose", UNREADABLE),
        hits=number_of(fields, "hits") or 0,
        age_seconds=0.0 if raised_ms is None else max(0, now - raised_ms) / 1000,
        holder=fields.get("holder") if lease_ms else None,
        lease_seconds=lease_ms / 1000,
        streams=number_of(fields, "streams") or 1,
        case_id=fields.get("case") or None,
        needs_role=role_needed(fields),
    )


def number_of(fields: Mapping[str, str], field: str) -> int | None:
    """Reads a number of a record; None: it is missing or damaged."""
    text = fields.get(field, "")
    return int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else None


def role_needed(fields: Mapping[str, str]) -> str:
    """The role that decides on an incident, by its record (`needed_role` in worker/store/lua/shared/people.lua)."""
    return fields.get("needs_role") or (Role.LEAD if "kept_under" in fields else Role.MODERATOR)


def lease_left_ms(fields: Mapping[str, str], now: int, roster: Mapping[str, str]) -> int:
    """The time left of an incident's lease, by its record and the roster's records; 0: it is free."""
    if "holder" not in fields or not may_hold(roster, fields["holder"], role_needed(fields)):
        return 0
    return min(max(0, (number_of(fields, "lease_until_ms") or 0) - now), LONGEST_LEASE_MS)
