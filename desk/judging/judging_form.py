"""The form of a judgement, read and checked before anything is written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from desk.cases.case_incidents import MOST_INCIDENTS
from desk.errors import JudgementRefusedError
from worker.errors import QueueError
from worker.queue.outcomes import (
    CSEA,
    MAX_NOTE_LENGTH,
    Category,
    Outcome,
    PlatformAct,
    check_acts,
    check_interrupt,
    check_note,
)

LONGEST_SHOWN: Final = MOST_INCIDENTS * 60
"""Characters: an id and a mark of each incident."""


@dataclass(frozen=True, kw_only=True)
class JudgingForm:
    """A judgement as it was sent."""

    outcome: Outcome
    note: str
    category: Category | None
    """None: the outcome has none, or a revision leaves it."""
    acts: tuple[PlatformAct, ...]
    """Requests to the platform."""
    interrupt: bool
    """An interruption is asked for, beside that of `csea_apparent`."""
    second: bool
    """The person asks for a second one, who judges blind."""
    shown: Mapping[str, str]
    """Incidents that the page showed -> how bad each was (`desk.judging.shown_extent`)."""


def read_judging_form(form: Mapping[str, str], *, was: str = "") -> JudgingForm:
    """Reads a form.

    Args:
        was: in a revision, the outcome that the page showed: where it stays, so does the category.

    Raises:
        JudgementRefusedError: a part is unknown, missing or does not go with the outcome; the note is too long or no
            text; or the page's list of incidents is malformed.
    """
    try:
        outcome = Outcome(form.get("outcome", ""))
    except ValueError:
        raise JudgementRefusedError("judging.refused_outcome") from None
    interrupt = "interrupt" in form and outcome is not Outcome.CSEA_APPARENT
    try:
        check_interrupt(interrupt, outcome)
    except QueueError as error:
        raise JudgementRefusedError("judging.refused_interrupt") from error
    return JudgingForm(
        outcome=outcome,
        note=_note(form),
        category=None if outcome == was else _category(form, outcome),
        acts=_acts(form, outcome),
        interrupt=interrupt,
        second="second" in form,
        shown=_shown(form.get("shown") or form.get("decided", "")),
    )


def _note(form: Mapping[str, str]) -> str:
    """The note, with line breaks as the person typed them: browsers send two characters for each."""
    note = form.get("note", "").replace("\r\n", "\n").strip()
    try:
        check_note(note)
    except QueueError as error:
        raise JudgementRefusedError("judging.refused_note", most=MAX_NOTE_LENGTH) from error
    return note


def _category(form: Mapping[str, str], outcome: Outcome) -> Category | None:
    if outcome not in CSEA:
        return None
    try:
        # Each popup of the page has choices of its own in the one form: those of another outcome do not count.
        return Category(form.get(f"category_{outcome}", form.get("category", "")))
    except ValueError:
        raise JudgementRefusedError("judging.refused_category") from None


def _acts(form: Mapping[str, str], outcome: Outcome) -> tuple[PlatformAct, ...]:
    asked = [act for act in PlatformAct if f"ask_{act}" in form]
    try:
        return check_acts(asked, outcome)
    except QueueError as error:
        child = outcome is Outcome.CHILD_AT_RISK
        raise JudgementRefusedError("judging.refused_suspend" if child else "judging.refused_ask") from error


def _shown(text: str) -> dict[str, str]:
    pairs = [part.partition(":") for part in text.split()]
    if not pairs or len(text) > LONGEST_SHOWN or len(pairs) > MOST_INCIDENTS:
        raise JudgementRefusedError("judging.refused_form")
    return {incident_id: extent for incident_id, _, extent in pairs}
