"""Who asks for something, and whether the role allows it. The caller has authenticated both."""

from dataclasses import dataclass
from enum import StrEnum

from worker.errors import BankRequestError, QueueError

MAX_NAME_LENGTH = 100


class Role(StrEnum):
    """What a person is to this deployment (docs/architecture.md, "Threats")."""

    PLATFORM = "platform"
    MODERATOR = "moderator"
    LEAD = "lead"
    OPERATOR = "operator"
    AUDITOR = "auditor"


def check_name(by: str) -> str:
    """Gives back the name of a person, without white space around it.

    Raises:
        QueueError: it is empty, over `MAX_NAME_LENGTH` characters, or has some that do not print: controls, lone
            surrogates, marks that turn the direction of the text.
    """
    name = by.strip()
    if not name or len(name) > MAX_NAME_LENGTH or not name.isprintable():
        expected = f"expected a name of 1 to {MAX_NAME_LENGTH} printable characters"
        raise QueueError(f"--by: {by[:MAX_NAME_LENGTH]!r}: {expected}")
    return name


@dataclass(frozen=True, kw_only=True)
class Actor:
    """A person, and as what."""

    name: str
    role: Role

    @classmethod
    def of(cls, by: str | None, role: str | None) -> "Actor":
        """Of what was given on the command line.

        Raises:
            BankRequestError: one is missing, or the role is none.
            QueueError: the name is not usable.
        """
        if by is None or role is None:
            raise BankRequestError("this needs a person: give --by NAME and --role ROLE")
        try:
            return cls(name=check_name(by), role=Role(role))
        except ValueError:
            raise BankRequestError(f"--role {role[:100]!r}: expected one of {', '.join(Role)}") from None

    def must_be(self, *roles: Role, to: str) -> None:
        """Refuses every other role; `to` says what for.

        Raises:
            BankRequestError: the actor has another role.
        """
        if self.role not in roles:
            raise BankRequestError(f"{self.name} is {self.role}: only a {' or '.join(roles)} may {to}")

    def is_person(self, name: str) -> bool:
        """Whether `name` is this person's: two spellings of one name are one person."""
        return self.name.casefold() == name.strip().casefold()
