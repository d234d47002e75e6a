"""The decision column in words: outcomes, what they ask, and why none can be chosen."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from desk.cases.case_view import CaseView
from desk.judging.deciding import IncidentAnswer
from desk.judging.judging_form import CATEGORIES, CATEGORISED, UNSEEN
from desk.judging.shown_extent import listed_in, shown_text
from desk.texts.catalogue import Texts
from worker.people.actor import Actor
from worker.queue.decisions import Outcome

ORDER: Final = tuple(Outcome)
"""Keys 1 to 7, the gravest first."""


@dataclass(frozen=True, kw_only=True)
class OutcomeChoice:
    """A button."""

    value: str
    key: str
    name: str
    says: str
    categorised: bool
    """Opens the popup that asks for the category."""
    then: str
    """What follows, said in that popup."""


@dataclass(frozen=True, kw_only=True)
class CategoryChoice:
    """A choice in that popup."""

    value: str
    name: str
    says: str
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A judgement that was sent and refused, as its page shows it again."""

    refusal: str = ""
    """Text why all of it was refused; empty: single incidents were."""
    answers: tuple[IncidentAnswer, ...] = ()
    note: str = ""
    second: bool = False


@dataclass(frozen=True, kw_only=True)
class DecideWords:
    """The column."""

    open: bool
    """There is something to decide."""
    held: bool
    """The person holds it."""
    shown: str
    outcomes: tuple[OutcomeChoice, ...]
    categories: tuple[CategoryChoice, ...]
    unopened: bool
    """The person opened no picture of the case, as far as the audit log says."""
    harmless: str
    """Sentence that `harmless` needs a note; empty: it needs none."""
    left: str
    """Sentence about incidents that this decision does not reach; empty: there are none."""
    notices: tuple[str, ...]
    note: str
    second: bool
    again: bool
    """The person has to read what is new, and take the case again."""
    always_second: str = ""
    """Sentence that the policy always asks a second person; empty: it does not."""


def decide_words(
    view: CaseView, actor: Actor, texts: Texts, *, opened: bool | None, sent: Sent, always: Collection[str] = ()
) -> DecideWords:
    """Puts the column of a case into words for one person.

    Args:
        opened: the person opened a picture of the case; None: the audit log cannot be read.
        always: outcomes for which the policy always asks a second person.
    """
    mine = tuple(one for one in view.undecided if one["holder"] is not None and actor.is_person(one["holder"]))
    left = len(view.undecided) - len(mine)
    lists = sorted({name for one in mine for name in listed_in(one)})
    return DecideWords(
        open=bool(view.undecided),
        held=bool(mine),
        # After a lease that ended, the page still names what its person was shown.
        shown=shown_text(mine or view.undecided),
        outcomes=tuple(_choice(outcome, number, texts) for number, outcome in enumerate(ORDER, 1)),
        categories=_categories(mine, texts, unopened=opened is False),
        unopened=opened is False,
        harmless=texts("judging.harmless_note", lists=", ".join(lists)) if lists else "",
        left=texts("judging.left", count=left) if mine and left else "",
        notices=_notices(sent, texts),
        note=sent.note,
        second=sent.second,
        again=any(one.refusal == "judging.not_worse" for one in sent.answers),
        always_second=_always(always, texts),
    )


def _choice(outcome: Outcome, number: int, texts: Texts) -> OutcomeChoice:
    return OutcomeChoice(
        value=str(outcome),
        key=str(number),
        name=texts(f"judging.outcome_{outcome}"),
        says=texts(f"judging.says_{outcome}"),
        categorised=outcome in CATEGORISED,
        then=texts(f"judging.then_{outcome}") if outcome in CATEGORISED else "",
    )


def _categories(records: Sequence[Mapping[str, Any]], texts: Texts, *, unopened: bool) -> tuple[CategoryChoice, ...]:
    """The categories, with what a list says; nothing is chosen beforehand but what is true already."""
    listed = _listed_categories(records)
    choices = [
        CategoryChoice(
            value=value,
            name=value,
            says=texts(f"judging.category_{value.lower()}")
            + (f" · {texts('judging.as_listed')}" if value in listed else ""),
            chosen=False,
        )
        for value in CATEGORIES
    ]
    unseen = CategoryChoice(
        value=UNSEEN, name=texts("judging.unseen"), says=texts("judging.unseen_text"), chosen=unopened
    )
    return (*choices, unseen)


def _listed_categories(records: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    found = set()
    for record in records:
        event = record.get("event")
        matches = event["data"].get("matches") if isinstance(event, dict) else None
        for match in matches if isinstance(matches, list) else ():
            if isinstance(match, dict):
                found.add(str(match.get("category", "")))
    return frozenset(found)


def _notices(sent: Sent, texts: Texts) -> tuple[str, ...]:
    if sent.refusal:
        return (sent.refusal,)
    refused = [one for one in sent.answers if one.refusal]
    done = len(sent.answers) - len(refused)
    counted = (texts("judging.partly", count=done),) if done and refused else ()
    return (*counted, *dict.fromkeys(_refusal(one, texts, several=len(sent.answers) > 1) for one in refused))


def _refusal(answer: IncidentAnswer, texts: Texts, *, several: bool) -> str:
    values = dict(answer.values)
    if "outcome" in values:
        values["outcome"] = outcome_name(values["outcome"], texts)
    text = texts(answer.refusal, **values)
    return f"{answer.rule}: {text}" if several else text


def outcome_name(outcome: str, texts: Texts) -> str:
    """The name of an outcome; one of a newer version stays as it is."""
    return texts(f"judging.outcome_{outcome}") if outcome in ORDER else outcome


def _always(always: Collection[str], texts: Texts) -> str:
    names = [outcome_name(one, texts) for one in ORDER if one in always]
    return texts("judging.always_second", outcomes="; ".join(names)) if names else ""
