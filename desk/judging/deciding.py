"""One decision on a case: on each undecided incident that the person holds and was shown, by the queue's own function.

Incidents are decided one by one, the most urgent first. What refuses one refuses no other, and each refusal is told.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from redis import Redis

from desk.cases.case_view import CaseView
from desk.errors import JudgementRefusedError
from desk.judging.judging_form import UNSEEN, JudgingForm
from desk.judging.shown_extent import extent_mark, listed_in
from worker.errors import PeopleError, QueueError, StoreError
from worker.people.actor import Actor, folded
from worker.queue.decisions import Outcome, decide_incident
from worker.queue.leases import extend
from worker.queue.record import describe_incident


@dataclass(frozen=True, kw_only=True)
class IncidentAnswer:
    """What became of one incident."""

    incident_id: str
    rule: str
    refusal: str = ""
    """Key of the catalogue; empty: it is as the person judged it."""
    values: Mapping[str, str] = field(default_factory=dict)


def decide_case(
    redis: Redis, view: CaseView, form: JudgingForm, actor: Actor, *, deployment: str, opened: bool | None
) -> tuple[IncidentAnswer, ...]:
    """Decides the incidents of a case that the page showed to its holder; returns an answer for each.

    Args:
        opened: the person opened a picture of the case; None: nobody knows.

    Raises:
        JudgementRefusedError: the page showed another case, `harmless` lacks the note that it needs, or a category is
            named by somebody who opened no picture. Nothing was written.
        StoreError: Redis failed before the first decision.
    """
    records = {str(one["incident_id"]): one for one in view.records}
    if not form.shown.keys() <= records.keys():
        raise JudgementRefusedError("judging.refused_form")
    if opened is False and form.category not in (None, UNSEEN):
        raise JudgementRefusedError("judging.refused_unopened")
    wanted = [one for one in view.records if one["incident_id"] in form.shown]
    lists = sorted({name for one in wanted if one["state"] != "decided" for name in listed_in(one)})
    if form.outcome is Outcome.HARMLESS and lists and not form.note:
        raise JudgementRefusedError("judging.refused_harmless", lists=", ".join(lists))
    return tuple(_answer(redis, one, form, actor, deployment) for one in wanted)


def _answer(
    redis: Redis, record: Mapping[str, Any], form: JudgingForm, actor: Actor, deployment: str
) -> IncidentAnswer:
    incident_id, rule = str(record["incident_id"]), str(record["rule"])

    def refused(key: str, **values: str) -> IncidentAnswer:
        return IncidentAnswer(incident_id=incident_id, rule=rule, refusal=key, values=values)

    if record["state"] == "decided":
        return _decided(record, form, actor)
    if extent_mark(record) != form.shown[incident_id]:
        return refused("judging.not_worse")
    if record["holder"] is not None and not actor.is_person(record["holder"]):
        return refused("judging.not_held", holder=str(record["holder"]))
    try:
        if record["holder"] is None:
            # A lease that has just ended: its last holder decides, unless somebody has taken the incident since.
            extend(redis, incident_id, actor)
        decide_incident(redis, incident_id, form.outcome, by=actor, note=form.note, deployment=deployment)
    except PeopleError:
        return refused("judging.not_role")
    except QueueError:
        return _refused_meanwhile(redis, incident_id, form, actor)
    except StoreError:
        return refused("judging.not_recorded")
    return IncidentAnswer(incident_id=incident_id, rule=rule)


def _refused_meanwhile(redis: Redis, incident_id: str, form: JudgingForm, actor: Actor) -> IncidentAnswer:
    """The reason for a refusal of the queue, in the catalogue's words: from the record as it is now."""
    record = describe_incident(redis, incident_id)
    rule = str(record["rule"])
    if record["state"] == "decided":
        return _decided(record, form, actor)
    if record["holder"] is None:
        return IncidentAnswer(incident_id=incident_id, rule=rule, refusal="judging.not_free")
    if not actor.is_person(record["holder"]):
        values = {"holder": str(record["holder"])}
        return IncidentAnswer(incident_id=incident_id, rule=rule, refusal="judging.not_held", values=values)
    return IncidentAnswer(incident_id=incident_id, rule=rule, refusal="judging.not_worse")


def _decided(record: Mapping[str, Any], form: JudgingForm, actor: Actor) -> IncidentAnswer:
    """An incident that is decided: by this person in the same way, as after a double click, or by another."""
    last = record["decisions"][-1]
    incident_id, rule = str(record["incident_id"]), str(record["rule"])
    if last["outcome"] == form.outcome and folded(str(last["decided_by"])) == folded(actor.name):
        return IncidentAnswer(incident_id=incident_id, rule=rule)
    values = {"by": str(last["decided_by"]), "outcome": str(last["outcome"])}
    return IncidentAnswer(incident_id=incident_id, rule=rule, refusal="judging.not_first", values=values)
