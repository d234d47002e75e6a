"""Acts of a person on a case that they hold, in one step in Redis."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis import Redis

from worker.errors import PeopleError, QueueError
from worker.incidents.keys import held_key
from worker.people.actor import Actor, Role
from worker.people.roster import unproven
from worker.queue.record_fields import LONGEST_LEASE_MS
from worker.store.redis_client import run_script, store_errors

_ROLE_NEEDED: Final = 2
"""Place of the role that is needed, in a refusal because of the role; left out where a moderator's suffices."""


@dataclass(frozen=True, kw_only=True)
class CaseLease:
    """A person's hold on a case."""

    until_ms: int
    """Redis's clock; the latest, if a person holds its incidents for different times. 0: they were given back."""
    incidents: tuple[str, ...]
    """Ids of its undecided incidents that the person holds, or gave back; in the order in which they were raised."""
    changed: tuple[str, ...] = ()
    """Ids of those that changed since the person was shown them: a take shows them again."""
    free: tuple[str, ...] = ()
    """Ids of undecided incidents of the case that nobody holds: raised since, or given back."""


def act_on_case(
    redis: Redis,
    act: str,
    actor: Actor,
    case_id: str,
    *,
    seconds: float = 0.0,
    text: str = "",
    named: str = "",
    entry: str = "",
) -> CaseLease:
    """Runs `worker/store/lua/case_hold.lua`, which says what each act does."""
    with store_errors():
        answer = run_script(
            redis,
            "case_hold",
            keys=[held_key(actor.name)],
            args=[
                act,
                case_id,
                actor.name,
                actor.proof,
                LONGEST_LEASE_MS,
                LONGEST_LEASE_MS,
                round(seconds * 1000),
                text,
                named,
                entry,
            ],
        )
    if answer[0] != "done":
        raise case_refused(case_id, answer, actor, named=named)
    incidents, changed, free = (tuple(map(str, ids)) for ids in answer[2:])
    return CaseLease(until_ms=int(answer[1]), incidents=incidents, changed=changed, free=free)


def case_refused(case_id: str, answer: Sequence[object], by: Actor, *, named: str = "") -> QueueError | PeopleError:
    """Translates a script's answer why a person may not act on a case."""
    name = f"case {case_id[:100]}"
    match answer[0]:
        case "unproven" | "role":
            return refused_person(by, answer, f"hold or decide {name}")
        case "nobody":
            return PeopleError(f"{named} is not in the roster: {name} can be handed over to people of it")
        case "unfit":
            return PeopleError(f"{named} is {answer[1]}: {name} needs a {answer[2]}")
        case "held":
            return QueueError(f"{name} is held by {answer[1]} for another {answer[2]} s")
        case "already":
            return QueueError(f"{name} was decided already: {answer[1]}, by {answer[2]}")
        case "free":
            return QueueError(f"{name} is held by nobody: take it first")
        case "judged":
            return QueueError(f"{by.name} has judged {name}: a second person judges now")
        case "damaged":
            return QueueError(f"{name} has no event that can be shown: `livewarden queue list` shows what is known")
        case _:
            return QueueError(f"{name} is not known: `livewarden queue list` shows open incidents")


def refused_person(actor: Actor, answer: Sequence[object], act: str) -> PeopleError:
    """Translates a script's answer that a person may not act; `act` names what only others may."""
    if answer[0] == "unproven":
        return unproven(actor)
    needed = answer[2] if len(answer) > _ROLE_NEEDED else Role.MODERATOR
    others = "a lead" if needed == Role.LEAD else "a moderator or a lead"
    return PeopleError(f"{actor.name} is {answer[1]}: only {others} may {act}")
