"""Parts of a person's answer on an incident: outcome, category, note, and what is asked of the platform."""

from collections.abc import Collection
from enum import StrEnum
from typing import Final

from worker.errors import QueueError

MAX_NOTE_LENGTH = 2000
"""Characters. A note explains a decision; a report belongs elsewhere."""


class Outcome(StrEnum):
    """The judgement of a person on an incident."""

    CSEA_APPARENT = "csea_apparent"
    CSEA_SUSPECTED = "csea_suspected"
    CHILD_AT_RISK = "child_at_risk"
    ADULT_TOS = "adult_tos"
    """Adult content against the platform's terms."""
    OTHER_HARM = "other_harm"
    HARMLESS = "harmless"
    CANNOT_JUDGE = "cannot_judge"


class Category(StrEnum):
    """The industry classification of what a person saw, as reports to authorities name it (DOMAIN.md)."""

    A1 = "A1"
    A2 = "A2"
    B1 = "B1"
    B2 = "B2"
    UNSEEN = "unseen"
    """The person decided by words, and saw no picture clear."""


class PlatformAct(StrEnum):
    """Act on the account that a person asks of the platform, which does it, or not."""

    SUSPEND = "suspend"
    SAFEGUARD = "safeguard"
    """The broadcaster is a child: protected, not punished."""


CSEA: Final = frozenset({Outcome.CSEA_APPARENT, Outcome.CSEA_SUSPECTED})
"""Outcomes that have a category."""

URGENT: Final = CSEA | {Outcome.CHILD_AT_RISK}
"""Outcomes with which a person may ask for an interruption."""

_NOTHING_TO_ASK: Final = frozenset({Outcome.HARMLESS, Outcome.CANNOT_JUDGE})


def check_outcome(outcome: str) -> Outcome:
    """Returns the outcome of that name.

    Raises:
        QueueError: there is none.
    """
    try:
        return Outcome(outcome)
    except ValueError:
        raise QueueError(f"outcome {outcome[:100]!r}: expected one of {', '.join(Outcome)}") from None


def check_note(note: str) -> None:
    """Checks a note.

    Raises:
        QueueError: it is too long, or not valid text.
    """
    if len(note) > MAX_NOTE_LENGTH:
        raise QueueError(f"--note: {len(note)} characters: expected at most {MAX_NOTE_LENGTH}")
    try:
        note.encode()
    except UnicodeEncodeError as error:
        raise QueueError(f"--note: character {error.start + 1}: expected UTF-8 text") from error


def check_category(category: str | None, outcome: Outcome) -> Category | None:
    """Returns the category of that name; None: none is given.

    Raises:
        QueueError: there is none of that name, or the outcome has none.
    """
    if not category:
        return None
    try:
        found = Category(category)
    except ValueError:
        raise QueueError(f"--category {category[:100]!r}: expected one of {', '.join(Category)}") from None
    if outcome not in CSEA:
        raise QueueError(f"--category {found}: {outcome} has none: it goes with {', '.join(sorted(CSEA))}")
    return found


def check_acts(acts: Collection[str], outcome: Outcome) -> tuple[PlatformAct, ...]:
    """Returns what is asked of the platform, each once.

    Raises:
        QueueError: there is no such act, or it does not go with the outcome.
    """
    try:
        found = {PlatformAct(act) for act in acts}
    except ValueError:
        raise QueueError(f"--ask: expected one of {', '.join(PlatformAct)}") from None
    if found and outcome in _NOTHING_TO_ASK:
        raise QueueError(f"--ask: {outcome} asks nothing of the platform")
    if outcome is Outcome.CHILD_AT_RISK and PlatformAct.SUSPEND in found:
        raise QueueError("--ask suspend: a child at risk is safeguarded, not punished: --ask safeguard")
    return tuple(act for act in PlatformAct if act in found)


def check_interrupt(interrupt: bool, outcome: Outcome) -> bool:
    """Returns whether an interruption is asked for: always with `csea_apparent`, else where the person asks.

    Raises:
        QueueError: the outcome gives no reason for it.
    """
    if interrupt and outcome not in URGENT:
        raise QueueError(f"--interrupt: {outcome} interrupts no stream: it goes with {', '.join(sorted(URGENT))}")
    return interrupt or outcome is Outcome.CSEA_APPARENT
