"""Changes of the roster by a lead: people are added and removed, their roles changed and their tokens replaced.

The first person is added without a token, and is a lead; from then on only a verified lead changes the roster. Each
change is checked against the roster and written with its entry in the audit log in one step.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.audit.entries import WORKER, Act, audit_entry
from worker.errors import PeopleError, StoreError, UnconfirmedTokenError
from worker.people.actor import Actor, Role, check_name, folded
from worker.people.roster import MAX_PEOPLE, PEOPLE, ROSTER_ROLES, Person, known_role, read_roster, unproven
from worker.people.tokens import is_token, new_token, proof_of, proof_sha1, token_sha256
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

TRIES: Final = 20
"""Reads of a record that others keep changing."""

AGAIN_SECONDS: Final = 4.0
"""For which a change is sent again whose answer is lost: only who makes a token knows it."""


def add_person(redis: Redis, name: str, role: str, *, by: Actor) -> str | None:
    """Adds a person, or gives a person of the roster another role.

    Args:
        by: a lead of the roster; where there is none yet, the person who is added.

    Returns:
        The token of a new person, which nothing keeps; None: the person was there, and keeps their token.

    Raises:
        PeopleError: `by` may not, or the roster would be left without a lead, or has the person in that role already.
        QueueError: the name is malformed.
        UnconfirmedTokenError: the change may have been made, and has the token.
        StoreError: Redis failed, or did not confirm that the change is on disk; it may have been made.
    """
    given, wanted = check_name(name), _roster_role(role)
    if folded(given) == WORKER:
        raise PeopleError(f"{given}: the audit log has Livewarden's own acts under this name: choose another")
    token = new_token()

    def changed(before: Person | None) -> Person:
        if before is None:
            return _with_token(Person(name=given, role=wanted, token_sha256=""), token)
        if before.role is wanted:
            raise PeopleError(f"{before.name} is {wanted} already: `livewarden people token` makes a new token")
        return replace(before, role=wanted)

    before = _change(redis, given, changed, by=by, token=token)
    return token if before is None else None


def remove_person(redis: Redis, name: str, *, by: Actor) -> None:
    """Removes a person, who can do nothing from then on, and holds no incident any more.

    Raises:
        PeopleError: `by` may not, the roster does not have the person, or no lead would be left.
        StoreError: as `add_person`.
    """

    def changed(before: Person | None) -> None:
        if before is None:
            raise PeopleError(f"{name} is not in the roster")

    _change(redis, check_name(name), changed, by=by, removes=True)


def renew_token(redis: Redis, name: str, *, by: Actor, token: str | None = None) -> str:
    """Gives a person a new token, for a lead or the person; the one before is refused from then on.

    Args:
        token: from `new_token`; None: one is made.

    Raises:
        PeopleError: `by` may not, or the roster does not have the person.
        UnconfirmedTokenError, StoreError: as `add_person`.
    """
    made = new_token() if token is None else token

    def changed(before: Person | None) -> Person:
        if before is None:
            raise PeopleError(f"{name} is not in the roster")
        return _with_token(before, made)

    _change(redis, check_name(name), changed, by=by, token=made)
    return made


def _change(
    redis: Redis,
    given: str,
    changed: Callable[[Person | None], Person | None],
    *,
    by: Actor,
    removes: bool = False,
    token: str = "",
) -> Person | None:
    """Reads the person's record, and writes what `changed` makes of it, which may have `token`; returns the person
    before."""
    for _ in range(TRIES):
        records = read_roster(redis)
        name = given if given in records else next((one for one in records if folded(one) == folded(given)), given)
        text = records.get(name, "")
        before = _readable(name, text, removes=removes)
        after = changed(before)
        if after is not None and before is None:
            with store_errors():
                after = replace(after, added_ms=now_ms(redis), added_by=by.name)
        args: list[str | int] = [
            by.name,
            by.proof,
            name,
            text,
            "" if after is None else after.to_json(),
            MAX_PEOPLE,
            _entry(name, before, after, by),
        ]
        try:
            answer = run_script_to_disk(redis, "people_change", keys=[PEOPLE], args=args, again_seconds=AGAIN_SECONDS)
        except StoreError as error:
            if isinstance(error.__cause__, ResponseError) or after is None or not is_token(token, after.token_sha256):
                raise
            raise UnconfirmedTokenError(str(error), token=token) from error
        if answer[0] == "changed":
            return before
        if answer[0] != "clash":
            raise _refusal(answer, name, by)
    raise StoreError("the roster keeps changing: try again")


def _readable(name: str, text: str, *, removes: bool) -> Person | None:
    """The person of a record; a damaged one can be removed, and be nothing else."""
    if not text:
        return None
    try:
        return Person.from_json(name, text)
    except StoreError:
        if removes:
            return Person(name=name, role=Role.PLATFORM, token_sha256="")
        raise


def _with_token(person: Person, token: str) -> Person:
    return replace(person, token_sha256=token_sha256(token), proof_sha1=proof_sha1(proof_of(token)))


def _entry(name: str, before: Person | None, after: Person | None, by: Actor) -> str:
    if after is None:
        change = "removed"
    elif before is None:
        change = "added"
    else:
        change = "role" if before.role is not after.role else "token"
    details = {"change": change}
    if before is not None:
        details["was"] = before.role
    if after is not None:
        details["role"] = after.role
    return audit_entry(Act.ROLE, by=by.name, verified=by.verified, subject=name, **details)


def _roster_role(role: str) -> Role:
    """Returns the role of that name, if a person may have it.

    Raises:
        PeopleError: there is none, or no person has it.
    """
    wanted = known_role(role)
    if wanted not in ROSTER_ROLES:
        raise PeopleError(f"--role {wanted}: a person is one of {', '.join(ROSTER_ROLES)}")
    return wanted


def _refusal(answer: list[str], name: str, by: Actor) -> PeopleError:
    """Translates the script's answer."""
    match answer[0]:
        case "role":
            return PeopleError(f"{by.name} is {answer[1]}: only a lead may change the roster")
        case "first":
            return PeopleError(
                f"there is no roster yet: it begins with a lead (`livewarden people add {name} --role lead`)"
            )
        case "last":
            return PeopleError(f"{name} is the last lead: make another person a lead first")
        case "alike":
            return PeopleError(f"{name}: the roster has {answer[1]!r}, who would be the same person")
        case "full":
            return PeopleError(f"the roster has {MAX_PEOPLE} people, which is the limit")
        case _:
            return unproven(by)
