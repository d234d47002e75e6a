"""Duplicates in a flood: open incidents of single streams that the flooding hash alone raised, decided with it at once.

A hash is on many streams as one incident. Those of its first streams were raised before it was; a lead decides them
together, with one note and one entry of the audit log. Whatever else an incident rests on keeps it out.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis

from config.errors import LivewardenError
from config.facts import FLOOD_RULE, ListedHash
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.trial import compile_condition
from worker.audit.entries import MAX_TEXTS, Act, append_once, audit_entry
from worker.errors import QueueError, StoreError
from worker.incidents.keys import incident_key
from worker.people.actor import Actor, Role
from worker.queue.answers import Decision
from worker.queue.decisions import record_answer
from worker.queue.open_cases import read_queued
from worker.queue.second_judge import GivenJudgement
from worker.queue.undecided import read_record
from worker.store.redis_client import store_errors

MOST_AT_ONCE: Final = MAX_TEXTS
"""Incidents that one call decides: as many as one entry of the audit log names. A further call decides the rest."""


@dataclass(frozen=True, kw_only=True)
class FloodDuplicates:
    """The open incidents that name a flood's hash."""

    alike: Mapping[str, str] = field(default_factory=dict)
    """Those that rest on nothing else, with their newest events; at most `MOST_AT_ONCE`."""
    left: Mapping[str, str] = field(default_factory=dict)
    """Others, with the reason that each is decided on its own."""
    more: bool = False
    """There are more than `MOST_AT_ONCE`."""


@dataclass(frozen=True, kw_only=True)
class DuplicatesDecided:
    """Incidents that one answer decided."""

    decisions: tuple[Decision, ...]
    left: Mapping[str, str]
    """Incidents that stay open, with the reason."""
    more: bool
    """Call again: there are more than one call decides."""


def find_duplicates(redis: Redis, incident_id: str, *, by: str | None = None) -> FloodDuplicates:
    """Returns the open incidents of single streams that name the hash of a flood.

    Args:
        by: a person whose own leases keep nothing.

    Raises:
        QueueError: the incident is unknown, or no flood.
        StoreError: Redis failed.
    """
    with store_errors():
        flood = read_record(redis, incident_id)
    if flood["rule"] != FLOOD_RULE:
        raise QueueError(f"incident {incident_id} is no flood: only duplicates in a flood of one hash go together")
    hashes = {ListedHash(one["list"], one["entry"]): one["distance"] for one in _matches(flood)}
    lists = {listed.list for listed in hashes}
    alike, left, more = dict[str, str](), dict[str, str](), False
    for other, one in read_queued(redis)[0].items():
        # The queue keeps the nearest match of each: most of a long queue differs in it.
        if other == incident_id or one.purpose != flood["purpose"] or one.ground.get("list") not in lists:
            continue
        with store_errors():
            fields = {str(name): str(value) for name, value in redis.hgetall(incident_key(other)).items()}
        matches = _matches(fields)
        if "outcome" in fields or not any(ListedHash(near["list"], near["entry"]) in hashes for near in matches):
            continue
        held = one.holder not in (None, by)
        reason = f"{one.holder} holds it" if held else _other_ground(fields, matches, hashes)
        if reason:
            left[other] = reason
        elif len(alike) < MOST_AT_ONCE:
            alike[other] = fields["event"]
        else:
            more = True
    return FloodDuplicates(alike=alike, left=left, more=more)


def decide_duplicates(
    redis: Redis,
    incident_id: str,
    outcome: str,
    *,
    by: Actor,
    note: str,
    deployment: str,
    category: str | None = None,
    ask: Sequence[str] = (),
) -> DuplicatesDecided:
    """Decides the open incidents that a flooding hash alone raised, with one outcome and one note. What was found of
    one since it was read, or is worse than in the flood, leaves it open.

    Raises:
        QueueError: the incident is unknown or no flood, there is no note, or an argument is invalid.
        BankRequestError: the person is no lead.
        StoreError: Redis failed; some may be decided.
    """
    by.must_be(Role.LEAD, to="decide duplicates together")
    if not note.strip():
        raise QueueError("--note: duplicates that are decided together need a reason")
    given = GivenJudgement.of(by, outcome, note=note, category=category, ask=ask, interrupt=False)
    found = find_duplicates(redis, incident_id, by=by.name)
    left = dict(found.left)
    alike = {one: event for one, event in found.alike.items() if not _wants_second(redis, one, given, left)}
    if not alike:
        return DuplicatesDecided(decisions=(), left=left, more=False)
    entry = audit_entry(
        Act.DECISION,
        by=by.name,
        verified=by.verified,
        subject=incident_id,
        outcome=given.outcome,
        duplicates=list(alike),
    )
    act = (incident_id, by.name, str(by.verified), given.outcome, given.note, given.category or "", *given.actions)
    append_once(redis, entry, act=act, on=list(alike))
    decisions = []
    for one, event in alike.items():
        try:
            done = record_answer(redis, one, given, by, deployment=deployment, audited=True, only_on=event)
        except StoreError:
            raise
        except LivewardenError as error:  # it was decided or taken meanwhile, or more was found
            left[one] = str(error)
            continue
        assert isinstance(done, Decision)
        decisions.append(done)
    return DuplicatesDecided(decisions=tuple(decisions), left=left, more=found.more)


def _wants_second(redis: Redis, incident_id: str, given: GivenJudgement, left: dict[str, str]) -> bool:
    """Returns whether a second person has to judge an incident; then it is left, with that reason."""
    with store_errors():
        wanted, token = redis.hmget(incident_key(incident_id), ["second_person", "judge_token"])
    if token is not None:
        left[incident_id] = "one person has judged it, and another judges it on its own"
    elif given.outcome in str(wanted or "").split():
        left[incident_id] = f"{given.outcome} needs a second person, who judges each on its own"
    return incident_id in left


def _matches(fields: Mapping[str, str]) -> list[dict[str, Any]]:
    return list(_data(fields).get("matches", ()))


def _data(fields: Mapping[str, str]) -> dict[str, Any]:
    """`data` of an incident's newest event; empty: it is damaged."""
    try:
        data = json.loads(fields.get("event", ""))["data"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _other_ground(
    fields: Mapping[str, str], matches: Sequence[Mapping[str, Any]], hashes: Mapping[ListedHash, int]
) -> str:
    """The reason that an incident does not rest on the flood's hash alone; empty: it does."""
    if "kept_under" in fields:
        return "it is a group of streams of its own"
    if len(matches) != 1:
        return "it matches other entries too"
    (match,) = matches
    if match["distance"] > hashes[ListedHash(match["list"], match["entry"])]:
        return "its match is farther than the flood's"
    condition = _data(fields).get("condition", {})
    try:
        scored = compile_condition(str(condition["when"])).uses_scores
    except (ConditionError, KeyError):
        return "its rule cannot be read"
    return "its rule holds by more than matches" if scored or condition.get("thresholds") else ""
