"""What people may do to the platform's own lists, one picture at a time (DESIGN.md, "Verdicts").

`confirmed` takes a picture that one person saw revealed and put forward, and a second one confirms. `allow` and the
quarantine of a hash are a lead's, and end by themselves. Nothing else adds to these lists.
"""

import json
import logging
from dataclasses import dataclass
from typing import Any

from redis import Redis

from config.facts import ALLOW
from models.bank.bank import Bank
from models.bank.delta import BankChange
from models.bank.entries import BUILT_IN, CONFIRMED, Entry, HashKind
from models.pdq.pdq import PdqHash
from worker.bank.allowance import allow_tags
from worker.bank.edits import make
from worker.bank.history import KEPT_ACTS, Act
from worker.bank.keys import HISTORY, PROPOSED, QUARANTINE
from worker.bank.naming import entry_id
from worker.errors import BankRequestError
from worker.logs.failure_log import Troubles
from worker.people.actor import Actor, Role
from worker.store.age_clock import age_ms
from worker.store.redis_client import now_ms, run_script, run_script_to_disk, store_errors

_trouble = Troubles(logging.getLogger(__name__))

CONFIRMED_QUALITY = 80
"""PDQ quality at or over which a picture may be confirmed: from there on implementations agree within 10 bits."""
PROPOSAL_HOURS = 168
"""After which what one person put forward is forgotten."""
MAX_ALLOW_HOURS = 90 * 24
MAX_QUARANTINE_HOURS = 72
"""A hash that floods hides what else matches it: time to look into it, no more."""
_HOUR_MS = 3_600_000
MAX_REASON_LENGTH = 500


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What became of a picture put forward for `confirmed`."""

    entry: str
    confirmed: bool
    """False: it waits for a second person."""
    proposed_by: str
    quality: int


def confirm(redis: Redis, pdq: PdqHash, *, actor: Actor, entry: str | None = None) -> Confirmation:
    """Puts a revealed picture forward for `confirmed`; the call of a second person confirms it.

    Raises:
        BankRequestError: its quality is under CONFIRMED_QUALITY, the role may not, or it is the same person again.
        StoreError: Redis failed.
    """
    actor.must_be(Role.MODERATOR, Role.LEAD, to="confirm a picture")
    if pdq.quality < CONFIRMED_QUALITY:
        raise BankRequestError(f"quality {pdq.quality}: {CONFIRMED} takes pictures of {CONFIRMED_QUALITY} or more")
    key = entry_id(CONFIRMED, HashKind.PDQ, pdq.bits)
    with store_errors():
        now = now_ms(redis)
        known = redis.hget(PROPOSED, key)
    proposal = _proposal(known)
    if proposal is None or now - int(proposal["at_ms"]) > PROPOSAL_HOURS * _HOUR_MS:
        name = key if entry is None else entry
        proposal = {"by": actor.name, "quality": pdq.quality, "at_ms": now, "entry": name}
        act = Act(did="propose", list=CONFIRMED, by=actor.name, role=actor.role, entries=(name,))
        with store_errors(), redis.pipeline(transaction=True) as pipe:
            pipe.hset(PROPOSED, key, json.dumps(proposal))
            pipe.xadd(HISTORY, {"act": act.to_json()}, maxlen=KEPT_ACTS, approximate=True)
            pipe.execute()
        return Confirmation(entry=name, confirmed=False, proposed_by=actor.name, quality=pdq.quality)
    if actor.is_person(str(proposal["by"])):
        raise BankRequestError(f"{actor.name} put this picture forward: a second person must confirm it")
    name, first = str(proposal["entry"]), str(proposal["by"])
    tags = (f"proposed-by:{first}", f"confirmed-by:{actor.name}")
    added = Entry(entry=name, kind=HashKind.PDQ, value=pdq.bits, tags=tags)
    make(redis, [BankChange.add(CONFIRMED, added, at_ms=now)], by=actor.name, role=actor.role)
    with store_errors():
        redis.hdel(PROPOSED, key)
    return Confirmation(entry=name, confirmed=True, proposed_by=first, quality=pdq.quality)


def _proposal(text: object) -> dict[str, Any] | None:
    """What was put forward; None: nothing, or nobody can read by whom, and it is put forward anew."""
    try:
        proposal = json.loads(str(text))
        return {"at_ms": int(proposal["at_ms"]), "by": str(proposal["by"]), "entry": str(proposal["entry"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def allow(redis: Redis, bank: Bank, pdq: PdqHash, *, list_name: str, hours: float, actor: Actor) -> Entry:
    """Lowers a list's matches on this very picture to `review`, for `hours`. Gives the entry of `allow`.

    Raises:
        BankRequestError: the role may not, there is no such list, or it is for too long.
        StoreError: Redis failed.
    """
    actor.must_be(Role.LEAD, to="allow a picture")
    if list_name in BUILT_IN or list_name not in bank.specs:
        raise BankRequestError(f"list {list_name!r}: expected the list whose match is to be lowered to `review`")
    _check_hours(hours, MAX_ALLOW_HOURS)
    if not pdq.hashable:
        raise BankRequestError(f"quality {pdq.quality}: the hash of such a picture says nothing")
    with store_errors():
        now = now_ms(redis)
    entry = Entry(
        entry=entry_id(f"{ALLOW} {list_name}", HashKind.PDQ, pdq.bits),
        kind=HashKind.PDQ,
        value=pdq.bits,
        tags=allow_tags(list_name, now + round(hours * _HOUR_MS), actor.name),
    )
    make(redis, [BankChange.add(ALLOW, entry, at_ms=now)], by=actor.name, role=actor.role)
    return entry


@dataclass(frozen=True, kw_only=True)
class Quarantine:
    """A hash that raises nothing until it ends; its matches are recorded all the same."""

    list: str
    entry: str
    until_ms: int
    by: str
    reason: str


def quarantine(
    redis: Redis, bank: Bank, list_name: str, entry: str, *, hours: float, reason: str, actor: Actor
) -> Quarantine:
    """Has an entry raise nothing for `hours`.

    Raises:
        BankRequestError: the role may not, there is no such entry, or it is for too long.
        StoreError: Redis failed.
    """
    actor.must_be(Role.LEAD, to="quarantine a hash")
    _check_hours(hours, MAX_QUARANTINE_HOURS)
    if len(reason) > MAX_REASON_LENGTH or not reason.isprintable():
        raise BankRequestError(f"--reason: expected at most {MAX_REASON_LENGTH} printable characters")
    if not bank.exact(list_name, entry):
        raise BankRequestError(f"list {list_name!r} has no entry {entry!r}")
    with store_errors():
        until = now_ms(redis) + round(hours * _HOUR_MS)
    told = {"until_ms": until, "by": actor.name, "reason": reason}
    act = _act("quarantine", list_name, entry, actor, {"until_ms": until, "reason": reason})
    run_script_to_disk(
        redis,
        "bank_quarantine",
        keys=[QUARANTINE, HISTORY],
        args=[f"{list_name}/{entry}", json.dumps(told), act, KEPT_ACTS],
    )
    return Quarantine(list=list_name, entry=entry, until_ms=until, by=actor.name, reason=reason)


def lift_quarantine(redis: Redis, list_name: str, entry: str, *, actor: Actor) -> None:
    """Ends a quarantine before its time.

    Raises:
        BankRequestError: the role may not, or there is none.
        StoreError: Redis failed.
    """
    actor.must_be(Role.LEAD, to="lift a quarantine")
    args: list[str | int] = [f"{list_name}/{entry}", "", _act("lift", list_name, entry, actor, {}), KEPT_ACTS]
    if not run_script_to_disk(redis, "bank_quarantine", keys=[QUARANTINE, HISTORY], args=args):
        raise BankRequestError(f"{list_name}/{entry} is not in quarantine")


def _act(did: str, list_name: str, entry: str, actor: Actor, more: dict[str, Any]) -> str:
    return Act(did=did, list=list_name, by=actor.name, role=actor.role, entries=(entry,), more=more).to_json()


def quarantined(redis: Redis) -> tuple[Quarantine, ...]:
    """All that are in force, the first to end first.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now = now_ms(redis)
        records = redis.hgetall(QUARANTINE)
    found = []
    for name, text in records.items():
        list_name, _, entry = str(name).partition("/")
        try:
            told = json.loads(str(text))
            until_ms, by, reason = int(told["until_ms"]), str(told.get("by", "")), str(told.get("reason", ""))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            text = "the quarantine of %s/%s cannot be read: lift it, or set it again"
            _trouble.met(f"{list_name}/{entry}", text, list_name, entry)
            continue
        if until_ms > now:
            found.append(Quarantine(list=list_name, entry=entry, until_ms=until_ms, by=by, reason=reason))
    return tuple(sorted(found, key=lambda one: one.until_ms))


def forget_past(redis: Redis) -> int:
    """Drops what was put forward and never confirmed, and quarantines that are over; gives how many that were.

    Raises:
        StoreError, RedisError: Redis failed.
    """
    ends = [(PROPOSED, "at_ms", PROPOSAL_HOURS * _HOUR_MS), (QUARANTINE, "until_ms", 0)]
    args: list[str | int] = [age_ms(redis)]
    args += [part for _, field, life_ms in ends for part in (field, life_ms)]
    return int(run_script(redis, "bank_forget", keys=[key for key, _, _ in ends], args=args))


def _check_hours(hours: float, most: float) -> None:
    if not 0 < hours <= most:
        raise BankRequestError(f"--hours {hours:g}: expected more than 0 and at most {most:g}")
