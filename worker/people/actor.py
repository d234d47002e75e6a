"""The person behind a request, in a role. `worker.people.roster` authenticates both."""

from dataclasses import dataclass
from enum import StrEnum

from worker.errors import BankRequestError, QueueError

MAX_NAME_LENGTH = 100


class Role(StrEnum):
    """The role of a person in this deployment (docs/people.md)."""

    PLATFORM = "platform"
    """A platform's own services; no person of the roster has it."""
    MODERATOR = "moderator"
    LEAD = "lead"
    OPERATOR = "operator"
    AUDITOR = "auditor"


def check_name(by: str) -> str:
    """Returns the name of a person, stripped.

    Raises:
        QueueError: it is empty, over `MAX_NAME_LENGTH` characters, or has unprintable ones: controls, lone surrogates,
            bidirectional marks.
    """
    name = by.strip()
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        expected = f"expected a name of 1 to {MAX_NAME_LENGTH} printable characters"
        raise QueueError(f"--by: {by[:MAX_NAME_LENGTH]!r}: {expected}")
    return name


def folded(name: str) -> str:
    """The form in which two spellings of one person's name are equal: without case and surrounding white space."""
    return name.strip().casefold()


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person in a role."""

    name: str
    """As in the roster; without one as given."""
    role: Role
    verified: bool = False
    """The person's token was checked, and the role is the roster's. False: both are only stated, for this deployment
    has no roster."""
    proof: str = ""
    """Derived from the token (`worker.people.tokens`): scripts compare it with the roster in the step that they take,
    so that a person removed a moment ago can do nothing. Empty: unverified, which a roster refuses."""

    @classmethod
    def of(cls, by: str | None, role: str | None) -> "Actor":
        """Validates `--by` and `--role` of the command line where there is no roster.

        Raises:
            BankRequestError: one is missing, or there is no such role.
            QueueError: the name is malformed.
        """
        if by is None or role is None:
            raise BankRequestError("--by NAME and --role ROLE are required")
        try:
            return cls(name=check_name(by), role=Role(role))
        except ValueError:
            raise BankRequestError(f"--role {role[:100]!r}: expected one of {', '.join(Role)}") from None

    @classmethod
    def named(cls, by: "str | Actor") -> "Actor":
        """The actor; of a name alone an unverified moderator, whom every script refuses where there is a roster.

        Raises:
            QueueError: the name is malformed.
        """
        return by if isinstance(by, Actor) else cls(name=check_name(by), role=Role.MODERATOR)

    def must_be(self, *roles: Role, to: str) -> None:
        """Refuses every other role; `to` names the action.

        Raises:
            BankRequestError: the actor has another role.
        """
        if self.role not in roles:
            stated = "" if self.verified else " (there is no roster: --role states yours)"
            raise BankRequestError(f"{self.name} is {self.role}: only a {' or '.join(roles)} may {to}{stated}")

    def is_person(self, name: str) -> bool:
        """Returns whether `name` is this person's, ignoring case and surrounding white space."""
        return folded(self.name) == folded(name)
