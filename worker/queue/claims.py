"""Claims on incidents and cases: a person takes one from the queue and holds it under a lease, so that it is free again
if the person goes away.
"""

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from config.facts import Severity
from worker.audit.entries import Act, audit_entry
from worker.events.cloudevent import rfc3339
from worker.incidents.keys import ESCALATION_KEYS, OPEN_KEYS, held_key
from worker.people.actor import Actor
from worker.queue.case_acts import CaseLease, act_on_case, case_refused, refused_person
from worker.queue.case_order import TURNS, LongestWaits
from worker.queue.queue_entries import last_ids, read_entries
from worker.queue.record_fields import LEASE_SECONDS, LONGEST_LEASE_MS
from worker.store.redis_client import run_script, store_errors

REOPEN_SECONDS: Final = 15.0
"""For which a closed page keeps its case: to load it again, or to go back to it, loses nothing."""
MAX_DRAINED = 100
"""New entries that one take reads of each stream: bounds how long Redis is busy, some 10 ms. The next take reads on."""
MOST_ASIDE = 200
"""Entries that nobody can be given whose places are kept, the newest."""
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


_CLAIM_PARTS: Final = 7
"""Parts of a claim in the script's answer; a refusal has fewer."""


def take(
    redis: Redis,
    by: str | Actor,
    *,
    lease_seconds: float = LEASE_SECONDS,
    another: bool = False,
    waits: LongestWaits | None = None,
) -> Claim | None:
    """Takes an incident for `by`; with it the other open incidents of its case that nobody else holds.

    What `by` holds already comes first, before others one that has changed since it was given: a person whose terminal
    was lost gets the same incident again; then what was handed over to `by`. Unless something else is live and that is
    not, or more severe: that is given by `worker.queue.case_order`, as it is to those who hold nothing. Incidents that
    need a higher role than `by` has are left to others. What a person holds who was removed from the roster is free.

    Args:
        by: a name alone: unverified, which a roster refuses.
        lease_seconds: up to LEASE_SECONDS, from now on, also for an incident that `by` held already.
        another: only an incident that `by` does not hold.
        waits: the deployment's; None: the usual ones.

    Returns:
        None if there is nothing to take.

    Raises:
        QueueError: `by` is not a valid name.
        PeopleError: the roster does not have `by` any more, or in a role that decides nothing.
        StoreError: Redis failed.
    """
    actor = Actor.named(by)
    answer = _run_take(redis, actor, lease_seconds=lease_seconds, another=another, waits=waits)
    return _claim_of(answer) if answer else None


def take_case(redis: Redis, by: str | Actor, case_id: str) -> Claim:
    """Takes all undecided incidents of a case that nobody else holds, or that were handed over to `by`; those that `by`
    holds already stay so, for LEASE_SECONDS at least.

    Args:
        case_id: of a case; or of an incident that has none.

    Returns:
        The most urgent of them, with the others.

    Raises:
        QueueError: another person holds the case, or it is decided, unknown or unreadable.
        PeopleError: the roster does not have `by` any more, or the case needs a role that `by` does not have.
        StoreError: Redis failed.
    """
    actor = Actor.named(by)
    answer = _run_take(redis, actor, case_id=case_id)
    if len(answer) < _CLAIM_PARTS:
        raise case_refused(case_id, answer, actor)
    return _claim_of(answer)


def _run_take(
    redis: Redis,
    actor: Actor,
    *,
    lease_seconds: float = LEASE_SECONDS,
    another: bool = False,
    case_id: str = "",
    waits: LongestWaits | None = None,
) -> list[Any]:
    """Runs the script; returns a claim's parts, nothing, or why nothing of the case is given."""
    token = secrets.token_hex(16)
    longest = LongestWaits() if waits is None else waits
    with store_errors():
        answer: list[Any] = run_script(
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
                case_id,
                *(longest.of_ms(severity) for severity in Severity),
                TURNS,
                MOST_ASIDE,
            ],
        )
    if not case_id and 0 < len(answer) < _CLAIM_PARTS:
        raise refused_person(actor, answer, "take incidents")
    return answer


def _claim_of(answer: Sequence[Any]) -> Claim:
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


def renew(redis: Redis, by: str | Actor, case_id: str) -> CaseLease:
    """Has the lease of each undecided incident of a case that `by` holds last LEASE_SECONDS from now; a longer one that
    `by` asked for, stays. A page calls it while it is open.

    Leases that have ended are renewed as well, if nobody has taken the incidents since.

    Raises:
        QueueError: `by` holds none of them; the text says who does, or what was decided.
        PeopleError: the roster does not have `by` any more, or the case needs a role that `by` does not have.
        StoreError: Redis failed.
    """
    return act_on_case(redis, "renew", Actor.named(by), case_id)


def let_go(redis: Redis, by: str | Actor, case_id: str, *, page_closed: bool = False) -> CaseLease:
    """Gives the undecided incidents of a case back that `by` holds.

    Args:
        page_closed: only the page of the case was closed: the lease ends `REOPEN_SECONDS` from now, unless `by` asked
            for a longer one or handed the case over.

    Raises:
        QueueError, PeopleError, StoreError: as `renew`.
    """
    actor = Actor.named(by)
    if page_closed:
        return act_on_case(redis, "leave", actor, case_id, seconds=REOPEN_SECONDS)
    return act_on_case(redis, "let_go", actor, case_id)


def for_holder(event: str, *, lease_until_ms: int, taken_ms: int, others: Sequence[str]) -> str:
    """Adds to an escalation event what its holder is given beside it."""
    record = json.loads(event)
    if isinstance(record, dict) and isinstance(data := record.get("data"), dict):
        data["lease_until"] = rfc3339(lease_until_ms)
        data["others"] = list(others)
        if taken_ms and isinstance(data.get("times"), dict):
            data["times"]["taken"] = rfc3339(taken_ms)
    return json.dumps(record)


def take_or_wait(
    redis: Redis, by: str | Actor, *, wait_seconds: float, another: bool = False, waits: LongestWaits | None = None
) -> Claim | None:
    """As `take`, but waits up to `wait_seconds` for something to take.

    Redis wakes it when an event is published. It sees an incident that is free again after RECHECK_SECONDS at most.
    """
    deadline = time.monotonic() + wait_seconds
    while True:
        # Read before the take: an event that is published between the two ends the wait immediately.
        seen = last_ids(redis)
        taken = take(redis, by, another=another, waits=waits)
        left = deadline - time.monotonic()
        if taken is not None or left <= 0:
            return taken
        # A take is a write, and each write goes to the disk: while nothing is free, waiting only reads.
        while left > 0 and not read_entries(redis, seen, min(left, RECHECK_SECONDS)) and not anything_free(redis, by):
            left = deadline - time.monotonic()


def anything_free(redis: Redis, by: str | Actor) -> bool:
    """Returns whether an undecided incident is free that `by` could take; True too if `take` would refuse `by`."""
    actor = Actor.named(by)
    with store_errors():
        args: list[str | int] = [LONGEST_LEASE_MS, actor.name, actor.proof]
        return bool(run_script(redis, "anything_free", keys=OPEN_KEYS, args=args))
