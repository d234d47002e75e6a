"""The person behind a request, and checks of the role. The caller has authenticated both."""

from dataclasses import dataclass
from enum import StrEnum

from worker.errors import BankRequestError, QueueError

MAX_NAME_LENGTH = 100


class Role(StrEnum):
    """The role of a person in this deployment (docs/architecture.md)."""

    PLATFORM = "platform"
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


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person in a role."""

    name: str
    role: Role

    @classmethod
    def of(cls, by: str | None, role: str | None) -> "Actor":
        """Validates `--by` and `--role` of the command line.

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

    def must_be(self, *roles: Role, to: str) -> None:
        """Refuses every other role; `to` names the action.

        Raises:
            BankRequestError: the actor has another role.
        """
        if self.role not in roles:
            raise BankRequestError(f"{self.name} is {self.role}: only a {' or '.join(roles)} may {to}")

    def is_person(self, name: str) -> bool:
        """Returns whether `name` is this person's, ignoring case and surrounding white space."""
        return self.name.casefold() == name.strip().casefold()
