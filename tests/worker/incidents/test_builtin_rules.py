"""Livewarden's own rules raise, update and stay silent alike."""

import json
from dataclasses import replace

import pytest

from config.facts import COVERAGE_GAP_RULE, Severity, StreamFacts
from worker.incidents.builtin_rules import Occurrence, advance_rule
from worker.incidents.events import Event
from worker.incidents.incident_end import close
from worker.incidents.rule_state import RuleState
from worker.incidents.segment_context import SegmentContext, Versions
from worker.ingest.poll.stream_gaps import Gap

NOW_MS = 1_800_000_000_000
UPDATE_SECONDS = 60.0
CONTEXT = SegmentContext(
    stream=StreamFacts(stream_id="s"),
    generation=1,
    segment_key="gap.1.5",
    deployment="test",
    versions=Versions(policy="1+abc"),
)


def occurrence(at_ms: int, severity: Severity = Severity.REVIEW, *, decided_with_others: bool = True) -> Occurrence:
    return Occurrence(
        rule=COVERAGE_GAP_RULE,
        cause=Gap(since_ms=at_ms, reason="unreachable"),
        severity=severity,
        first_ms=at_ms,
        last_ms=at_ms,
        condition={"after_seconds": 60.0},
        evidence_none="coverage",
        cooldown_ms=300_000,
        decided_with_others=decided_with_others,
    )


def advanced(before: RuleState, occurred: Occurrence, now_ms: int) -> tuple[RuleState, list[Event]]:
    return advance_rule(
        before, occurred, CONTEXT, update_seconds=UPDATE_SECONDS, now_ms=now_ms, case_id=f"case-{'0' * 24}"
    )


@pytest.mark.parametrize(("later_ms", "published"), [(1_000, False), (60_000, True), (-3_600_000, True)])
def test_a_further_occurrence_is_published_at_a_bounded_rate(later_ms: int, published: bool) -> None:
    """A moderator would be flooded; or, after Redis's clock went back an hour, hear nothing more for an hour."""
    raised, _ = advanced(RuleState(), occurrence(NOW_MS), NOW_MS)
    after, events = advanced(raised, occurrence(NOW_MS + later_ms), NOW_MS + later_ms)
    assert bool(events) is published
    assert after.incident is not None
    assert after.incident.finding.hits == 2


def test_a_worse_occurrence_is_published_at_once() -> None:
    """A person would go on deciding on what is worse by now."""
    raised, _ = advanced(RuleState(), occurrence(NOW_MS), NOW_MS)
    _, (event,) = advanced(raised, occurrence(NOW_MS + 1, Severity.CRITICAL), NOW_MS + 1)
    data = json.loads(event.text)["data"]
    assert (data["severity"], data["previous_severity"]) == ("critical", "review")


@pytest.mark.parametrize("decided_with_others", [True, False])
def test_a_decision_silences_only_what_is_decided_with_others(decided_with_others: bool) -> None:
    """A report of danger that nobody has seen would be silenced by the decision on another one."""
    raised, _ = advanced(RuleState(), occurrence(NOW_MS), NOW_MS)
    decided = close(raised, now_ms=NOW_MS + 1)
    next_one = replace(occurrence(NOW_MS + 2), decided_with_others=decided_with_others)
    after, events = advanced(decided, next_one, NOW_MS + 2)
    assert bool(events) is not decided_with_others
    assert (after.incident is None) is decided_with_others
