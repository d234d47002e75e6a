"""Two judges: the first judgement waits in the incident's record, and a second person judges without knowing it. Pure.

Where both agree, that is the decision. Where they do not, a lead sees both and decides. Where no second person comes
within the longest wait of the incident's severity, a lead's own judgement decides, also that of the lead who judged
first: one person alone must be no dead end.
"""

import hashlib
import json
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from config.settings import LONGEST_WAIT_SECONDS
from worker.errors import QueueError
from worker.events.cloudevent import rfc3339
from worker.people.actor import Actor, Role, folded
from worker.queue.outcomes import (
    Category,
    Outcome,
    PlatformAct,
    check_acts,
    check_category,
    check_interrupt,
    check_note,
    check_outcome,
)
from worker.queue.record_fields import number_of
from worker.store.redis_client import ONCE_SECONDS, is_recent

LONGEST_WAIT_MS: Final = LONGEST_WAIT_SECONDS * 1000
"""The longest wait that settings may state: a later end is from before Redis's clock went back
(`LONGEST_JUDGING_MS` in worker/store/lua/shared/people.lua)."""


class JudgingStep(StrEnum):
    """Effect of a judgement."""

    DECIDE = "decide"
    WAIT = "wait"
    """For a second person."""
    DISAGREE = "disagree"
    """A lead decides."""


@dataclass(frozen=True, kw_only=True)
class GivenJudgement:
    """A person's answer on an incident."""

    outcome: Outcome
    by: str
    verified: bool
    note: str = ""
    category: Category | None = None
    actions: tuple[PlatformAct, ...] = ()
    interrupt: bool = False
    """It asks for an interruption of the stream."""
    judged_ms: int = 0
    """Redis's clock."""

    @classmethod
    def of(
        cls, actor: Actor, outcome: str, *, note: str, category: str | None, ask: Sequence[str], interrupt: bool
    ) -> "GivenJudgement":
        """Checks an answer.

        Raises:
            QueueError: a part of it is invalid, or does not go with the outcome.
        """
        judged = check_outcome(outcome)
        check_note(note)
        return cls(
            outcome=judged,
            by=actor.name,
            verified=actor.verified,
            note=note,
            category=check_category(category, judged),
            actions=check_acts(ask, judged),
            interrupt=check_interrupt(interrupt, judged),
        )

    def to_data(self) -> dict[str, Any]:
        """Returns it as decisions' events and records carry it."""
        return {
            "outcome": self.outcome,
            "by": self.by,
            "verified": self.verified,
            "note": self.note,
            **({} if self.category is None else {"category": self.category}),
            **({"actions": list(self.actions)} if self.actions else {}),
            "judged": rfc3339(self.judged_ms),
        }

    def to_json(self) -> str:
        """Returns it as the incident's record keeps it."""
        return json.dumps(self.to_data() | {"judged_ms": self.judged_ms, "interrupt": self.interrupt})

    @classmethod
    def from_record(cls, record: Any) -> "GivenJudgement | None":
        """Reads a kept judgement; None: it is damaged."""
        try:
            return cls(
                outcome=Outcome(record["outcome"]),
                by=str(record["by"]),
                verified=record["verified"] is True,
                note=str(record["note"]),
                category=Category(record["category"]) if "category" in record else None,
                actions=tuple(map(PlatformAct, record.get("actions", ()))),
                interrupt=record.get("interrupt") is True,
                judged_ms=int(record["judged_ms"]),
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            return None


@dataclass(frozen=True, kw_only=True)
class JudgingState:
    """The judgements on an undecided incident so far."""

    wanted: frozenset[str] = frozenset()
    """Outcomes for which the policy asks for a second person."""
    first: GivenJudgement | None = None
    """Waits for a second person."""
    set_aside: bool = False
    """The first judgement does not count any more: worse evidence came since, or the roster lost its judge."""
    both: tuple[GivenJudgement, ...] = ()
    """Two that do not agree: a lead decides."""
    until_ms: int = 0
    """Redis's clock from which on a lead's judgement decides alone."""
    token: str = ""
    """Identifies this state; empty: there was no judgement yet."""

    @classmethod
    def of(cls, fields: Mapping[str, str], *, counts: Callable[[str], bool] | None = None) -> "JudgingState":
        """Reads it from an incident's record; damaged judgements are none.

        Args:
            counts: whether the judgement of that person counts still; None: it does.
        """
        state = cls(
            wanted=frozenset(fields.get("second_person", "").split()),
            until_ms=number_of(fields, "judged_until_ms") or 0,
            token=fields.get("judge_token", ""),
        )
        both = tuple(filter(None, map(GivenJudgement.from_record, _records(fields.get("judgements")))))
        if both:
            return replace(state, both=both)
        first = next(iter(map(GivenJudgement.from_record, _records(fields.get("judgement")))), None)
        if first is None:
            return state
        if fields.get("judged_on") != extent_digest(fields.get("event", "")) or not (
            counts is None or counts(first.by)
        ):
            return replace(state, set_aside=True)
        return replace(state, first=first)

    def step(
        self, given: GivenJudgement, actor: Actor, *, second: bool, now_ms: int, holds: bool = False
    ) -> JudgingStep:
        """Returns what this judgement leads to.

        Args:
            second: the person asks for a second one.
            holds: the person has taken the incident since the last judgement.

        Raises:
            QueueError: it is the first judge again, and a second person can still come; or one of two who do not agree
                gives the same answer again, perhaps because they did not see that it was recorded.
        """
        if self.both:  # the script holds it to a lead
            known = (one for one in self.both if replace(given, judged_ms=one.judged_ms) == one)
            if not holds and any(is_recent(one.judged_ms, now_ms, ONCE_SECONDS * 1000) for one in known):
                raise QueueError(
                    f"{actor.name} judged it: a lead decides, for two persons do not agree; take it to see both"
                )
            return JudgingStep.DECIDE
        leads = actor.role is Role.LEAD or not actor.verified
        if self.first is None:
            return JudgingStep.WAIT if second or given.outcome in self.wanted else JudgingStep.DECIDE
        alone = leads and self.is_over(now_ms)
        if actor.is_person(self.first.by):
            if not alone:
                raise QueueError(
                    f"{actor.name} judged it: a second person judges now; from {rfc3339(self.until_ms)} on a lead may "
                    "decide alone"
                )
            return JudgingStep.DECIDE
        agree = given.outcome is self.first.outcome
        return JudgingStep.DECIDE if agree or alone else JudgingStep.DISAGREE

    def is_over(self, now_ms: int) -> bool:
        """Returns whether the wait for a second person is over."""
        return not 0 < self.until_ms - now_ms <= LONGEST_WAIT_MS

    def published(self, given: GivenJudgement) -> tuple[GivenJudgement, ...]:
        """The judgements that a decision names: those of both judges; of a person alone, the earlier one. Empty: one
        person judged once."""
        if self.both:
            return self.both
        if self.first is None:
            return ()
        return (self.first,) if folded(given.by) == folded(self.first.by) else (self.first, given)

    def actions(self, given: GivenJudgement) -> tuple[PlatformAct, ...]:
        """Returns what the decision asks of the platform: all that one of the judges who agree asks."""
        agreed = self.first is not None and self.first.outcome is given.outcome
        asked = {*given.actions, *(self.first.actions if self.first is not None and agreed else ())}
        return tuple(act for act in PlatformAct if act in asked)

    def interrupts(self, given: GivenJudgement) -> bool:
        """Returns whether the decision asks for an interruption: where one of the judges who agree does."""
        agreed = self.first is not None and self.first.outcome is given.outcome
        return given.interrupt or (agreed and self.first is not None and self.first.interrupt)

    def waiting_fields(self, given: GivenJudgement, *, event: str, wait_ms: int) -> dict[str, str]:
        """The fields of the record with which a judgement waits for a second person."""
        return {
            "judgement": given.to_json(),
            "judged_by": given.by,
            "judged_on": extent_digest(event),
            "judged_until_ms": str(given.judged_ms + wait_ms),
            "judge_token": secrets.token_hex(16),
        }

    def disagreeing_fields(self, given: GivenJudgement) -> dict[str, str]:
        """The fields of the record with which two judgements wait for a lead."""
        assert self.first is not None
        return {
            "judgements": f"[{self.first.to_json()}, {given.to_json()}]",
            "needs_role": Role.LEAD,
            "judge_token": secrets.token_hex(16),
        }


def shown_judgements(state: JudgingState, viewer: Actor | None, *, now_ms: int) -> dict[str, Any]:
    """Returns what a person is shown of the judgements on an undecided incident.

    `judgement`: None, or that one `waits` for a second person, from when on a lead may decide `alone`, or that it was
    `set_aside`; its own judge alone is shown the rest. `judgements`: two that do not agree, to leads, or where there is
    no roster.
    """
    both = viewer is not None and (viewer.role is Role.LEAD or not viewer.verified) and state.both
    shown: dict[str, Any] = {"judgements": [one.to_data() for one in state.both]} if both else {}
    if state.first is None:
        return {"judgement": {"waits": False, "set_aside": True} if state.set_aside else None, **shown}
    waits = {"waits": True, "alone_from": rfc3339(state.until_ms), "alone": state.is_over(now_ms)}
    own = viewer is not None and viewer.is_person(state.first.by)
    return {"judgement": waits | (state.first.to_data() if own else {}), **shown}


def extent_digest(event: str) -> str:
    """Digest of what an escalation event shows: severity and matches. A later event with another one is worse
    (`extent_digest` in worker/store/lua/shared/people.lua); empty: it is damaged."""
    try:
        data = json.loads(event)["data"]
        near = (f"{one['list']} {one['entry']} {one['distance']}" for one in data["matches"])
        text = "\n".join((data["severity"], *near)).encode()
    except (ValueError, TypeError, KeyError, RecursionError):
        return ""
    return hashlib.sha1(text, usedforsecurity=False).hexdigest()


def _records(text: str | None) -> list[Any]:
    """Parses one kept judgement, or several."""
    try:
        found = json.loads(text or "[]")
    except (ValueError, RecursionError):
        return []
    return found if isinstance(found, list) else [found]
