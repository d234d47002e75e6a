"""The form of a judgement, read and checked before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from desk.cases.case_view import MOST_INCIDENTS
from desk.errors import JudgementRefusedError
from worker.errors import QueueError
from worker.queue.decisions import MAX_NOTE_LENGTH, Outcome, check_note

CATEGORIES: Final = ("A1", "A2", "B1", "B2")
"""Industry classifications of a CyberTipline report: A with a child before puberty, B after; 1 with a sexual act."""
UNSEEN: Final = "unseen"
"""The person who decides has seen no picture of it: the report says that nobody viewed the file."""
CATEGORISED: Final = frozenset({Outcome.CSEA_APPARENT, Outcome.CSEA_SUSPECTED})
"""Outcomes for which law asks the category."""
LONGEST_SHOWN: Final = MOST_INCIDENTS * 60


@dataclass(frozen=True, kw_only=True)
class JudgingForm:
    """A judgement as it was sent."""

    outcome: Outcome
    note: str
    category: str | None
    """One of CATEGORIES, or UNSEEN; None: the outcome has none."""
    second: bool
    """The person asks for a second one, who judges blind."""
    shown: Mapping[str, str]
    """Incidents that the page showed -> how bad each was (`desk.judging.shown_extent`)."""


def read_judging_form(form: Mapping[str, str]) -> JudgingForm:
    """Reads a form.

    Raises:
        JudgementRefusedError: an outcome or category is unknown or missing, the note is too long or no text, or the
            page's list of incidents is malformed.
    """
    outcome = read_outcome(form.get("outcome", ""))
    return JudgingForm(
        outcome=outcome,
        note=read_note(form),
        category=_category(form, outcome),
        second="second" in form,
        shown=_shown(form.get("shown", "")),
    )


def read_outcome(text: str) -> Outcome:
    """The outcome of that name.

    Raises:
        JudgementRefusedError: there is none.
    """
    try:
        return Outcome(text)
    except ValueError:
        raise JudgementRefusedError("judging.refused_outcome") from None


def read_note(form: Mapping[str, str]) -> str:
    """The note, with line breaks as the person typed them: browsers send two characters for each.

    Raises:
        JudgementRefusedError: it is too long, or no text.
    """
    note = form.get("note", "").replace("\r\n", "\n").strip()
    try:
        check_note(note)
    except QueueError as error:
        raise JudgementRefusedError("judging.refused_note", most=MAX_NOTE_LENGTH) from error
    return note


def _category(form: Mapping[str, str], outcome: Outcome) -> str | None:
    if outcome not in CATEGORISED:
        return None
    # Two groups of choices are in one form: a choice in the popup of the other outcome does not count.
    found = form.get(f"category_{outcome}", "")
    if found not in (*CATEGORIES, UNSEEN):
        raise JudgementRefusedError("judging.refused_category")
    return found


def _shown(text: str) -> dict[str, str]:
    pairs = [part.partition(":") for part in text.split()]
    if not pairs or len(text) > LONGEST_SHOWN or len(pairs) > MOST_INCIDENTS:
        raise JudgementRefusedError("judging.refused_form")
    return {incident_id: extent for incident_id, _, extent in pairs}
