"""The roster: people of this deployment, their roles, and whether somebody is one of them.

A deployment without a roster works without tokens: everybody is unverified. With one, every act under a name needs that
person's token. What is no roster (the key has another type, or this user of Redis may not read it) counts as none, here
and in scripts: trouble with the roster keeps nobody from an escalation. `livewarden doctor` reports it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.errors import PeopleError, StoreError
from worker.people.actor import Actor, Role, check_name, folded
from worker.people.tokens import MARK, is_proof, is_token, proof_of
from worker.store import redis_keys
from worker.store.redis_client import store_errors

PEOPLE: Final = redis_keys.PEOPLE.name
MAX_PEOPLE: Final = 1_000
ROSTER_ROLES: Final = (Role.MODERATOR, Role.LEAD, Role.OPERATOR, Role.AUDITOR)
"""Roles that a person may have."""


@dataclass(frozen=True, kw_only=True)
class Person:
    """A person of the roster."""

    name: str
    role: Role
    token_sha256: str
    """Digest of the token, in hex."""
    proof_sha1: str = ""
    """Digest of the proof (`worker.people.tokens`), in hex."""
    added_ms: int = 0
    """Redis's clock; 0: unknown."""
    added_by: str = ""

    def to_json(self) -> str:
        """Returns the record in the roster, on one line."""
        return json.dumps(
            {
                "name": self.name,
                "folded": folded(self.name),
                "role": self.role,
                "token_sha256": self.token_sha256,
                "proof_sha1": self.proof_sha1,
                "added_ms": self.added_ms,
                "added_by": self.added_by,
            }
        )

    @classmethod
    def from_json(cls, name: str, text: str) -> "Person":
        """Reads a record of the roster; unknown fields are left out.

        Raises:
            StoreError: it is damaged.
        """
        try:
            record: dict[str, Any] = json.loads(text)
            return cls(
                name=name,
                role=Role(record["role"]),
                token_sha256=str(record["token_sha256"]),
                proof_sha1=str(record.get("proof_sha1", "")),
                added_ms=int(record.get("added_ms", 0)),
                added_by=str(record.get("added_by", "")),
            )
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise StoreError(f"the roster's record of {name!r} is damaged: remove and add the person again") from error


def read_roster(redis: Redis) -> dict[str, str]:
    """Returns the records of all people by their names, unread; empty: there is no roster.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        try:
            return {str(name): str(text) for name, text in redis.hgetall(PEOPLE).items()}
        except ResponseError:  # of another type, or an older version's ACL rules
            return {}


def authenticate(
    redis: Redis, name: str, token: str | None, *, role: str | None = None, unstated_role: Role | None = None
) -> Actor:
    """Returns the person of that name, in their role.

    Args:
        name: in any case; the actor has it as the roster does.
        token: the person's; None: there is none.
        role: as stated by the person. With a roster it may only agree; without one it is the actor's.
        unstated_role: the actor's where there is no roster and none is stated; None: moderator.

    Raises:
        PeopleError: the roster does not have the person, the token is missing or wrong, or the role is another.
        QueueError: the name is malformed.
        StoreError: Redis failed, or the person's record is damaged.
    """
    given = check_name(name)
    stated = None if role is None else known_role(role)
    records = read_roster(redis)
    if not records:
        roles = (stated, unstated_role, Role.MODERATOR)
        return Actor(name=given, role=next(one for one in roles if one is not None))
    found = given if given in records else next((one for one in records if folded(one) == folded(given)), None)
    if found is None:
        raise PeopleError(f"{given} is not in the roster: a lead adds people (`livewarden people add`)")
    if not token:
        raise PeopleError(f"--by {given} needs {given}'s token: set LIVEWARDEN_TOKEN_FILE or LIVEWARDEN_TOKEN")
    person = Person.from_json(found, records[found])
    if not is_token(token, person.token_sha256):
        raise PeopleError(f"the token is not {found}'s: a lead makes a new one (`livewarden people token`)")
    if stated is not None and stated is not person.role:
        raise PeopleError(f"--role {stated}: {found} is {person.role} in the roster: leave --role out")
    return Actor(name=found, role=person.role, verified=True, proof=proof_of(token))


def actor_of_proof(redis: Redis, name: str, proof: str) -> Actor:
    """Returns the person whose token gave `proof` (`worker.people.tokens`), in their role of this moment: for a process
    that keeps proofs, not tokens, of people who are signed in.

    Raises:
        PeopleError: the roster does not have the person, or they have another token by now.
        StoreError: Redis failed, or the person's record is damaged.
    """
    with store_errors():
        text = redis.hget(PEOPLE, name)
    if text is None:
        raise PeopleError(f"{name} is not in the roster: a lead adds people (`livewarden people add`)")
    person = Person.from_json(name, str(text))
    if not is_proof(proof, person.proof_sha1):
        raise PeopleError(f"{name} has a new token since: it has to be shown again")
    return Actor(name=name, role=person.role, verified=True, proof=proof)


def may_hold(roster: Mapping[str, str], name: str, needed: str) -> bool:
    """Returns whether a lease of that person keeps an incident that needs a role from others, as scripts see it
    (`keeps` in worker/store/lua/shared/people.lua)."""
    if not roster:
        return True
    try:
        role = Person.from_json(name, roster[name]).role
    except (KeyError, StoreError):
        return False
    return role is Role.LEAD or (role is Role.MODERATOR and needed == Role.MODERATOR)


def may_be_lost(roster: Mapping[str, str], text: str, name: str) -> bool:
    """Returns whether a file with this text may be replaced by a new token of `name`: it holds a token, and none that
    is in force for somebody else."""
    if not text.startswith(MARK) or text.split() != [text]:
        return False
    for owner, record in roster.items():
        if folded(owner) == folded(name):
            continue
        try:
            if is_token(text, Person.from_json(owner, record).token_sha256):
                return False
        except StoreError:
            continue
    return True


def known_role(role: str) -> Role:
    """Returns the role of that name.

    Raises:
        PeopleError: there is none.
    """
    try:
        return Role(role)
    except ValueError:
        raise PeopleError(f"--role {role[:100]!r}: expected one of {', '.join(Role)}") from None


def unproven(actor: Actor) -> PeopleError:
    """A script found that the roster does not have the actor as authenticated, any more or yet."""
    if not actor.verified:
        return PeopleError(f"there is a roster now: {actor.name} needs a token (LIVEWARDEN_TOKEN_FILE)")
    return PeopleError(f"{actor.name} was removed from the roster, or has a new token, since this began")
