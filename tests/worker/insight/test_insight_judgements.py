"""Sections from decided incidents."""

from datetime import date
from typing import Any

import pytest

from config.facts import Severity
from worker.insight.decided import DecidedIncident
from worker.insight.judgements import MOST_CONDITIONS, Judgements
from worker.insight.sections import ReportSection
from worker.queue.outcomes import Outcome

NOON = 1_795_780_800_000  # 2026-11-27T12:00Z


def decided(outcome: Outcome = Outcome.HARMLESS, **fields: Any) -> DecidedIncident:
    known: dict[str, Any] = {
        "rule": "known",
        "severity": Severity.CRITICAL,
        "threshold": "distance on known <= 31",
        "raised_ms": NOON,
        "taken_ms": NOON + 10_000,
        "decided_ms": NOON + 60_000,
    }
    return DecidedIncident(outcome=outcome, **(known | fields))


def rows(section: ReportSection) -> list[dict[str, Any]]:
    (table,) = section.tables
    return table.records()


def test_share_confirmed_is_by_rule_and_threshold() -> None:
    """A rule whose threshold was lowered would hide behind its earlier precision."""
    found = Judgements()
    for outcome in (Outcome.CSEA_APPARENT, Outcome.CHILD_AT_RISK, Outcome.ADULT_TOS, Outcome.CANNOT_JUDGE):
        found.add(decided(outcome))
    found.add(decided(threshold="distance on known <= 20"))
    wide, narrow = rows(found.accuracy_section())
    assert (wide["decided"], wide["judged"], wide["confirmed"], wide["upheld"]) == (4, 3, 2, 3)
    assert (wide["confirmed_share"], wide["upheld_share"]) == (pytest.approx(2 / 3), 1.0)
    assert 0 < wide["confirmed_low"] < 2 / 3 < wide["confirmed_high"] < 1
    assert (narrow["threshold"], narrow["confirmed_share"]) == ("distance on known <= 20", 0.0)


def test_what_nobody_could_judge_has_no_share() -> None:
    """A picture too dark to judge would count as a false alarm."""
    found = Judgements()
    found.add(decided(Outcome.CANNOT_JUDGE))
    (row,) = rows(found.accuracy_section())
    assert (row["judged"], row["confirmed_share"], row["confirmed_low"]) == (0, None, None)


def test_conditions_are_bounded_and_none_is_lost() -> None:
    """Rules that a program writes anew every hour would fill the memory, or drop out of the sum."""
    found = Judgements()
    for number in range(MOST_CONDITIONS + 7):
        found.add(decided(rule=f"rule-{number}"))
    shown = rows(found.accuracy_section())
    assert len(shown) == MOST_CONDITIONS + 1
    assert sum(row["decided"] for row in shown) == MOST_CONDITIONS + 7 == found.total


def test_times_are_by_severity() -> None:
    """Slow reviews would hide behind quick critical ones, and the other way round."""
    found = Judgements()
    found.add(decided())
    found.add(decided(severity=Severity.REVIEW, taken_ms=None, decided_ms=NOON + 3_600_000))
    every, critical, review = rows(found.times_section())
    assert [row["severity"] for row in (every, critical, review)] == ["all", "critical", "review"]
    assert (every["taken"], every["decided"]) == (1, 2)
    assert critical["taken_median_seconds"] == pytest.approx(10, rel=0.02)
    assert critical["decided_p95_seconds"] == pytest.approx(60, rel=0.02)
    assert (review["taken"], review["taken_median_seconds"]) == (0, None)
    assert review["decided_median_seconds"] == pytest.approx(3_600, rel=0.02)
    assert found.by_day[date(2026, 11, 27)].n == 2


def test_a_median_has_its_95th_percentile_beside_it() -> None:
    """A third of the incidents could wait for an hour, and a target for the time of review be shown as met."""
    found = Judgements()
    for seconds in (60,) * 6 + (3_600,) * 3:
        found.add(decided(taken_ms=NOON + seconds * 500, decided_ms=NOON + seconds * 1_000))
    (every, _) = rows(found.times_section())
    for kind, median in (("taken", 30), ("decided", 60)):
        assert every[f"{kind}_median_seconds"] == pytest.approx(median, rel=0.02)
        assert every[f"{kind}_p95_seconds"] == pytest.approx(median * 60, rel=0.02)


def test_agreement_counts_incidents_with_two_judges_alone() -> None:
    """Single decisions, or revisions, would pass for agreement of two people."""
    found = Judgements()
    found.add(decided())
    for pair in ((Outcome.HARMLESS, Outcome.HARMLESS), (Outcome.HARMLESS, Outcome.CSEA_APPARENT)):
        found.add(decided(judged=pair))
    (row,) = rows(found.agreement_section())
    assert (row["n"], row["agreed"], row["agreed_share"], row["kappa"]) == (2, 1, 0.5, 0.0)
