"""One judgement on a case: on each undecided incident that the person holds and was shown, by the queue's own function.

Incidents are decided one by one, the most urgent first. What refuses one refuses no other, and each refusal is shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from config.settings import Settings
from desk.cases.case_view import CaseView
from desk.cases.event_values import texts_of
from desk.errors import JudgementRefusedError
from desk.judging.judging_form import JudgingForm
from desk.judging.shown_extent import extent_mark, listed_in
from worker.errors import PeopleError, QueueError, StoreError
from worker.people.actor import Actor
from worker.queue.case_order import LongestWaits
from worker.queue.decisions import decide_incident
from worker.queue.interrupts import interrupt_state
from worker.queue.leases import extend
from worker.queue.outcomes import Category, Outcome
from worker.queue.record import describe_incident
from worker.queue.revisions import revise


@dataclass(frozen=True, kw_only=True)
class IncidentAnswer:
    """The outcome of a judgement for one incident."""

    incident_id: str
    rule: str
    refusal: str = ""
    """Key of the catalogue; empty: it is as the person judged it."""
    values: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class CaseJudge:
    """A person at a case."""

    redis: Redis
    settings: Settings
    view: CaseView
    actor: Actor
    opened: bool | None
    """They opened a picture of the case; None: nobody knows."""

    def decide(self, form: JudgingForm) -> tuple[IncidentAnswer, ...]:
        """Decides the incidents that the page showed to their holder; returns an answer for each.

        Raises:
            JudgementRefusedError: the page showed another case, `harmless` lacks the note that it needs, or a category
                is named by somebody who opened no picture. Nothing was written.
        """
        wanted = self._wanted(form)
        lists = sorted({name for one in wanted if one["state"] != "decided" for name in listed_in(one)})
        if form.outcome is Outcome.HARMLESS and lists and not form.note:
            raise JudgementRefusedError("judging.refused_harmless", lists=", ".join(lists))
        return tuple(self._decided(one, form) for one in wanted)

    def revise(self, form: JudgingForm, *, was: str) -> tuple[IncidentAnswer, ...]:
        """Changes the decisions on incidents that the page showed as decided; with the outcome that they have, asks
        more of the platform.

        Args:
            was: the outcome that the page showed; another one by now is not changed.

        Raises:
            JudgementRefusedError: as `decide`; or the reason is missing, or nothing is changed.
        """
        wanted = self._wanted(form)
        if not form.note:
            raise JudgementRefusedError("judging.refused_reason")
        if form.outcome == was and not (form.acts or form.interrupt):
            raise JudgementRefusedError("judging.refused_same")
        return tuple(self._revised(one, form, was) for one in wanted)

    def _wanted(self, form: JudgingForm) -> list[Mapping[str, Any]]:
        if not form.shown.keys() <= {one["incident_id"] for one in self.view.records}:
            raise JudgementRefusedError("judging.refused_form")
        if self.opened is False and form.category not in (None, Category.UNSEEN):
            raise JudgementRefusedError("judging.refused_unopened")
        return [one for one in self.view.records if one["incident_id"] in form.shown]

    def _decided(self, record: Mapping[str, Any], form: JudgingForm) -> IncidentAnswer:
        incident_id = str(record["incident_id"])
        if record["state"] == "decided":
            return self._known(record, form)
        if self._judged_so(record, form):
            return _answer(record)
        if extent_mark(record) != form.shown[incident_id]:
            return _answer(record, "judging.not_worse")
        if record["holder"] is not None and not self.actor.is_person(record["holder"]):
            return _answer(record, "judging.not_held", holder=str(record["holder"]))
        try:
            if record["holder"] is None:
                # A lease that has just ended: its last holder decides, unless somebody has taken the incident since.
                extend(self.redis, incident_id, self.actor)
            decide_incident(
                self.redis,
                incident_id,
                form.outcome,
                by=self.actor,
                note=form.note,
                deployment=self.settings.deployment,
                category=form.category,
                second=form.second,
                interrupt=form.interrupt,
                ask=form.acts,
                waits=LongestWaits.of(self.settings),
            )
        except PeopleError:
            return _answer(record, "judging.not_role")
        except QueueError:
            return self._refused(incident_id, form)
        except StoreError:
            return _answer(record, "judging.not_recorded")
        return _answer(record)

    def _refused(self, incident_id: str, form: JudgingForm) -> IncidentAnswer:
        """The reason for a refusal of the queue, in the catalogue's words: from the record as it is now."""
        record = describe_incident(self.redis, incident_id, viewer=self.actor)
        if record["state"] == "decided":
            return self._known(record, form)
        if record["holder"] is None:
            own = (record["judgement"] or {}).get("by")
            return _answer(record, "judging.not_again" if own else "judging.not_free")
        if not self.actor.is_person(record["holder"]):
            return _answer(record, "judging.not_held", holder=str(record["holder"]))
        return _answer(record, "judging.not_worse")

    def _known(self, record: Mapping[str, Any], form: JudgingForm) -> IncidentAnswer:
        """An incident that is decided: by this person in the same way, as after a double click, or by another."""
        last = record["decisions"][-1]
        if last["outcome"] == form.outcome and self.actor.is_person(str(last["decided_by"])):
            return _answer(record)
        return _answer(record, "judging.not_first", by=str(last["decided_by"]), outcome=str(last["outcome"]))

    def _judged_so(self, record: Mapping[str, Any], form: JudgingForm) -> bool:
        """Returns whether this person's judgement, the same one, waits for a second person already."""
        own = record["judgement"] or {}
        mine = own.get("by") is not None and own.get("outcome") == form.outcome
        return mine and record["holder"] is None

    def _revised(self, record: Mapping[str, Any], form: JudgingForm, was: str) -> IncidentAnswer:
        if record["state"] != "decided":
            return _answer(record, "judging.not_decided")
        last = record["decisions"][-1]
        keeps = form.outcome == was
        done = last["outcome"] == form.outcome and (not keeps or self._is_asked(record, form))
        if done and self.actor.is_person(str(last["decided_by"])):
            return _answer(record)
        try:
            revise(
                self.redis,
                str(record["incident_id"]),
                form.outcome,
                by=self.actor,
                note=form.note,
                deployment=self.settings.deployment,
                was=was,
                category=form.category,
                interrupt=form.interrupt,
                ask=form.acts,
            )
        except PeopleError:
            return _answer(record, "judging.not_role")
        except QueueError:
            decisions = describe_incident(self.redis, str(record["incident_id"]), viewer=self.actor)["decisions"]
            now = decisions[-1]
            if now["outcome"] == was and len(decisions) == len(record["decisions"]):
                return _answer(record, "judging.refused_same" if keeps and done else "judging.not_more")
            return _answer(record, "judging.not_before", by=str(now["decided_by"]), outcome=str(now["outcome"]))
        except StoreError:
            return _answer(record, "judging.not_recorded")
        return _answer(record)

    def _is_asked(self, record: Mapping[str, Any], form: JudgingForm) -> bool:
        """Returns whether the platform was asked already for all that the form asks."""
        asked = set(form.acts) <= set(texts_of(record["decisions"][-1].get("actions")))
        if not form.interrupt or not asked:
            return asked
        state = interrupt_state(self.redis, str(record["incident_id"]), viewer=self.actor.name)
        return state.requested_ms is not None


def _answer(record: Mapping[str, Any], refusal: str = "", **values: str) -> IncidentAnswer:
    return IncidentAnswer(
        incident_id=str(record["incident_id"]), rule=str(record["rule"]), refusal=refusal, values=values
    )
