"""The quarantine of listed hashes: while it lasts, such a hash raises nothing; only a lead sets it."""

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from config.facts import ListedHash, SegmentFacts
from config.policy.policy import Policy
from models.bank.bank import Bank
from worker.bank.edits import must_exist
from worker.bank.history import KEPT_ACTS, BankAct, texts_of
from worker.bank.keys import HISTORY, QUARANTINE
from worker.errors import BankRequestError
from worker.logs.failure_log import FailureLog
from worker.people.actor import Actor, Role
from worker.people.roster import unproven
from worker.store.redis_client import ONCE_SECONDS, is_recent, now_ms, run_script_to_disk, store_errors

_trouble = FailureLog(logging.getLogger(__name__))

MAX_QUARANTINE_HOURS = 72
"""A quarantine also hides true matches of the hash: it lasts as long as an inquiry takes, no more."""
MAX_REASON_LENGTH = 500
HOUR_MS = 3_600_000


@dataclass(frozen=True, kw_only=True)
class Quarantine:
    """A hash that raises nothing until the quarantine ends; its matches are still recorded."""

    list: str
    entry: str
    until_ms: int
    by: str
    reason: str


def set_quarantine(
    redis: Redis, bank: Bank, list_name: str, entry: str, *, hours: float, reason: str, actor: Actor
) -> Quarantine:
    """Puts an entry into quarantine for `hours`.

    Raises:
        BankRequestError: the role may not, there is no such entry, or the time is too long.
        PeopleError: there is a roster, and the actor is not in it, any more.
        StoreError: Redis failed.
    """
    actor.must_be(Role.LEAD, to="quarantine a hash")
    check_hours(hours, MAX_QUARANTINE_HOURS)
    if len(reason) > MAX_REASON_LENGTH or not reason.isprintable():
        raise BankRequestError(f"--reason: expected at most {MAX_REASON_LENGTH} printable characters")
    must_exist(bank, list_name)
    if not bank.exact(list_name, entry):
        raise BankRequestError(f"list {list_name!r} has no entry {entry!r}")
    with store_errors():
        until = now_ms(redis) + round(hours * HOUR_MS)
        known = _read(list_name, entry, redis.hget(QUARANTINE, f"{list_name}/{entry}"))
    act = _record("quarantine", list_name, entry, actor, {"until_ms": until, "reason": reason})
    if (
        known is not None
        and (known.by, known.reason) == (actor.name, reason)
        and is_recent(known.until_ms, until, ONCE_SECONDS * 1000)
    ):
        # The answer to it may have been lost: it is on record.
        until, act = known.until_ms, texts_of([])
    record = {"until_ms": until, "by": actor.name, "reason": reason}
    done = run_script_to_disk(
        redis,
        "bank_quarantine",
        keys=[QUARANTINE, HISTORY],
        args=[f"{list_name}/{entry}", json.dumps(record), act, KEPT_ACTS, actor.name, actor.proof],
    )
    if done < 0:
        raise unproven(actor)
    return Quarantine(list=list_name, entry=entry, until_ms=until, by=actor.name, reason=reason)


def lift_quarantine(redis: Redis, list_name: str, entry: str, *, actor: Actor) -> None:
    """Ends a quarantine before its time.

    Raises:
        BankRequestError: the role may not, or there is none.
        PeopleError: there is a roster, and the actor is not in it, any more.
        StoreError: Redis failed.
    """
    actor.must_be(Role.LEAD, to="lift a quarantine")
    act = _record("lift", list_name, entry, actor, {})
    args: list[str | int] = [f"{list_name}/{entry}", "", act, KEPT_ACTS, actor.name, actor.proof]
    lifted = run_script_to_disk(redis, "bank_quarantine", keys=[QUARANTINE, HISTORY], args=args)
    if lifted < 0:
        raise unproven(actor)
    if not lifted:
        raise BankRequestError(f"{list_name}/{entry} is not in quarantine")


def _record(did: str, list_name: str, entry: str, actor: Actor, more: dict[str, Any]) -> str:
    act = BankAct(
        did=did, list=list_name, by=actor.name, role=actor.role, verified=actor.verified, entries=(entry,), more=more
    )
    return texts_of([act])


def quarantines(redis: Redis) -> tuple[Quarantine, ...]:
    """Returns all that are in force, the first to end first. One that cannot be read is logged and silences nothing.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now = now_ms(redis)
        records = redis.hgetall(QUARANTINE)
    found = []
    for name, text in records.items():
        list_name, _, entry = str(name).partition("/")
        read = _read(list_name, entry, text)
        if read is None:
            unreadable = "the quarantine of %s/%s cannot be read: lift it, or set it again"
            _trouble.met(f"{list_name}/{entry}", unreadable, list_name, entry)
        elif read.until_ms > now:
            found.append(read)
    return tuple(sorted(found, key=lambda one: one.until_ms))


def quarantined(redis: Redis, listed: Sequence[ListedHash]) -> frozenset[ListedHash]:
    """Returns those hashes, of at least one, that are in quarantine.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    records = redis.hmget(QUARANTINE, [f"{one.list}/{one.entry}" for one in listed])
    if not any(records):
        return frozenset()
    now = now_ms(redis)
    read = ((one, _read(one.list, one.entry, text)) for one, text in zip(listed, records, strict=True))
    return frozenset(one for one, quarantine in read if quarantine is not None and quarantine.until_ms > now)


def _read(list_name: str, entry: str, text: object) -> Quarantine | None:
    """None: there is none, or its record is damaged."""
    try:
        record = json.loads(str(text))
        return Quarantine(
            list=list_name,
            entry=entry,
            until_ms=int(record["until_ms"]),
            by=str(record.get("by", "")),
            reason=str(record.get("reason", "")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def check_hours(hours: float, most: float) -> None:
    if not 0 < hours <= most:
        raise BankRequestError(f"--hours {hours:g}: expected more than 0 and at most {most:g}")


def silent_in_windows(redis: Redis, segment: SegmentFacts, policy: Policy) -> frozenset[ListedHash]:
    """Hashes in quarantine that windows of a policy would count, also where no rule holds for them alone."""
    matches = (match for sample in segment.samples for match in sample.matches)
    listed = sorted({match.listed for match in matches if match.list in policy.windows.lists})
    if not listed or segment.stream.purpose == "canary":
        return frozenset()
    with store_errors():
        return quarantined(redis, listed)
