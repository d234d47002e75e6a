"""Livewarden's own rules, `coverage-gap` and `imminent-danger`: what occurs raises an incident without any picture."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final

from redis import Redis

from config.facts import Severity
from config.policy.judging import BY_ONE, Judging
from worker.incidents.earlier_decisions import earlier_decisions
from worker.incidents.event_data import EarlierDecision, no_evidence
from worker.incidents.events import Event, escalation
from worker.incidents.findings import Finding, Incident
from worker.incidents.rule_state import RuleState, StreamIncidents
from worker.incidents.segment_context import SegmentContext, incident_id
from worker.incidents.store import event_record, incident_record, states_record
from worker.ingest.poll.stream_gaps import Gap
from worker.ingest.registry.danger_reports import DangerReport

PRINCIPLES: Final = (5,)
"""The Voluntary Principles that such an incident serves: nothing was compared with known or new material."""


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """Something that a built-in rule raises on a stream."""

    rule: str
    cause: Gap | DangerReport
    severity: Severity
    first_ms: int
    """Redis's clock when it began; it lasted until `last_ms`."""
    last_ms: int
    condition: Mapping[str, Any]
    """The requirements of the rule, for the event."""
    evidence_none: str
    """The reason that there is no picture, a slug."""
    cooldown_ms: int
    judging: Judging = BY_ONE
    """Choices of the policy for judging its incident."""
    decided_with_others: bool
    """A decision within its cooldown covers it. False: it was in no incident that anybody has decided."""


@dataclass(frozen=True, kw_only=True)
class OccurrenceAdvance:
    """The change that an occurrence makes to a stream's incidents."""

    states: Mapping[str, str]
    """Fields of the stream's hash; empty: nothing changes."""
    incident: Incident | None
    events: tuple[Event, ...]

    def records(self, stream_id: str) -> tuple[str, str, str]:
        """States, incidents and events as the scripts take them, JSON."""
        incidents = [] if self.incident is None else [incident_record(stream_id, self.incident)]
        return json.dumps(self.states), json.dumps(incidents), json.dumps([event_record(one) for one in self.events])


def advance_occurrence(
    redis: Redis,
    incidents: StreamIncidents,
    occurrence: Occurrence,
    context: SegmentContext,
    *,
    update_seconds: float,
    now_ms: int,
) -> OccurrenceAdvance:
    """Advances a stream's incidents by an occurrence; reads earlier decisions where an event names them.

    Raises:
        SchemaError: the event does not fit its schema.
        StoreError: Redis failed.
    """
    stream = context.stream
    before = incidents.rules.get(occurrence.rule, RuleState())
    case = incidents.case_for(context, now_ms=now_ms)
    with_earlier = partial(
        advance_rule,
        before,
        occurrence,
        context,
        update_seconds=update_seconds,
        now_ms=now_ms,
        case_id=case.case_id,
    )
    after, events = with_earlier()
    if events:
        earlier = earlier_decisions(redis, stream.stream_id, stream.purpose, incidents.rules.values())
        after, events = with_earlier(earlier=earlier)
    case = case.after(raised=int(before.incident is None), now_ms=now_ms)
    states = {} if after == before else states_record({occurrence.rule: after}, case, stream.purpose)
    return OccurrenceAdvance(states=states, incident=after.incident, events=tuple(events))


def advance_rule(
    before: RuleState,
    occurrence: Occurrence,
    context: SegmentContext,
    *,
    update_seconds: float,
    now_ms: int,
    case_id: str,
    earlier: Sequence[EarlierDecision] = (),
) -> tuple[RuleState, list[Event]]:
    """Advances the rule: a new incident, a further occurrence of the open one, or nothing where a decision covers it.
    Pure but for the check of the event's schema.

    Raises:
        SchemaError: the event does not fit its schema.
    """
    publish = partial(
        escalation,
        context,
        now_ms=now_ms,
        condition=occurrence.condition,
        earlier=earlier,
        evidence=no_evidence(occurrence.evidence_none),
    )
    decided = before.decided if occurrence.decided_with_others else None
    if decided is not None and decided.covers(occurrence.first_ms, occurrence.severity, ()):
        return before, []
    finding = Finding(
        hits=1,
        severity=occurrence.severity,
        captured_first_ms=occurrence.first_ms,
        captured_last_ms=occurrence.last_ms,
        principles=PRINCIPLES,
    )
    if before.incident is None:
        incident = Incident(
            incident_id=incident_id(context, occurrence.rule),
            generation=context.generation,
            rule=occurrence.rule,
            purpose=context.stream.purpose,
            finding=finding,
            raised_ms=now_ms,
            published_ms=now_ms,
            cooldown_ms=occurrence.cooldown_ms,
            worse_published=True,
            case_id=case_id,
            predecessor=before.predecessor,
            judging=occurrence.judging,
            hit_ms=now_ms,
        )
        return replace(before, incident=incident), [publish(incident, occurrence.cause, previous_severity=None)]
    was = before.incident
    incident = replace(
        was,
        finding=was.finding.merged(finding),
        case_id=was.case_id or case_id,
        judging=occurrence.judging,
        hit_ms=now_ms,
    )
    worse = incident.finding.severity is not was.finding.severity
    # A publication in the future was before Redis's clock went back.
    if not worse and 0 <= now_ms - was.published_ms < update_seconds * 1000:
        return replace(before, incident=incident), []
    incident = replace(incident, published_ms=now_ms)
    event = publish(incident, occurrence.cause, previous_severity=was.finding.severity)
    return replace(before, incident=incident), [event]
