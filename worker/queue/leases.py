"""Leases of incidents: their holder gives an incident back, or extends its lease."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from worker.errors import PeopleError, QueueError
from worker.incidents.keys import held_key, incident_key
from worker.people.actor import Actor
from worker.queue.case_acts import refused_person
from worker.queue.record_fields import LEASE_SECONDS, LONGEST_LEASE_MS
from worker.store.redis_client import run_script, store_errors


@dataclass(frozen=True, kw_only=True)
class IncidentLease:
    """An extended lease."""

    until_ms: int
    """Redis's clock."""
    changed: bool
    """The incident has changed since its holder took it: `take` returns it again."""
    others: tuple[str, ...] = ()
    """Ids of the other incidents of its case, whose leases were extended too."""


@dataclass(frozen=True, kw_only=True)
class GivenBack:
    """An incident that nobody holds any more."""

    entries: int
    """Entries of it that wait in the queue."""
    others: tuple[str, ...] = ()
    """Ids of the other incidents of its case, which were given back too."""


def release(redis: Redis, incident_id: str, by: str | Actor) -> GivenBack:
    """Gives an incident back before its lease ends, together with those of its case that `by` holds.

    The event that `by` was shown stays recorded: as after a lease that has ended, a decision is refused if the incident
    has become worse since.

    Raises:
        QueueError: the incident is unknown, decided, or not held by `by`.
        PeopleError: the roster does not have `by` any more.
        StoreError: Redis failed.
    """
    actor = Actor.named(by)
    args: list[str | int] = [incident_id, actor.name, LONGEST_LEASE_MS, actor.proof]
    with store_errors():
        answer = run_script(redis, "release", keys=[incident_key(incident_id)], args=args)
    if answer[0] != "released":
        raise not_held(incident_id, answer, actor)
    return GivenBack(entries=int(answer[1]), others=tuple(map(str, answer[2])))


def extend(redis: Redis, incident_id: str, by: str | Actor) -> IncidentLease:
    """Has the lease of an incident end LEASE_SECONDS from now, and those of its case that `by` holds.

    A lease that has ended is renewed as well, if nobody has taken the incident since.

    Raises:
        QueueError: the incident is unknown, decided, or not held by `by`.
        PeopleError: the roster does not have `by` any more, or the incident needs another role.
        StoreError: Redis failed.
    """
    actor = Actor.named(by)
    with store_errors():
        answer = run_script(
            redis,
            "extend",
            keys=[incident_key(incident_id), held_key(actor.name)],
            args=[incident_id, actor.name, round(LEASE_SECONDS * 1000), LONGEST_LEASE_MS, actor.proof],
        )
    if answer[0] != "extended":
        raise not_held(incident_id, answer, actor)
    return IncidentLease(until_ms=int(answer[1]), changed=bool(answer[2]), others=tuple(map(str, answer[3])))


def not_held(incident_id: str, answer: Sequence[object], by: Actor) -> QueueError | PeopleError:
    """Translates a script's answer why a person may not act on an incident, or does not hold it."""
    if answer[0] in {"unproven", "role"}:
        return refused_person(by, answer, f"hold or decide incident {incident_id}")
    if answer[0] == "held":
        return QueueError(f"incident {incident_id} is held by {answer[1]} for another {answer[2]} s")
    if answer[0] == "already":
        return decided_already(incident_id, answer[1], answer[2])
    if answer[0] == "free":
        return QueueError(f"incident {incident_id} is held by nobody: `livewarden queue next` takes the next one")
    return unknown(incident_id)


def unknown(incident_id: str) -> QueueError:
    """No incident has that id."""
    return QueueError(f"incident {incident_id[:100]!r} is not known: `livewarden queue list` shows open ones")


def decided_already(incident_id: str, outcome: object, by: object) -> QueueError:
    """It was decided already."""
    return QueueError(f"incident {incident_id} was decided already: {outcome}, by {by}")
