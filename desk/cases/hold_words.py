"""The hold on a case in words: who holds it and until when, what they asked, and what the reader may do about it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from desk.cases.case_view import CaseView
from desk.cases.event_values import ms_of, object_of, text_of
from desk.texts.catalogue import Texts
from desk.texts.clock import day_clock
from worker.errors import StoreError
from worker.people.actor import Actor, Role, folded
from worker.people.roster import Person, may_hold

HOLD_MINUTES: Final = (15, 30, 60)
"""Choices of a hold beyond an open page; `worker.queue.holds` takes up to 65 minutes."""


class HoldState(StrEnum):
    """States of a case for its reader."""

    MINE = "mine"
    OTHER = "other"
    OFFERED = "offered"
    """Its holder hands it over to the reader."""
    FREE = "free"
    BARRED = "barred"
    """It is free, and needs another role than the reader's."""
    DECIDED = "decided"


@dataclass(frozen=True, kw_only=True)
class Colleague:
    """A person to whom the case can be handed over."""

    name: str
    role: str


@dataclass(frozen=True, kw_only=True)
class HoldWords:
    """The hold bar. Texts of people are not escaped: templates do that."""

    state: HoldState
    strong: str
    dim: str
    short: str
    """For the bar at the bottom of a narrow page."""
    notices: tuple[str, ...]
    """Words of others on it: a hand over, a question."""
    refused: str
    """The reason that the reader's last act was refused; empty: it was not."""
    changed: bool
    """Worse came, or an incident that nobody holds, since the reader took it."""
    handed: bool
    """The reader handed it over, and nobody has taken it yet."""
    helped: bool
    """The reader asked for help, and may take the question back."""
    until: tuple[tuple[int, str], ...]
    """Choices of a hold: minutes, and the time of the day."""
    colleagues: tuple[Colleague, ...]

    @property
    def takeable(self) -> bool:
        """Returns whether the reader may take it now."""
        return self.state in (HoldState.FREE, HoldState.OFFERED)


def hold_of(view: CaseView, actor: Actor, roster: Mapping[str, str], texts: Texts, *, refused: str = "") -> HoldWords:
    """Puts the hold on a case into words for a person."""
    undecided = view.undecided
    mine = [one for one in undecided if _is(one.get("holder"), actor)]
    others = [one for one in undecided if one.get("holder") and one not in mine]
    free = [one for one in undecided if not one.get("holder")]
    state = _state(undecided, mine, others, actor)
    strong, dim = _text(state, view, mine, others, texts)
    handed = any(object_of(one.get("handed")) and not one["handed"].get("accepted") for one in mine)
    helped = any(_is(object_of(one.get("help")).get("by"), actor) for one in undecided)
    return HoldWords(
        state=state,
        strong=strong,
        dim=dim,
        short=texts(f"hold.short_{state}", name=_holder(others)),
        notices=tuple(_notices(view, mine, others, free, actor, texts)),
        refused=refused,
        changed=state is HoldState.MINE and (any(one.get("changed") for one in mine) or bool(free)),
        handed=handed,
        helped=helped,
        until=tuple((one, day_clock(view.now_ms + one * 60_000, view.now_ms, texts)) for one in HOLD_MINUTES),
        colleagues=tuple(colleagues_of(roster, undecided, actor)) if state is HoldState.MINE else (),
    )


def colleagues_of(roster: Mapping[str, str], undecided: Sequence[Mapping[str, Any]], actor: Actor) -> list[Colleague]:
    """The people of the roster who may hold all of these incidents, without `actor`."""
    needed = Role.LEAD if any(one.get("needs_role") == Role.LEAD for one in undecided) else Role.MODERATOR
    found = []
    for name in sorted(roster, key=folded):
        if folded(name) == folded(actor.name) or not may_hold(roster, name, needed):
            continue
        try:
            role = Person.from_json(name, roster[name]).role
        except StoreError:
            continue
        found.append(Colleague(name=name, role=role))
    return found


def lost_text(view: CaseView, away_seconds: float, texts: Texts, *, span: str) -> str:
    """The reason that a person does not hold a case any more: "… noor took it at 14:36."."""
    last = next((one for one in view.undecided if one.get("holder")), None)
    if not view.undecided:
        return texts("hold.lost_decided")
    if last is None:
        return texts("hold.lost_free")
    at = day_clock(ms_of(last.get("taken")), view.now_ms, texts)
    key = "hold.lost_away" if away_seconds >= AWAY_SECONDS else "hold.lost"
    return texts(key, span=span, name=text_of(last.get("holder"), "?"), at=at)


AWAY_SECONDS: Final = 90.0
"""A page that renewed less than so long ago was not away: it renews each minute."""


def _is(name: object, actor: Actor) -> bool:
    return isinstance(name, str) and bool(name) and folded(name) == folded(actor.name)


def _state(
    undecided: Sequence[Mapping[str, Any]],
    mine: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    actor: Actor,
) -> HoldState:
    if not undecided:
        return HoldState.DECIDED
    if mine:
        return HoldState.MINE
    if any(_is(object_of(one.get("handed")).get("to"), actor) for one in others):
        return HoldState.OFFERED
    if others:
        return HoldState.OTHER
    barred = actor.role is not Role.LEAD and all(one.get("needs_role") == Role.LEAD for one in undecided)
    return HoldState.BARRED if barred else HoldState.FREE


def _holder(records: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(text_of(one.get("holder"), "?") for one in records))


def _text(
    state: HoldState,
    view: CaseView,
    mine: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    texts: Texts,
) -> tuple[str, str]:
    if state is HoldState.MINE:
        kept = next((object_of(one.get("hold")) for one in mine if object_of(one.get("hold"))), None)
        if kept is None:
            return texts("hold.mine"), texts("hold.while_open")
        ends = day_clock(ms_of(kept.get("until")), view.now_ms, texts)
        return texts("hold.mine"), texts("hold.until_why", at=ends, why=text_of(kept.get("why")))
    if state is HoldState.OTHER:
        leases = [at for one in others if (at := ms_of(one.get("lease_until"))) is not None]
        until = day_clock(max(leases, default=None), view.now_ms, texts)
        return texts("hold.other", name=_holder(others)), texts("hold.other_until", at=until)
    if state is HoldState.OFFERED:
        return texts("hold.offered", name=_holder(others)), texts("hold.offered_text")
    return texts(f"hold.{state}"), texts(f"hold.{state}_text")


def _notices(
    view: CaseView,
    mine: Sequence[Mapping[str, Any]],
    others: Sequence[Mapping[str, Any]],
    free: Sequence[Mapping[str, Any]],
    actor: Actor,
    texts: Texts,
) -> list[str]:
    found = []
    for one in view.undecided:
        handed = object_of(one.get("handed"))
        if handed:
            to, by, note = (text_of(handed.get(name)) for name in ("to", "by", "note"))
            if _is(to, actor):
                key = "hold.handed_taken" if handed.get("accepted") else ""
            else:
                key = "hold.handed_by_you" if _is(by, actor) else "hold.handed"
            if key:
                found.append(texts(key, to=to, by=by))
            if note:
                found.append(texts("hold.note", note=note))
        asked = object_of(one.get("help"))
        if asked:
            by, what = text_of(asked.get("by"), "?"), text_of(asked.get("what"))
            found.append(texts("hold.you_asked" if _is(by, actor) else "hold.asked", name=by, what=what))
        kept = object_of(one.get("hold"))
        if kept and one in others:
            found.append(texts("hold.other_why", why=text_of(kept.get("why"))))
    if mine and others:
        found.append(texts("hold.part_other", name=_holder(others), count=len(others)))
    if mine and free:
        found.append(texts("hold.part_free", count=len(free)))
    return list(dict.fromkeys(found))
