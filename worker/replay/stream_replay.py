"""The replay of one stream: its segments and the decisions on it, in their order.

The same functions decide as live: `config.policy.evaluation` evaluates rules, and `worker.incidents.incident_rules`
raises incidents. Only external input is taken over from the log: silent hashes, findings of look-backs, and decisions.
"""

import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import product

from config.facts import ListedHash, SegmentFacts, SegmentPosition, Severity, StreamFacts, most_urgent
from config.policy.evaluation import OrderState, judge
from config.policy.policy import Policy
from config.policy.rules import Rule
from worker.incidents.events import Event, EventType
from worker.incidents.findings import Extent, Finding, Incident, IncidentEnd, matches_of, nearest_of
from worker.incidents.hash_flood import filter_hits
from worker.incidents.incident_end import PurposeWatch, close, due_end, end, end_silence
from worker.incidents.incident_rules import advance
from worker.incidents.rule_state import LastDecision, RuleState, StreamIncidents
from worker.incidents.segment_context import SegmentContext, Versions
from worker.queue.outcomes import Outcome
from worker.replay.history import IncidentEvent, LoggedIncident, Revision
from worker.verdictlog.outcome_rows import milliseconds

DEPLOYMENT = "replay"

UPDATE_SECONDS = 3600
"""Between two updates of an incident: the largest value that a policy may set."""


@dataclass(frozen=True, kw_only=True)
class SettledSegment:
    """A segment as it was settled."""

    facts: SegmentFacts
    generation: int
    epoch: int
    settled_ms: int
    silent: frozenset[ListedHash] = frozenset()
    """Hashes that raised nothing at that time."""


@dataclass(frozen=True, kw_only=True)
class ReplayedIncident:
    """An incident that a policy would have raised."""

    incident: Incident
    """Its last state."""
    severity: Severity
    """At its raise."""
    segment_key: str
    """Segment of the picture that caused it."""
    captured_ms: int
    """Capture time of that picture."""


def with_all_rules_live(policy: Policy) -> Policy:
    """The policy with all rules live, to see what its shadow rules would raise; and with as few updates as possible,
    which raise nothing and cost a millisecond each."""
    document = policy.model_dump(by_alias=True, exclude_unset=True)
    document["rules"] = [{**rule, "mode": "live"} for rule in document["rules"]]
    return type(policy).model_validate({**document, "update_seconds": UPDATE_SECONDS})


class StreamReplay:
    """One stream under a policy."""

    def __init__(self, policy: Policy, stream_id: str) -> None:
        """`policy`: without shadow rules (`with_all_rules_live`), which would be counted only."""
        self._policy = policy
        self._stream_id = stream_id
        self._rules: dict[str, dict[str, RuleState]] = {}
        """By purpose and rule."""
        self._order: dict[tuple[int, int], OrderState] = {}
        self._decided_as: dict[str, str] = {}
        """The decided incident of the log -> the one that this policy had open for the same rule."""
        self._ended: dict[str, Incident] = {}
        """The undecided incident of the log that had ended -> the one that this policy had open for the same rule."""
        self.raised: dict[str, ReplayedIncident] = {}
        """By their ids, in order; without those that were taken over."""
        self.hits: Counter[str] = Counter()
        """Pictures for which each rule held."""
        self.problems: Counter[str] = Counter()
        """Pictures on which rules failed or were slow, by slug as in `degraded`."""

    def settle(self, segment: SettledSegment, *, earliest_pending: SegmentPosition | None = None) -> None:
        """Replays the next segment; `earliest_pending`: the earliest of its epoch that comes after it."""
        watch = (segment.generation, segment.epoch)
        judgement = judge(
            self._policy, self._order.get(watch, OrderState()), segment.facts, earliest_pending=earliest_pending
        )
        self._order[watch] = judgement.state
        self.problems.update(judgement.problem_samples)
        if not judgement.hits:
            return
        self.hits.update(hit.rule for hit in judgement.hits)
        filtered = filter_hits(judgement.hits, segment.silent, self._policy)
        rules = self._rules.setdefault(segment.facts.stream.purpose, {})
        step = advance(
            StreamIncidents(rules=rules),
            context=self._context(segment.facts.stream, segment.generation, segment.facts.key),
            hits=filtered.hits,
            now_ms=segment.settled_ms,
            policy=self._policy,
        )
        rules.update(step.rules)
        causes = {event.incident_id: event for event in step.events if event.type is EventType.RAISED}
        for incident in step.incidents:
            self._note(incident, causes.get(incident.incident_id))

    def _note(self, incident: Incident, raised: Event | None) -> None:
        if raised is not None:
            data = json.loads(raised.text)["data"]
            self.raised[incident.incident_id] = ReplayedIncident(
                incident=incident,
                severity=Severity(data["severity"]),
                segment_key=data["sample"]["segment"],
                captured_ms=milliseconds(data["sample"]["captured"]),
            )
        elif incident.incident_id in self.raised:
            self.raised[incident.incident_id] = replace(self.raised[incident.incident_id], incident=incident)

    def _context(self, stream: StreamFacts, generation: int, segment_key: str) -> SegmentContext:
        return SegmentContext(
            stream=stream,
            generation=generation,
            segment_key=segment_key,
            deployment=DEPLOYMENT,
            versions=Versions(policy=self._policy.version),
        )

    def end(self, incident: LoggedIncident) -> None:
        """Ends the rule's incident without a decision, if one is open, when that of the log ended."""
        rules = self._rules.setdefault(incident.purpose, {})
        state = rules.get(incident.rule)
        if state is not None and state.incident is not None:
            rules[incident.rule], self._ended[incident.incident_id] = end(state, IncidentEnd.STREAM_ENDED)

    def fall_silent(self, now_ms: int, *, purpose: str) -> None:
        """Ends incidents that have been silent for as long as the policy states, as a live stream's are."""
        rules = self._rules.setdefault(purpose, {})
        for name, state in rules.items():
            if state.incident is not None and due_end(state.incident, PurposeWatch(goes_on=True), now_ms=now_ms):
                rules[name], _ = end(state, IncidentEnd.SILENCE)

    def decide(self, rule: str, at_ms: int, *, purpose: str, incident_id: str = "", had_ended: bool = False) -> None:
        """Applies a decision on the rule's incident, if there is one.

        Args:
            incident_id: its id in the log.
            had_ended: it had ended there before; then the decision is on the one that ended here at that time.
        """
        rules = self._rules.setdefault(purpose, {})
        state = rules.get(rule, RuleState())
        ended = self._ended.pop(incident_id, None) if had_ended else None
        decided = ended if had_ended else state.incident
        if decided is not None:
            self._decided_as[incident_id] = decided.incident_id
            rules[rule] = close(state, now_ms=at_ms, ended=ended)

    def revise(self, incident: LoggedIncident, revision: Revision) -> None:
        """Applies a revision of the decision on an incident."""
        rules = self._rules.setdefault(incident.purpose, {})
        state = rules.get(incident.rule)
        if state is not None:
            decided_as = self._decided_as.get(incident.incident_id, incident.incident_id)
            rules[incident.rule] = _revised(state, decided_as, revision)

    def give(self, incident: LoggedIncident, event: IncidentEvent) -> None:
        """Applies an event whose cause is not in the log, if the policy has its rule."""
        rule = next((rule for rule in self._policy.rules if rule.name == incident.rule), None)
        if rule is None:
            return
        rules = self._rules.setdefault(incident.purpose, {})
        state = rules.get(incident.rule, RuleState())
        if state.incident is None:
            given = _given(incident, rule, event.extent, event.at_ms)
            rules[incident.rule] = replace(state, waiting=(), incident=given)
            return
        finding = state.incident.finding
        worse = replace(
            finding,
            severity=most_urgent(finding.severity, event.severity),
            matches=nearest_of((*finding.matches, *matches_of(event.nearest or ()))),
        )
        rules[incident.rule] = replace(state, incident=replace(state.incident, finding=worse))

    def begin(self, incidents: Iterable[LoggedIncident], at_ms: int) -> None:
        """Begins the counted time: of earlier results only the incidents that were open in the log, and the decisions,
        are kept.

        An incident that was raised later in the log, and is already open here, had waited for a segment that the log
        has lost: it counts.
        """
        before = list(incidents)
        waited = {incident.incident_id for incident in before if incident.raised_ms >= at_ms}
        self.raised = {name: would for name, would in self.raised.items() if name in waited}
        self.hits.clear()
        self.problems.clear()
        self._decided_as.clear()
        self._ended.clear()
        purposes = {*self._rules, *(incident.purpose for incident in before)}
        for purpose, rule in product(sorted(purposes), self._policy.rules):
            rules = self._rules.setdefault(purpose, {})
            mine = [one for one in before if (one.purpose, one.rule) == (purpose, rule.name)]
            state = rules.get(rule.name, RuleState())
            was_open = next((incident for incident in mine if incident.is_open_at(at_ms)), None)
            known = state.incident
            if was_open is None and known is not None and known.incident_id not in waited:
                state = replace(state, incident=None)
            elif was_open is not None and (known is None or known.incident_id != was_open.incident_id):
                given = _given(was_open, rule, was_open.extent_at(at_ms), was_open.raised_ms)
                state = replace(state, waiting=(), incident=given)
            self._ended |= {
                one.incident_id: _given(one, rule, one.extent_at(at_ms), one.raised_ms)
                for one in mine
                if one.has_ended_before(at_ms) and (one.decided_ms is None or one.decided_ms >= at_ms)
            }
            decided = [incident for incident in mine if incident.decided_ms is not None and incident.decided_ms < at_ms]
            if decided:
                state = replace(state, decided=_decided(decided, rule, at_ms))
            rules[rule.name] = state


def _decided(incidents: Iterable[LoggedIncident], rule: Rule, at_ms: int) -> LastDecision:
    """The decision that held before (<) then."""
    steps: list[tuple[int, LoggedIncident, Revision | None]] = []
    for one in incidents:
        assert one.decided_ms is not None
        steps.append((one.decided_ms, one, None))
        steps += [(revision.at_ms, one, revision) for revision in one.revisions if revision.at_ms < at_ms]
    state = RuleState()
    known = True
    for then_ms, one, revision in sorted(steps, key=lambda step: step[0]):
        if revision is not None:
            state = _revised(state, one.incident_id, revision)
            continue
        extent = one.extent_at(then_ms)
        given = _given(one, rule, extent, one.raised_ms)
        if one.has_ended_before(then_ms + 1):
            state = close(state, now_ms=then_ms, ended=given)
        else:
            state = close(replace(state, incident=given), now_ms=then_ms)
        known = extent.nearest is not None
    assert state.decided is not None
    return state.decided if known else replace(state.decided, nearest=None)


def _revised(state: RuleState, incident_id: str, revision: Revision) -> RuleState:
    """The state after a revision, as `worker.queue.revisions` makes it."""
    if revision.outcome == Outcome.HARMLESS:
        return state
    return end_silence(state, incident_id, now_ms=revision.at_ms)


def _given(incident: LoggedIncident, rule: Rule, extent: Extent, at_ms: int) -> Incident:
    return Incident(
        incident_id=incident.incident_id,
        generation=incident.generation,
        rule=rule.name,
        purpose=incident.purpose,
        finding=Finding(
            hits=1,
            severity=extent.severity,
            captured_first_ms=incident.captured_first_ms,
            captured_last_ms=incident.captured_last_ms,
            principles=(5,),
            matches=matches_of(extent.nearest or ()),
        ),
        raised_ms=incident.raised_ms,
        published_ms=at_ms,
        cooldown_ms=round(rule.cooldown_seconds * 1000),
    )
