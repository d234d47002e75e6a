"""The platform's own lists `confirmed` and `allow`, to which people add one picture at a time.

`confirmed` takes a picture that one person saw revealed and put forward, and that a second person confirms. Only a lead
adds to `allow`, for a limited time. Nothing else adds to these lists.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis

from config.facts import ALLOW
from models.bank.bank import Bank
from models.bank.delta import BankChange
from models.bank.entries import BUILT_IN, CONFIRMED, Entry, HashKind
from models.pdq.pdq import PdqHash
from worker.bank.allowance import allow_tags, allowed_until_ms
from worker.bank.changelog import append_changes, just_added
from worker.bank.edits import derived_entry_id, must_exist
from worker.bank.history import KEPT_ACTS, BankAct, texts_of
from worker.bank.keys import HISTORY, PROPOSED, QUARANTINE
from worker.bank.quarantine import HOUR_MS, check_hours
from worker.errors import BankRequestError
from worker.people.actor import Actor, Role
from worker.people.roster import unproven
from worker.store.age_clock import age_ms
from worker.store.redis_client import ONCE_SECONDS, is_recent, now_ms, run_script, run_script_to_disk, store_errors

CONFIRMED_QUALITY = 80
"""PDQ quality at or over which a picture may be confirmed: from there on implementations agree within 10 bits."""
PROPOSAL_HOURS = 168
"""After which a picture that one person put forward is forgotten."""
MAX_ALLOW_HOURS = 90 * 24

_PROPOSED_BY = "proposed-by:"


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """The state of a picture that was put forward for `confirmed`."""

    entry: str
    confirmed: bool
    """False: it waits for a second person."""
    proposed_by: str


def confirm(
    redis: Redis, pdq: PdqHash, *, actor: Actor, entry: str | None = None, bank: Bank | None = None
) -> Confirmation:
    """Puts a revealed picture forward for `confirmed`; the same call by a second person confirms it.

    Args:
        bank: where a picture that it has confirmed is not put forward anew; None: that is not checked.

    Raises:
        BankRequestError: its quality is under CONFIRMED_QUALITY, the role may not, it is the same person again, or the
            picture is confirmed.
        StoreError: Redis failed.
    """
    actor.must_be(Role.MODERATOR, Role.LEAD, to="confirm a picture")
    if pdq.quality < CONFIRMED_QUALITY:
        raise BankRequestError(f"quality {pdq.quality}: {CONFIRMED} takes pictures of {CONFIRMED_QUALITY} or more")
    key = derived_entry_id(CONFIRMED, HashKind.PDQ, pdq.bits)
    with store_errors():
        now = now_ms(redis)
        known = redis.hget(PROPOSED, key)
    done = just_added(redis, CONFIRMED, by=actor.name)
    if done is not None and done.value == pdq.bits:
        append_changes(redis, [], by=actor)
        with store_errors():
            redis.hdel(PROPOSED, key)
        return Confirmation(entry=done.entry, confirmed=True, proposed_by=done.tags[0].removeprefix(_PROPOSED_BY))
    proposal = _proposal(known)
    if proposal is None or now - int(proposal["at_ms"]) > PROPOSAL_HOURS * HOUR_MS:
        there = () if bank is None else bank.find(HashKind.PDQ, pdq.bits)
        if listed := next((one for one in there if one.list == CONFIRMED), None):
            raise BankRequestError(f"list {CONFIRMED} has this picture already: entry {listed.entry}")
        name = key if entry is None else entry
        proposal = {"by": actor.name, "quality": pdq.quality, "at_ms": now, "entry": name}
        _propose(redis, key, proposal, actor)
        return Confirmation(entry=name, confirmed=False, proposed_by=actor.name)
    if actor.is_person(str(proposal["by"])):
        raise BankRequestError(f"{actor.name} put this picture forward: a second person must confirm it")
    name, first = str(proposal["entry"]), str(proposal["by"])
    tags = (f"{_PROPOSED_BY}{first}", f"confirmed-by:{actor.name}")
    added = Entry(entry=name, kind=HashKind.PDQ, value=pdq.bits, tags=tags)
    append_changes(redis, [BankChange.add(CONFIRMED, added, at_ms=now)], by=actor)
    with store_errors():
        redis.hdel(PROPOSED, key)
    return Confirmation(entry=name, confirmed=True, proposed_by=first)


def proposer_of(redis: Redis, bits: bytes) -> str | None:
    """The person who put a picture of that hash forward for `confirmed`; None: nobody did, or too long ago.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now = now_ms(redis)
        proposal = _proposal(redis.hget(PROPOSED, derived_entry_id(CONFIRMED, HashKind.PDQ, bits)))
    if proposal is None or now - int(proposal["at_ms"]) > PROPOSAL_HOURS * HOUR_MS:
        return None
    return str(proposal["by"])


def _propose(redis: Redis, key: str, proposal: Mapping[str, Any], actor: Actor) -> None:
    act = BankAct(
        did="propose",
        list=CONFIRMED,
        by=actor.name,
        role=actor.role,
        verified=actor.verified,
        entries=(str(proposal["entry"]),),
    )
    args: list[str | int] = [key, json.dumps(proposal), texts_of([act]), KEPT_ACTS, actor.name, actor.proof]
    if run_script_to_disk(redis, "bank_propose", keys=[PROPOSED, HISTORY], args=args) < 0:
        raise unproven(actor)


def _proposal(text: object) -> dict[str, Any] | None:
    """None: there is none, or it is damaged, and the picture is put forward anew."""
    try:
        proposal = json.loads(str(text))
        return {"at_ms": int(proposal["at_ms"]), "by": str(proposal["by"]), "entry": str(proposal["entry"])}
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def allow(redis: Redis, bank: Bank, pdq: PdqHash, *, list_name: str, hours: float, actor: Actor) -> Entry:
    """Lowers a list's matches on this very picture to `review` for `hours`. Returns the entry of `allow`.

    Raises:
        BankRequestError: the role may not, there is no such list, or the time is too long.
        StoreError: Redis failed.
    """
    actor.must_be(Role.LEAD, to="allow a picture")
    must_exist(bank, list_name)
    return allow_match(redis, pdq, list_name=list_name, hours=hours, actor=actor)


def allow_match(redis: Redis, pdq: PdqHash, *, list_name: str, hours: float, actor: Actor) -> Entry:
    """As `allow`, for a list that has matched the picture, so that it is there.

    Raises:
        BankRequestError: the role may not, the list is built in, or the time is too long.
        StoreError: Redis failed.
    """
    actor.must_be(Role.LEAD, to="allow a picture")
    if list_name in BUILT_IN:
        raise BankRequestError(f"list {list_name!r}: expected the list whose match is to be lowered to `review`")
    check_hours(hours, MAX_ALLOW_HOURS)
    if not pdq.hashable:
        raise BankRequestError(f"quality {pdq.quality}: too low for its hash to identify the picture")
    with store_errors():
        now = now_ms(redis)
    until_ms = now + round(hours * HOUR_MS)
    entry = Entry(
        entry=derived_entry_id(f"{ALLOW} {list_name}", HashKind.PDQ, pdq.bits),
        kind=HashKind.PDQ,
        value=pdq.bits,
        tags=allow_tags(list_name, until_ms, actor.name),
    )
    done = just_added(redis, ALLOW, by=actor.name)
    same = done is not None and done.entry == entry.entry
    if done is not None and same and is_recent(allowed_until_ms(done.tags), until_ms, ONCE_SECONDS * 1000):
        append_changes(redis, [], by=actor)
        return done
    append_changes(redis, [BankChange.add(ALLOW, entry, at_ms=now)], by=actor)
    return entry


def forget_past(redis: Redis) -> int:
    """Drops pictures that were put forward and never confirmed, and quarantines that are over; returns their number.

    Raises:
        StoreError, RedisError: Redis failed.
    """
    args: list[str | int] = [age_ms(redis), "at_ms", PROPOSAL_HOURS * HOUR_MS, "until_ms", 0]
    return int(run_script(redis, "bank_forget", keys=[PROPOSED, QUARANTINE], args=args))
