"""After the decision, in words: what was decided, by whom and when, and what the platform was asked."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from desk.cases.case_view import CaseView
from desk.cases.event_values import ms_of, objects_of, shown, texts_of
from desk.judging.decide_words import Ask, Sent, asks_of, category_name, outcome_name
from desk.judging.flood_duplicates import Duplicates, duplicates_of
from desk.judging.picture_lists import PictureLists, picture_lists
from desk.judging.shown_extent import shown_text
from desk.texts.catalogue import Texts
from desk.texts.clock import day_clock
from worker.audit.person_views import PersonView
from worker.errors import QueueError
from worker.incidents.findings import IncidentEnd
from worker.people.actor import Actor, Role
from worker.queue.interrupts import InterruptState, interrupt_state
from worker.queue.outcomes import URGENT, Outcome, PlatformAct, check_acts

_IN_FORCE: Final = ("outcome", "decided_by", "note", "category", "actions")
_ASKED: Final = tuple(PlatformAct)


@dataclass(frozen=True, kw_only=True)
class DecisionLine:
    """One decision: the one in force, or an earlier one."""

    outcome: str
    says: str
    """Category and what was asked of the platform."""
    by: str
    note: str


@dataclass(frozen=True, kw_only=True)
class InterruptWords:
    """The interruption that was asked for."""

    incident_id: str

    text: str
    settled: bool
    """Nothing more is to come: the stream has ended, or all who read acknowledged it."""


@dataclass(frozen=True, kw_only=True)
class DecidedGroup:
    """Incidents of a case that were decided in the same way: one act, in words."""

    key: str
    """Part of the ids of its elements."""
    outcome: str
    rules: str
    line: DecisionLine
    earlier: tuple[DecisionLine, ...]
    """Decisions that were revised, the newest first."""
    judged: tuple[str, ...]
    """Both judgements, where two people judged."""
    interrupt: InterruptWords | None
    may_revise: bool
    asks: tuple[Ask, ...]
    """Requests that may still be made of the platform, with the outcome as it is."""
    asking: bool
    """These were asked for, and refused: the form has what was sent."""
    shown: str
    incident_ids: tuple[str, ...]
    lists: PictureLists
    duplicates: Duplicates | None
    """Open duplicates of a flood, which a lead may decide in the same way."""


@dataclass(frozen=True, kw_only=True)
class AfterWords:
    """The decisions on a case, in words."""

    groups: tuple[DecidedGroup, ...]
    all_decided: bool
    by_you: bool
    """All is decided, by this person: the draft of the note has done its work."""


def after_words(
    redis: Redis, view: CaseView, actor: Actor, texts: Texts, *, sent: Sent, views: Sequence[PersonView] = ()
) -> AfterWords:
    """Puts what was decided on a case into words.

    Args:
        sent: the form that was refused.
        views: of the case's pictures by this person.

    Raises:
        StoreError: Redis failed.
    """
    decided = [one for one in view.records if one["state"] == "decided" and one["decisions"]]
    together: dict[str, list[Mapping[str, Any]]] = {}
    for record in decided:
        kept = [[one.get(name) for name in _IN_FORCE] for one in record["decisions"]]
        together.setdefault(repr(kept), []).append(record)
    all_decided = not view.undecided
    return AfterWords(
        groups=tuple(
            _group(
                str(number),
                records,
                _interrupt(redis, records, actor, view.now_ms, texts),
                duplicates_of(redis, records[0], actor),
                picture_lists(redis, records, views, actor, view.now_ms, texts),
                view,
                actor,
                sent,
                texts,
            )
            for number, records in enumerate(together.values(), 1)
        ),
        all_decided=all_decided,
        by_you=all_decided and all(actor.is_person(str(one["decisions"][-1]["decided_by"])) for one in decided),
    )


def _group(
    key: str,
    records: Sequence[Mapping[str, Any]],
    interrupt: InterruptWords | None,
    duplicates: Duplicates | None,
    lists: PictureLists,
    view: CaseView,
    actor: Actor,
    sent: Sent,
    texts: Texts,
) -> DecidedGroup:
    first = records[0]
    decisions = first["decisions"]
    last = decisions[-1]
    # A decision of two people is a lead's to revise, too.
    lead_needed = any(one["needs_role"] == Role.LEAD for one in records) or "judgements" in decisions[0]
    mark = shown_text(records)
    asking = sent.form.get("outcome") == sent.form.get("was") == last["outcome"] and sent.form.get("decided") == mark
    left = _left_to_ask(records, asked=interrupt is not None)
    return DecidedGroup(
        key=key,
        outcome=str(last["outcome"]),
        rules=", ".join(dict.fromkeys(shown(str(one["rule"])) for one in records)),
        line=_line(last, view.now_ms, texts),
        earlier=tuple(_line(one, view.now_ms, texts) for one in reversed(decisions[:-1])),
        judged=tuple(_judgement(one, texts) for one in objects_of(last.get("judgements"))),
        interrupt=interrupt,
        may_revise=not (lead_needed and actor.verified and actor.role is not Role.LEAD),
        asks=tuple(one for one in asks_of(sent.form if asking else {}, texts) if one.name in left),
        asking=asking,
        shown=mark,
        lists=lists,
        duplicates=duplicates,
        incident_ids=tuple(str(one["incident_id"]) for one in records),
    )


def _left_to_ask(records: Sequence[Mapping[str, Any]], *, asked: bool) -> set[str]:
    """Names of the fields by which more may be asked of the platform.

    Args:
        asked: an interruption was.
    """
    last = records[0]["decisions"][-1]
    outcome, over = str(last["outcome"]), all(one["end_reason"] == IncidentEnd.STREAM_ENDED for one in records)
    # `csea_apparent` asked for it with the decision.
    urgent = outcome in URGENT - {Outcome.CSEA_APPARENT}
    acts = (act for act in PlatformAct if act not in texts_of(last.get("actions")) and _fits(act, outcome))
    return {f"ask_{act}" for act in acts} | ({"interrupt"} if urgent and not asked and not over else set())


def _fits(act: PlatformAct, outcome: str) -> bool:
    try:
        return bool(check_acts([act], Outcome(outcome)))
    except (QueueError, ValueError):  # it asks nothing of that kind, or is of a newer version
        return False


def _line(decision: Mapping[str, Any], now_ms: int, texts: Texts) -> DecisionLine:
    by, at = str(decision["decided_by"]), day_clock(ms_of(decision["decided"]), now_ms, texts)
    asked = [texts(f"judging.asked_{one}") for one in texts_of(decision.get("actions")) if one in _ASKED]
    says = [category_name(decision.get("category"), texts), *asked]
    return DecisionLine(
        outcome=outcome_name(str(decision["outcome"]), texts),
        says=" · ".join(one for one in says if one),
        by=texts("judging.by" if decision["verified"] else "judging.by_unverified", by=by, at=at),
        note=str(decision["note"] or ""),
    )


def _judgement(judgement: Mapping[str, Any], texts: Texts) -> str:
    outcome = outcome_name(str(judgement.get("outcome")), texts)
    return texts("judging.judge", by=str(judgement.get("by")), outcome=outcome)


def _interrupt(
    redis: Redis, records: Sequence[Mapping[str, Any]], actor: Actor, now_ms: int, texts: Texts
) -> InterruptWords | None:
    """The first request of these incidents; None: nobody asked."""
    for record in records:
        try:
            state = interrupt_state(redis, str(record["incident_id"]), viewer=actor.name)
        except QueueError:  # deleted meanwhile
            continue
        if state.requested_ms is not None:
            return interrupt_words(str(record["incident_id"]), state, now_ms, texts)
    return None


def interrupt_words(incident_id: str, state: InterruptState, now_ms: int, texts: Texts) -> InterruptWords:
    """Puts the state of a request into words: who asked, who read it, who acknowledged it, whether the stream ended."""
    at = day_clock(state.requested_ms, now_ms, texts)
    asked = texts("judging.interrupt_by" if state.by else "judging.interrupt_policy", by=state.by, at=at)
    if state.stream_ended:
        return InterruptWords(incident_id=incident_id, text=f"{asked} {texts('judging.interrupt_ended')}", settled=True)
    if not state.groups:
        said = texts("judging.interrupt_nobody")
    elif state.acknowledged_by:
        said = texts("judging.interrupt_acknowledged", groups=", ".join(map(shown, state.acknowledged_by)))
    elif state.read_by:
        said = texts("judging.interrupt_read", groups=", ".join(map(shown, state.read_by)))
    else:
        said = texts("judging.interrupt_unread")
    if state.stream_ended is False:
        said = f"{said} {texts('judging.interrupt_on')}"
    return InterruptWords(incident_id=incident_id, text=f"{asked} {said}", settled=False)
