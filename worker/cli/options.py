"""Options that several subcommands share, and the person who runs a command."""

import getpass
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from config.errors import PolicyError, SettingsError
from config.policy.policy import Policy
from config.profiles import PROFILES, SamplingProfile

if TYPE_CHECKING:
    from redis import Redis

    from worker.people.actor import Actor, Role

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output, and nothing else.")]
OwnName = Annotated[
    str | None,
    typer.Option(
        "--by",
        metavar="NAME",
        help="Who you are; default: your login name. Where there is a roster, this needs your token.",
    ),
]
ProfileName = Annotated[
    str | None, typer.Option("--profile", help="economy, balanced, vigilant or one of the policy's own.")
]


def chosen_profile(policy: Policy, name: str | None) -> SamplingProfile:
    """The sampling profile of that name; None: the one that the policy names.

    Raises:
        PolicyError: there is none of that name.
    """
    if name is None:
        return policy.profile
    known = PROFILES | policy.profiles
    if name not in known:
        raise PolicyError(f"--profile: no profile {name!r}: known are {', '.join(sorted(known))}")
    return known[name]


def acting_person(
    redis: "Redis", by: str | None, role: str | None = None, *, unstated_role: "Role | None" = None
) -> "Actor":
    """The person that `--by` names, proved by the token in LIVEWARDEN_TOKEN or the file LIVEWARDEN_TOKEN_FILE.

    Without a roster the person is unverified.

    Args:
        by: None: the login name of this process's user.
        unstated_role: the role without a roster and without `--role`; None: moderator. Nothing enforces a role there:
            a command that leads run would be refused to everybody who has not heard of `--role`.

    Raises:
        BankRequestError: `--by` is left out, and this process's user has no login name.
        PeopleError: the roster does not have the person, the token is missing or wrong, or `--role` is another.
        QueueError: the name is malformed.
        SettingsError: the file with the token cannot be read.
        StoreError: Redis failed.
    """
    from worker.people.roster import authenticate

    name = login_name() if by is None else by
    return authenticate(redis, name, token_of_person() or None, role=role, unstated_role=unstated_role)


def token_of_person() -> str:
    """The token in LIVEWARDEN_TOKEN or the file LIVEWARDEN_TOKEN_FILE; empty: there is none.

    Raises:
        SettingsError: the file cannot be read.
    """
    from worker.runtime.environment import settings_of

    settings = settings_of(os.environ)
    token = settings.token.get_secret_value().strip()
    if not token and settings.token_file is not None:
        token = read_token(settings.token_file)
    return token


def login_name() -> str:
    """The login name of this process's user.

    Raises:
        BankRequestError: it has none, as in a container with a bare user ID.
    """
    from worker.errors import BankRequestError

    try:
        return getpass.getuser()
    except (OSError, KeyError, ImportError):
        raise BankRequestError("--by NAME is required: your user has no login name here") from None


def read_token(path: Path) -> str:
    """The token in a file.

    Raises:
        SettingsError: it cannot be read; the text names the setting, and quotes nothing of the file.
    """
    from config.password_file import read_password

    try:
        return read_password(path).strip()
    except SettingsError as error:
        raise SettingsError(f"LIVEWARDEN_TOKEN_FILE: {error}") from error
