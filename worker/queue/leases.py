"""Leases of incidents: their holder gives an incident back, or extends its lease."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from worker.errors import QueueError
from worker.incidents.keys import entries_key, held_key, incident_key
from worker.people.actor import check_name
from worker.queue.claims import LEASE_SECONDS, LONGEST_LEASE_MS
from worker.store.redis_client import run_script, store_errors


@dataclass(frozen=True, kw_only=True)
class IncidentLease:
    """An extended lease."""

    until_ms: int
    """Redis's clock."""
    changed: bool
    """The incident has changed since its holder took it: `take` returns it again."""


def release(redis: Redis, incident_id: str, by: str) -> int:
    """Gives an incident back before its lease ends; returns how many entries of it wait in the queue.

    The event that `by` was shown stays recorded: as after a lease that has ended, a decision is refused if the incident
    has become worse since.

    Raises:
        QueueError: the incident is unknown, decided, or not held by `by`.
        StoreError: Redis failed.
    """
    name = check_name(by)
    with store_errors():
        answer = run_script(
            redis, "release", keys=[incident_key(incident_id), entries_key(incident_id)], args=[name, LONGEST_LEASE_MS]
        )
    if answer[0] != "released":
        raise not_held(incident_id, answer)
    return int(answer[1])


def extend(redis: Redis, incident_id: str, by: str) -> IncidentLease:
    """Has the lease of an incident end LEASE_SECONDS from now.

    A lease that has ended is renewed as well, if nobody has taken the incident since.

    Raises:
        QueueError: the incident is unknown, decided, or not held by `by`.
        StoreError: Redis failed.
    """
    name = check_name(by)
    with store_errors():
        answer = run_script(
            redis,
            "extend",
            keys=[incident_key(incident_id), held_key(name)],
            args=[incident_id, name, round(LEASE_SECONDS * 1000), LONGEST_LEASE_MS],
        )
    if answer[0] != "extended":
        raise not_held(incident_id, answer)
    return IncidentLease(until_ms=int(answer[1]), changed=bool(answer[2]))


def not_held(incident_id: str, answer: Sequence[object]) -> QueueError:
    """Translates a script's answer why a person does not hold an incident."""
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
