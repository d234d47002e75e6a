"""Finds incidents by the beginning of their ids, as people type them."""

import re
from typing import Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.errors import QueueError
from worker.incidents.keys import ALIKE, case_key, ids_key, incident_key
from worker.people.actor import Actor, Role
from worker.queue.case_acts import refused_person
from worker.queue.open_cases import read_open_cases
from worker.queue.record_fields import role_needed
from worker.store.redis_client import store_errors

ID_LENGTH: Final = 24
CASE_PREFIX: Final = "case-"
MOST_NAMED: Final = 5
"""Incidents that are named if a beginning stands for several: more would not make the choice easier."""


def find_incident(redis: Redis, given: str) -> str:
    """Returns the id of the incident that a person named by a complete id or its beginning.

    Reads only incidents that begin alike, decided ones too: if only one open incident begins so, another one may still
    be meant. A complete id is returned as it is, known or not.

    Raises:
        QueueError: the text is not a beginning of an id, or of no incident, or of several, which are named; so are
            those of a case whose id was given.
        StoreError: Redis failed.
    """
    if is_case(given):
        raise _of_case(redis, find_case(redis, given))
    beginning = given.strip().lower()
    if not re.fullmatch(f"[0-9a-f]{{{ALIKE},{ID_LENGTH}}}", beginning):
        raise QueueError(
            f"incident {given[:100]!r}: expected its id, or at least the first {ALIKE} characters of it (0-9, a-f)"
        )
    if len(beginning) == ID_LENGTH:
        return beginning
    with store_errors():
        alike = sorted(str(one) for one in redis.smembers(ids_key(beginning)))
        alike = [one for one in alike if one.startswith(beginning)]
        with redis.pipeline(transaction=False) as pipe:
            for one in alike:
                pipe.hmget(incident_key(one), ["stream_id", "rule", "outcome"])
            records = pipe.execute(raise_on_error=False)
    found = {
        one: record
        for one, record in zip(alike, records, strict=True)
        if not isinstance(record, ResponseError) and record[0] is not None
    }
    if not found:
        raise QueueError(
            f"no incident is known whose id begins with {beginning}: `livewarden queue list` shows open ones"
        )
    if len(found) > 1:
        named = "; ".join(_named(one, *record) for one, record in list(found.items())[:MOST_NAMED])
        more = f"; and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
        raise QueueError(f"{len(found)} incidents begin with {beginning}: {named}{more}: give more of the id")
    return next(iter(found))


def is_case(given: str) -> bool:
    """Returns whether a person named a case by its own id, and not by an incident of it."""
    return given.strip().lower().startswith(CASE_PREFIX)


def find_case(redis: Redis, given: str) -> str:
    """Returns the id of the case that a person named: by its id, or by that of one of its incidents, complete or its
    beginning. An incident without a case is one of its own. A complete id is returned as it is, known or not.

    Raises:
        QueueError: as `find_incident`.
        StoreError: Redis failed.
    """
    if not is_case(given):
        incident_id = find_incident(redis, given)
        with store_errors():
            found = redis.hget(incident_key(incident_id), "case")
        return incident_id if not found else str(found)
    named = given.strip().lower()
    if not re.fullmatch(f"{CASE_PREFIX}[0-9a-f]{{{ALIKE},{ID_LENGTH}}}", named):
        raise QueueError(
            f"case {given[:100]!r}: expected its id, or at least {CASE_PREFIX} and {ALIKE} more characters (0-9, a-f)"
        )
    if len(named) == len(CASE_PREFIX) + ID_LENGTH:
        return named
    alike = sorted(case.case_id for case in read_open_cases(redis)[0] if case.case_id.startswith(named))
    if not alike:
        raise QueueError(f"no open case begins with {named}: give the whole id, or an incident of the case")
    if len(alike) > 1:
        raise QueueError(f"{len(alike)} open cases begin with {named}: give more of the id, or an incident of the case")
    return alike[0]


def expect_role(redis: Redis, incident_id: str, actor: Actor, *, act: str) -> None:
    """Refuses a person of the roster whose role does not suffice for an incident; `act` names what they may not do.

    An incident without a record refuses nobody. The scripts of the queue check it themselves, in their own step.

    Raises:
        PeopleError: the incident is for a lead, and the actor is none.
        StoreError: Redis failed.
    """
    with store_errors():
        names = ("needs_role", "kept_under")
        found = dict(zip(names, redis.hmget(incident_key(incident_id), names), strict=True))
    needed = role_needed({name: str(value) for name, value in found.items() if value is not None})
    if actor.verified and needed == Role.LEAD and actor.role is not Role.LEAD:
        raise refused_person(actor, ("role", actor.role, needed), f"{act} of incident {incident_id}")


def _of_case(redis: Redis, case_id: str) -> QueueError:
    with store_errors():
        incidents = [str(one) for one in redis.zrange(case_key(case_id), 0, -1)]
    if not incidents:
        return QueueError(f"case {case_id} is not known: `livewarden queue list` shows open incidents")
    more = f" and {len(incidents) - MOST_NAMED} more" if len(incidents) > MOST_NAMED else ""
    return QueueError(f"{case_id} is a case: name one of its incidents: {', '.join(incidents[-MOST_NAMED:])}{more}")


def _named(incident_id: str, stream_id: str, rule: str | None, outcome: str | None) -> str:
    state = "open" if outcome is None else f"decided: {outcome}"
    return f"{incident_id} (stream {stream_id}, rule {rule}, {state})"
