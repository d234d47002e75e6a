"""From hits to incidents: pure functions over the state of each rule on a stream.

One incident is open per (stream, purpose, rule). Persistence and cooldown are counted by capture time, so that segments
may end in any order: a late one may raise an incident, and never withdraws one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from types import MappingProxyType
from typing import Any

from config.facts import Hit, Severity
from config.policy.policy import Policy
from config.policy.rules import Rule
from worker.incidents.cases import StreamCase
from worker.incidents.event_data import EarlierDecision, rule_condition
from worker.incidents.events import Event, escalation, interrupt_request
from worker.incidents.findings import MIN_INTERRUPT_FRAMES, Extent, Finding, Incident, concluded, merge
from worker.incidents.rule_state import RuleState, StreamIncidents
from worker.incidents.segment_context import SegmentContext, incident_id

NONE_MUTED: Mapping[str, int] = MappingProxyType({})


NO_EVIDENCE_DATA: Mapping[str, Mapping[str, Any]] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class EventExtras:
    """Parts of events that are read only where there is one to publish."""

    earlier: Sequence[EarlierDecision]
    evidence: Mapping[str, Mapping[str, Any]]
    """By incident."""


@dataclass(frozen=True, kw_only=True)
class RuleAdvance:
    """The changes by a segment's hits."""

    rules: Mapping[str, RuleState]
    """New states, of the rules that have changed only."""
    incidents: tuple[Incident, ...]
    """Open incidents that are new or have changed."""
    events: tuple[Event, ...]
    """To be published, in this order; requests to interrupt come first."""
    case: StreamCase | None = None
    """The stream's newest case, if it has changed."""


def advance(
    state: StreamIncidents,
    *,
    context: SegmentContext,
    hits: Sequence[Hit],
    now_ms: int,
    policy: Policy,
    muted: Mapping[str, int] = NONE_MUTED,
    earlier: Sequence[EarlierDecision] = (),
    evidence: Mapping[str, Mapping[str, Any]] = NO_EVIDENCE_DATA,
) -> RuleAdvance:
    """Advances a stream's rules by the hits found in one segment.

    Args:
        hits: of the segment's samples in any order, as `policy.evaluate` gave them; and, as `judge_in_order` gave them,
            of rules that are evaluated in order.
        now_ms: Redis's clock.
        muted: by rule, how many hits are only to be counted.
        earlier: decisions on the stream, for the events.
        evidence: by incident, the part of its events' data that is about its pictures.
    """
    rules: dict[str, RuleState] = {}
    published_with = EventExtras(earlier=earlier, evidence=evidence)
    case = state.case_for(context, now_ms=now_ms)
    events: list[Event] = []
    incidents: list[Incident] = []
    ordered = sorted(hits, key=lambda hit: (hit.rule, 0 if hit.segment else hit.capture_ms))
    for name, group in groupby(ordered, key=lambda hit: hit.rule):
        before = after = state.rules.get(name, RuleState())
        published: list[Event] = []
        for segment, together in _steps(list(group)):
            of = _of_segment(context, segment)
            after, more = _advance_rule(
                after, together, policy.rule(name), of, now_ms, policy, published_with, case.case_id
            )
            published += more
        if after != before:
            rules[name] = after
            events += published
            if after.incident is not None:
                incidents.append(after.incident)
    for name, count in muted.items():
        before = rules.get(name, state.rules.get(name, RuleState()))
        rules[name] = replace(before, muted_hits=before.muted_hits + count)
    raised = sum(state.rules.get(one.rule, RuleState()).incident is None for one in incidents)
    after_case = case.after(raised=raised, now_ms=now_ms) if incidents else None
    return RuleAdvance(rules=rules, incidents=tuple(incidents), events=tuple(events), case=after_case)


def _of_segment(context: SegmentContext, segment: str) -> SegmentContext:
    """The context of a hit in that segment; empty: in the one that ended."""
    if segment in ("", context.segment_key):
        return context
    return replace(context, segment_key=segment, sampled_ms=None)


def _steps(hits: list[Hit]) -> list[tuple[str, list[Hit]]]:
    """Groups the hits of a rule that advance it together, with their segment if it is not the one that ended.

    A rule that is evaluated in order advances hit by hit, for it is chance which segment's end brings them: so the same
    is raised whichever it was.
    """
    if any(hit.segment for hit in hits):
        return [(hit.segment, [hit]) for hit in hits]
    return [("", hits)]


def _advance_rule(
    state: RuleState,
    hits: list[Hit],
    rule: Rule,
    context: SegmentContext,
    now_ms: int,
    policy: Policy,
    extras: EventExtras,
    case_id: str,
) -> tuple[RuleState, list[Event]]:
    if rule.mode == "shadow":
        return replace(state, shadow_hits=state.shadow_hits + len(hits)), []
    decided = None if context.looks_back else state.decided

    def publish(incident: Incident, cause: Hit, previous: Severity | None) -> Event:
        return escalation(
            context,
            incident,
            cause,
            previous_severity=previous,
            now_ms=now_ms,
            condition=rule_condition(rule),
            earlier=extras.earlier,
            evidence=extras.evidence.get(incident.incident_id, {}),
        )

    both = [(hit, Finding.of(hit, rule.lists)) for hit in hits]
    if decided is not None:
        both = [
            (hit, finding)
            for hit, finding in both
            if not decided.covers(context.live_ms(hit.capture_ms), finding.severity, finding.matches)
        ]
    if not both:
        return state, []
    found = [finding for _, finding in both]
    if state.incident is None:
        # All count before the oldest are forgotten: a look-back brings some that are older than those that wait.
        gathered = _by_instant([*state.waiting, *found])
        # Worse than the decided extent: the rule has persisted already.
        worse = decided is not None and any(
            context.live_ms(each.captured_first_ms) < decided.quiet_until_ms for each in found
        )
        if not worse and rule.persistence.met_by(each.seen for each in gathered) is None:
            return replace(state, waiting=_remembered(gathered, rule)), []
        incident = Incident(
            incident_id=incident_id(context, rule.name),
            generation=context.generation,
            rule=rule.name,
            purpose=context.stream.purpose,
            finding=concluded(gathered),
            raised_ms=now_ms,
            published_ms=now_ms,
            cooldown_ms=round(rule.cooldown_seconds * 1000),
            worse_published=True,
            case_id=case_id,
            predecessor=state.predecessor,
            needs_role=rule.needs_role,
            judging=policy.judging(rule.second_person),
            hit_ms=now_ms,
            silence_ms=policy.silence_ms,
        )
        cause = _cause(hit for hit, _ in both)
        events = [publish(incident, cause, None)]
    else:
        known = state.incident
        incident = replace(
            known,
            finding=concluded([known.finding, *found]),
            case_id=known.case_id or case_id,  # an older version raised it
            needs_role="lead" if "lead" in (known.needs_role, rule.needs_role) else rule.needs_role,
            judging=policy.judging(rule.second_person),
            hit_ms=now_ms,
            silence_ms=policy.silence_ms,
        )
        previous = state.incident.finding.severity
        before = Extent.of(state.incident.finding)
        worse = bool(before.surpassed_by(incident.finding.severity, incident.finding.matches))
        # A publication in the future was before Redis's clock went back.
        due = not 0 <= now_ms - incident.published_ms < policy.update_seconds * 1000
        events = []
        # A change for the worse is published immediately: a person decides on what was shown, or is refused.
        if due or worse or not incident.worse_published:
            incident = replace(incident, published_ms=now_ms, worse_published=True)
            causes = [hit for hit, each in both if before.surpassed_by(each.severity, each.matches)]
            cause = _cause(causes or [hit for hit, _ in both])
            events = [publish(incident, cause, previous)]
    incident, requests = _request_interrupt(incident, rule, context, now_ms)
    return replace(state, waiting=(), incident=incident), requests + events


def _cause(hits: Iterable[Hit]) -> Hit:
    """The most urgent, then the earliest hit stands for the segment."""
    return min(hits, key=lambda hit: (hit.severity.rank, hit.capture_ms))


def _by_instant(findings: Iterable[Finding]) -> list[Finding]:
    """Merges findings of one capture instant, in that order."""
    ordered = sorted(findings, key=lambda finding: finding.captured_first_ms)
    return [merge(same) for _, same in groupby(ordered, key=lambda finding: finding.captured_first_ms)]


def _remembered(findings: Sequence[Finding], rule: Rule) -> tuple[Finding, ...]:
    """Leaves out findings too old to count with any that may still come."""
    newest = findings[-1].seen
    return tuple(finding for finding in findings if rule.persistence.remembers(finding.seen, newest))


def _request_interrupt(
    incident: Incident, rule: Rule, context: SegmentContext, now_ms: int
) -> tuple[Incident, list[Event]]:
    """Requests an interruption once an incident, if the rule has that action and two frames matched one of its lists;
    never for a canary, nor looking back."""
    enough = len(incident.finding.interrupt_frames_ms) >= MIN_INTERRUPT_FRAMES
    barred = incident.purpose == "canary" or context.looks_back
    if rule.action != "interrupt" or incident.interrupt_requested or not enough or barred:
        return incident, []
    event = interrupt_request(context, incident, rule.lists, now_ms)
    return replace(incident, interrupt_requested=True), [event]
