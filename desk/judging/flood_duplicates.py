"""Duplicates in a flood of one hash: a lead decides them as the flood was decided, with their number named.

Nothing else is ever decided together: matches on a list are judged one by one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from redis import Redis

from config.facts import FLOOD_RULE
from config.settings import Settings
from desk.errors import JudgementRefusedError
from worker.errors import BankRequestError, PeopleError, QueueError
from worker.people.actor import Actor, Role
from worker.queue.duplicates import decide_duplicates, find_duplicates


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """Open incidents that rest on the flood's hash."""

    incident_id: str
    """The flood."""
    number: int
    """Those that rest on nothing else, as far as one act decides them."""
    left: int
    """Others, which are decided one by one."""
    more: bool


def duplicates_of(redis: Redis, record: Mapping[str, Any], actor: Actor) -> Duplicates | None:
    """The duplicates of a decided flood, for a lead; None: it is no flood, or none is open.

    Raises:
        StoreError: Redis failed.
    """
    if record["rule"] != FLOOD_RULE or actor.role is not Role.LEAD:
        return None
    incident_id = str(record["incident_id"])
    try:
        found = find_duplicates(redis, incident_id, by=actor.name)
    except QueueError:  # deleted meanwhile
        return None
    if not found.alike:
        return None
    return Duplicates(incident_id=incident_id, number=len(found.alike), left=len(found.left), more=found.more)


def decide_as_the_flood(
    redis: Redis, record: Mapping[str, Any], actor: Actor, settings: Settings, *, note: str, number: str
) -> tuple[int, int]:
    """Decides the duplicates of a flood as it was decided; returns how many were, and how many were left.

    Args:
        number: of duplicates, as the page named it.

    Raises:
        JudgementRefusedError: the flood is not decided, the note is missing, the number is another one by now, or the
            person is no lead. Nothing was written.
        StoreError: Redis failed; some may be decided.
    """
    found = duplicates_of(redis, record, actor) if record["state"] == "decided" else None
    if found is None:
        raise JudgementRefusedError("judging.refused_duplicates")
    if str(found.number) != number:
        raise JudgementRefusedError("judging.refused_number", count=found.number)
    if not note.strip():
        raise JudgementRefusedError("judging.refused_reason")
    last = record["decisions"][-1]
    try:
        done = decide_duplicates(
            redis,
            found.incident_id,
            str(last["outcome"]),
            by=actor,
            note=note,
            deployment=settings.deployment,
            category=last.get("category"),
        )
    except (QueueError, PeopleError, BankRequestError) as error:
        raise JudgementRefusedError("judging.refused_duplicates") from error
    return len(done.decisions), len(done.left)
