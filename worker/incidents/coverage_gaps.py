"""Raises an incident of rule `coverage-gap` for a stream that alone cannot be seen for long, from the record of its
polls and segments (`worker.ingest.poll.stream_gaps`): no picture comes that could raise anything.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from redis import Redis

from config.facts import COVERAGE_GAP_RULE, StreamFacts
from config.policy.policy import Policy
from config.policy.rules import CoverageGap
from worker.incidents.earlier_decisions import earlier_decisions
from worker.incidents.event_data import EarlierDecision, gap_condition, no_evidence
from worker.incidents.events import Event, escalation
from worker.incidents.findings import Finding, Incident
from worker.incidents.keys import incidents_key
from worker.incidents.rule_state import RuleState
from worker.incidents.segment_context import SegmentContext, Versions, incident_id
from worker.incidents.store import event_record, incident_record, read_incidents, rounds, states_record
from worker.ingest.poll.stream_gaps import (
    Gap,
    LastingGap,
    alone_among,
    any_lasts,
    blind_gaps,
    lasting_gaps,
    watched_streams,
)
from worker.ingest.registry.registry import stream_key
from worker.ingest.registry.signals import stream_facts
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

COUNTED: Final = redis_keys.GAPS_COUNTED.name
COUNTED_EVERY_MS: Final = 15_000
"""At most so often all streams are counted by origin: in an outage of 10,000 that takes 1.4 s of one process and 0.13 s
of Redis, and as long as it lasts there is always something to count."""

MOST_AT_ONCE: Final = 100
"""Gaps raised by one call; the next call raises more."""

COOLDOWN_MS: Final = 300_000
"""After a decision, gaps that begin until so much later are decided too, as with rules by default."""

PRINCIPLES: Final = (5,)


def raise_coverage_gaps(redis: Redis, *, deployment: str, policy: Policy) -> int:
    """Raises gaps that last too long; returns how many were written.

    Raises:
        StoreError: Redis failed; the next call raises the rest.
    """
    if policy.coverage_gap is None:
        return 0
    with store_errors():
        if not any_lasts(redis, policy.coverage_gap) or not redis.set(COUNTED, 1, nx=True, px=COUNTED_EVERY_MS):
            return 0
        lasting = [*lasting_gaps(redis, policy.coverage_gap), *blind_gaps(redis, policy.coverage_gap)]
        alone = alone_among(lasting, watched_streams(redis)) if lasting else []
    return sum(_raise(redis, one, deployment=deployment, policy=policy) for one in alone[:MOST_AT_ONCE])


def _raise(redis: Redis, lasting: LastingGap, *, deployment: str, policy: Policy) -> bool:
    """Returns whether it was written. A gap that is over, or that another worker has raised meanwhile, is not."""
    rule = policy.coverage_gap
    assert rule is not None
    stream_id = lasting.stream_id
    for _ in rounds():
        with store_errors():
            facts = stream_facts(redis, stream_id, generation=lasting.generation, risk=policy.risk)
            now = now_ms(redis)
            incidents = read_incidents(redis, stream_id, facts.purpose)
        before = incidents.rules.get(COVERAGE_GAP_RULE, RuleState())
        context = _context(facts, lasting, deployment=deployment, policy=policy)
        case = incidents.case_for(context, now_ms=now)
        with_earlier = partial(
            advance_gap,
            before,
            lasting.gap,
            context,
            rule=rule,
            update_seconds=policy.update_seconds,
            now_ms=now,
            case_id=case.case_id,
        )
        after, events = with_earlier()
        if events:
            earlier = earlier_decisions(redis, stream_id, facts.purpose, incidents.rules.values())
            after, events = with_earlier(earlier=earlier)
        case = case.after(raised=int(before.incident is None), now_ms=now)
        states = {} if after == before else states_record({COVERAGE_GAP_RULE: after}, case, facts.purpose)
        answer = run_script_to_disk(
            redis,
            "raise_gap",
            keys=[stream_key(stream_id), incidents_key(stream_id)],
            args=[
                lasting.generation,
                lasting.gap.since_ms,
                incidents.version,
                json.dumps(states),
                json.dumps([] if after.incident is None else [incident_record(stream_id, after.incident)]),
                json.dumps([event_record(event) for event in events]),
                "blind_since_ms" if lasting.blind else "gap_since_ms",
                "blind_raised_ms" if lasting.blind else "gap_raised_ms",
            ],
        )
        if answer != "clash":
            return bool(answer == "written")
    return False


def _context(facts: StreamFacts, lasting: LastingGap, *, deployment: str, policy: Policy) -> SegmentContext:
    return SegmentContext(
        stream=facts,
        generation=lasting.generation,
        segment_key=f"gap.{lasting.generation}.{lasting.gap.since_ms}",
        deployment=deployment,
        versions=Versions(policy=policy.version),
    )


def advance_gap(
    before: RuleState,
    gap: Gap,
    context: SegmentContext,
    *,
    rule: CoverageGap,
    update_seconds: float,
    now_ms: int,
    case_id: str,
    earlier: Sequence[EarlierDecision] = (),
) -> tuple[RuleState, list[Event]]:
    """Advances the rule by a gap that lasts: a new incident, a further gap of the open one, or nothing where a person
    has decided after it began. Pure but for the check of the event's schema.

    Raises:
        SchemaError: the event does not fit its schema.
    """
    publish = partial(
        escalation,
        context,
        now_ms=now_ms,
        condition=gap_condition(rule),
        earlier=earlier,
        evidence=no_evidence("coverage"),
    )
    if before.decided is not None and before.decided.covers(gap.since_ms, rule.severity, ()):
        return before, []
    finding = Finding(
        hits=1, severity=rule.severity, captured_first_ms=gap.since_ms, captured_last_ms=now_ms, principles=PRINCIPLES
    )
    if before.incident is None:
        incident = Incident(
            incident_id=incident_id(context, COVERAGE_GAP_RULE),
            generation=context.generation,
            rule=COVERAGE_GAP_RULE,
            purpose=context.stream.purpose,
            finding=finding,
            raised_ms=now_ms,
            published_ms=now_ms,
            cooldown_ms=COOLDOWN_MS,
            worse_published=True,
            case_id=case_id,
            predecessor=before.predecessor,
            hit_ms=now_ms,
        )
        event = publish(incident, gap, previous_severity=None)
        return replace(before, incident=incident), [event]
    was = before.incident
    incident = replace(was, finding=was.finding.merged(finding), case_id=was.case_id or case_id, hit_ms=now_ms)
    worse = incident.finding.severity is not was.finding.severity
    if not worse and now_ms - was.published_ms < update_seconds * 1000:
        return replace(before, incident=incident), []
    incident = replace(incident, published_ms=now_ms)
    event = publish(incident, gap, previous_severity=was.finding.severity)
    return replace(before, incident=incident), [event]
