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
    """Advice; empty if all is well."""


def ok(name: str, found: str) -> Diagnosis:
    """The row of a check that finds nothing wrong."""
    return Diagnosis(name=name, state=State.OK, found=found)


def warn(name: str, found: str, advice: str) -> Diagnosis:
    """The row of a check that an operator should know of."""
    return Diagnosis(name=name, state=State.WARN, found=found, advice=advice)


def fail(name: str, found: str, advice: str) -> Diagnosis:
    """The row of a check without which moderation does not work, or may lose something."""
    return Diagnosis(name=name, state=State.FAIL, found=found, advice=advice)
