"""Options that several subcommands share."""

from typing import Annotated

import typer

from config.errors import PolicyError
from config.policy.policy import Policy
from config.profiles import PROFILES, SamplingProfile

Json = Annotated[bool, typer.Option("--json", help="One JSON object a line on standard output, and nothing else.")]
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
