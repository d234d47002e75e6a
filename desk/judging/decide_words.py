"""The decision column in words: outcomes, what they ask, and why none can be chosen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from desk.cases.case_view import CaseView
from desk.cases.event_values import ms_of, object_of, objects_of
from desk.judging.deciding import IncidentAnswer
from desk.judging.shown_extent import listed_in, shown_text
from desk.texts.catalogue import Texts
from desk.texts.clock import day_clock
from worker.people.actor import Actor
from worker.queue.outcomes import CSEA, Category, Outcome, PlatformAct

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
    """The consequence, said in that popup."""


@dataclass(frozen=True, kw_only=True)
class CategoryChoice:
    """A choice in that popup."""

    value: str
    name: str
    says: str
    chosen: bool


@dataclass(frozen=True, kw_only=True)
class Ask:
    """Something that may be asked of the platform with a decision."""

    name: str
    """The name of the form's field."""
    says: str
    checked: bool


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A judgement that was sent and refused, as its page shows it again."""

    refusal: str = ""
    """Text why all of it was refused; empty: single incidents were."""
    answers: tuple[IncidentAnswer, ...] = ()
    form: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class DecideWords:
    """The column."""

    open: bool
    """There is something to decide."""
    held: bool
    """The person holds it."""
    heading: str
    shown: str
    outcomes: tuple[OutcomeChoice, ...]
    categories: tuple[CategoryChoice, ...]
    unopened: bool
    """The person opened no picture of the case, as far as the audit log says."""
    judged: bool
    """The person has judged it, and a second one is to judge it now: the draft of the note has done its work."""
    judgements: tuple[str, ...]
    """Sentences about judgements so far; two that do not agree in full, to a lead."""
    harmless: str
    """Sentence that `harmless` needs a note; empty: it needs none."""
    left: str
    """Sentence about incidents that this decision does not reach; empty: there are none."""
    asks: tuple[Ask, ...]
    always_second: str
    """Sentence that the policy always asks a second person; empty: it does not."""
    notices: tuple[str, ...]
    note: str
    second: bool
    again: bool
    """The person has to read what is new, and take the case again."""


def decide_words(view: CaseView, actor: Actor, texts: Texts, *, opened: bool | None, sent: Sent) -> DecideWords:
    """Puts the column of a case into words for one person.

    Args:
        opened: the person opened a picture of the case; None: the audit log cannot be read.
    """
    mine = tuple(one for one in view.undecided if one["holder"] is not None and actor.is_person(one["holder"]))
    # After a hold that ended, the page still names what its person was shown.
    reached = mine or view.undecided
    left = len(view.undecided) - len(mine)
    lists = sorted({name for one in reached for name in listed_in(one)})
    second = any(_waits_for(one, actor) for one in reached)
    return DecideWords(
        open=bool(view.undecided),
        held=bool(mine),
        heading=texts("judging.heading_second" if second else "judging.heading"),
        shown=shown_text(reached),
        outcomes=tuple(_choice(outcome, number, texts) for number, outcome in enumerate(ORDER, 1)),
        categories=_categories(reached, texts, unopened=opened is False),
        unopened=opened is False,
        judged=not mine and any(_is_of(one, actor) for one in reached),
        judgements=_judgements(reached, actor, view.now_ms, texts),
        harmless=texts("judging.harmless_note", lists=", ".join(lists)) if lists else "",
        left=texts("judging.left", count=left) if mine and left else "",
        asks=asks_of(sent.form, texts),
        always_second=_always(reached, texts),
        notices=notices_of(sent, texts),
        note=sent.form.get("note", ""),
        second="second" in sent.form,
        again=any(one.refusal == "judging.not_worse" for one in sent.answers),
    )


def asks_of(form: Mapping[str, str], texts: Texts) -> tuple[Ask, ...]:
    """Requests that a decision may make of the platform, checked where they were sent already."""
    names = ["interrupt", *(f"ask_{act}" for act in PlatformAct)]
    return tuple(Ask(name=one, says=texts(f"judging.{one}"), checked=one in form) for one in names)


def notices_of(sent: Sent, texts: Texts) -> tuple[str, ...]:
    """Sentences about a judgement that was refused, as a whole or for single incidents."""
    if sent.refusal:
        return (sent.refusal,)
    refused = [one for one in sent.answers if one.refusal]
    done = len(sent.answers) - len(refused)
    counted = (texts("judging.partly", count=done),) if done and refused else ()
    return (*counted, *dict.fromkeys(_refusal(one, texts, several=len(sent.answers) > 1) for one in refused))


def outcome_name(outcome: str, texts: Texts) -> str:
    """The name of an outcome; one of a newer version stays as it is."""
    return texts(f"judging.outcome_{outcome}") if outcome in ORDER else outcome


def category_name(category: object, texts: Texts) -> str:
    """The name of a category; empty: there is none."""
    return texts("judging.unseen") if category == Category.UNSEEN else str(category or "")


def _refusal(answer: IncidentAnswer, texts: Texts, *, several: bool) -> str:
    values = dict(answer.values)
    if "outcome" in values:
        values["outcome"] = outcome_name(values["outcome"], texts)
    text = texts(answer.refusal, **values)
    return f"{answer.rule}: {text}" if several else text


def _choice(outcome: Outcome, number: int, texts: Texts) -> OutcomeChoice:
    return OutcomeChoice(
        value=str(outcome),
        key=str(number),
        name=texts(f"judging.outcome_{outcome}"),
        says=texts(f"judging.says_{outcome}"),
        categorised=outcome in CSEA,
        then=texts(f"judging.then_{outcome}") if outcome in CSEA else "",
    )


def _categories(records: Sequence[Mapping[str, Any]], texts: Texts, *, unopened: bool) -> tuple[CategoryChoice, ...]:
    """The categories, with what a list says; nothing is chosen beforehand but what is true already."""
    events = [object_of(object_of(one.get("event")).get("data")) for one in records]
    listed = {str(match.get("category")) for data in events for match in objects_of(data.get("matches"))}
    return tuple(
        CategoryChoice(
            value=str(one),
            name=category_name(one, texts),
            says=texts(f"judging.category_{one.lower()}")
            + (f" · {texts('judging.as_listed')}" if one in listed else ""),
            chosen=unopened and one is Category.UNSEEN,
        )
        for one in Category
    )


def _waits_for(record: Mapping[str, Any], actor: Actor) -> bool:
    """Returns whether this person is the second: a judgement waits, and it is not theirs."""
    return object_of(record.get("judgement")).get("waits") is True and not _is_of(record, actor)


def _is_of(record: Mapping[str, Any], actor: Actor) -> bool:
    """Returns whether the judgement that waits is this person's."""
    return actor.is_person(str(object_of(record.get("judgement")).get("by", "")))


def _judgements(records: Sequence[Mapping[str, Any]], actor: Actor, now_ms: int, texts: Texts) -> tuple[str, ...]:
    lines = []
    for record in records:
        judgement = object_of(record.get("judgement"))
        lines += [_judged(one, now_ms, texts) for one in objects_of(record.get("judgements"))]
        if judgement.get("set_aside"):
            lines.append(texts("judging.set_aside"))
        if judgement.get("waits") and _waits_for(record, actor):
            lines.append(texts("judging.second_text"))
        elif judgement.get("waits"):
            outcome = outcome_name(str(judgement.get("outcome")), texts)
            alone = day_clock(ms_of(judgement.get("alone_from")), now_ms, texts)
            lines.append(texts("judging.waits_yours", outcome=outcome, alone=alone))
    return tuple(dict.fromkeys(lines))


def _judged(judgement: Mapping[str, Any], now_ms: int, texts: Texts) -> str:
    parts = [
        outcome_name(str(judgement.get("outcome")), texts),
        category_name(judgement.get("category"), texts),
        str(judgement.get("note") or ""),
    ]
    said = " · ".join(part for part in parts if part)
    at = day_clock(ms_of(judgement.get("judged")), now_ms, texts)
    return texts("judging.judged", by=str(judgement.get("by")), at=at, said=said)


def _always(records: Sequence[Mapping[str, Any]], texts: Texts) -> str:
    wanted = {str(name) for one in records for name in one.get("second_person") or ()}
    names = [outcome_name(one, texts) for one in ORDER if one in wanted]
    return texts("judging.always_second", outcomes="; ".join(names)) if names else ""
