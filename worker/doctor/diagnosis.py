"""What `livewarden doctor` says of one thing that a deployment needs."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """What came of a check."""

    OK = "ok"
    WARN = "warn"
    """It works, and an operator should know."""
    FAIL = "fail"
    """Moderation does not work, or may lose what it was told."""


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """One check."""

    name: str
    state: State
    found: str
    advice: str = ""
    """What to do; empty if all is well."""
