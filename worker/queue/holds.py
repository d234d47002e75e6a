"""Holds on cases beyond an open page: a longer lease with a reason, a hand over to a colleague, a question to all."""

from typing import Final

from redis import Redis

from worker.audit.entries import Act, audit_entry
from worker.errors import PeopleError, QueueError
from worker.people.actor import Actor, check_name, folded
from worker.people.roster import read_roster
from worker.queue.case_acts import CaseLease, act_on_case
from worker.queue.record_fields import LONGEST_HOLD_MS

MOST_HOLD_SECONDS: Final = LONGEST_HOLD_MS / 1000
"""The longest hold, <=: nobody else may take the case meanwhile."""
LEAST_HOLD_SECONDS: Final = 60.0
MAX_TEXT: Final = 500
"""Characters of a reason, a note or a question, after which a queue would be a page of prose."""


def hold_case(redis: Redis, by: str | Actor, case_id: str, *, until_seconds: float, why: str) -> CaseLease:
    """Keeps a case for `by` for so many seconds from now, whether its page is open or not.

    Args:
        until_seconds: from LEAST_HOLD_SECONDS to MOST_HOLD_SECONDS.
        why: shown to all.

    Raises:
        QueueError: `by` does not hold the case, `until_seconds` is out of range, or there is no reason.
        PeopleError: the roster does not have `by` any more, or the case needs a role that `by` does not have.
        StoreError: Redis failed.
    """
    if not LEAST_HOLD_SECONDS <= until_seconds <= MOST_HOLD_SECONDS:  # NaN is not in it
        expected = f"expected {LEAST_HOLD_SECONDS / 60:g} to {MOST_HOLD_SECONDS / 60:g} min"
        raise QueueError(f"a hold of {until_seconds / 60:g} min: {expected}")
    actor, said = Actor.named(by), check_text(why, "a hold needs a reason")
    entry = audit_entry(
        Act.CASE_HOLD,
        by=actor.name,
        verified=actor.verified,
        subject=case_id,
        seconds=round(until_seconds),
        reason=said,
    )
    return act_on_case(redis, "keep", actor, case_id, seconds=until_seconds, text=said, entry=entry)


def hand_over(redis: Redis, by: str | Actor, case_id: str, *, to: str, note: str) -> CaseLease:
    """Hands a case over to a colleague: `by` holds it until that person takes it, and nobody else may meanwhile.

    It is withdrawn when the lease of `by` ends, which begins anew.

    Args:
        to: a person of the roster whose role suffices, in any case; any name without a roster.
        note: shown to the person who takes it; may be empty.

    Raises:
        QueueError: `by` does not hold the case, is `to`, or the note is invalid.
        PeopleError: the roster does not have `by` or `to`, or not in a role that the case needs.
        StoreError: Redis failed.
    """
    actor, said = Actor.named(by), check_text(note)
    named = _known_name(redis, to)
    if actor.is_person(named):
        raise QueueError(f"{named} holds it already: hand it over to somebody else")
    entry = audit_entry(Act.HAND_OVER, by=actor.name, verified=actor.verified, subject=case_id, to=named, note=said)
    return act_on_case(redis, "hand_over", actor, case_id, text=said, named=named, entry=entry)


def withdraw(redis: Redis, by: str | Actor, case_id: str) -> CaseLease:
    """Takes a hand over back that nobody has accepted.

    Raises:
        QueueError, PeopleError, StoreError: as `hand_over`.
    """
    actor = Actor.named(by)
    entry = audit_entry(Act.HAND_OVER, by=actor.name, verified=actor.verified, subject=case_id, to="")
    return act_on_case(redis, "withdraw", actor, case_id, entry=entry)


def ask_help(redis: Redis, by: str | Actor, case_id: str, *, what: str) -> CaseLease:
    """Shows a question about a case to all in the queue, until the case is decided.

    Args:
        what: the question; empty takes it back, which the person who asked may do without holding the case.

    Raises:
        QueueError: `by` does not hold the case, or the question is invalid.
        PeopleError: the roster does not have `by` any more, or the case needs a role that `by` does not have.
        StoreError: Redis failed.
    """
    actor, said = Actor.named(by), check_text(what)
    entry = audit_entry(Act.ASK_HELP, by=actor.name, verified=actor.verified, subject=case_id, question=said)
    return act_on_case(redis, "ask_help", actor, case_id, text=said, entry=entry)


def check_text(text: str, needed: str = "") -> str:
    """Returns a text of a person, stripped.

    Args:
        needed: what is said where there is none; empty: it may be empty.

    Raises:
        QueueError: it is missing, longer than MAX_TEXT, or no valid text.
    """
    said = " ".join(text.split())
    if not said and needed:
        raise QueueError(needed)
    if len(said) > MAX_TEXT:
        raise QueueError(f"a text of {len(said)} characters: expected at most {MAX_TEXT}")
    if not said.isprintable():
        raise QueueError("a text with unprintable characters: expected plain text")
    return said


def _known_name(redis: Redis, given: str) -> str:
    """The name as the roster has it, which is compared as it is written; without a roster as it is given."""
    name, roster = check_name(given), read_roster(redis)
    if not roster or name in roster:
        return name
    found = next((one for one in roster if folded(one) == folded(name)), None)
    if found is None:
        raise PeopleError(f"{name} is not in the roster: a case can be handed over to people of it")
    return found
