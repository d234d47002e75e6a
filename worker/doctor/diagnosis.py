"""A diagnosis: the result of one check of `livewarden doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """The outcome of a check."""

    OK = "ok"
    WARN = "warn"
    """It works, and an operator should know."""
    FAIL = "fail"
    """Moderation does not work, or may lose messages or decisions."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """A row of the output."""

    name: str
    state: State
    found: str
    advice: str = ""
    """What to do; empty if all is well."""
