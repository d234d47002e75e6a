"""Sections from daily totals: they agree with `livewarden statistics`."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.ingest.coverage.ledger import KINDS
from worker.ingest.coverage.totals import COUNTED, DayTotals
from worker.insight.sections import ReportSection, Value
from worker.insight.totals_sections import coverage_section, decisions_section, escalations_section

NAMES = st.sampled_from(["known", "nude", "hash-flood"])
SEVERITIES = st.sampled_from(["critical", "high", "review"])
OUTCOMES = st.sampled_from(["harmless", "csea_apparent"])
LABELS = {"rule": NAMES, "list": NAMES, "severity": SEVERITIES, "outcome": OUTCOMES, "previous_outcome": OUTCOMES}
MS = st.integers(0, 10**9)
FIELDS = st.one_of(
    st.just("streams"),
    st.sampled_from(["ms elapsed", "ms moderated", "ms unhashable"]),
    st.tuples(st.sampled_from(KINDS), st.sampled_from(["stalled", "http_404", "overload"])).map(
        lambda parts: f"ms {parts[0]}: {parts[1]}"
    ),
    *(
        st.tuples(*(LABELS[label] for label in labels)).map(lambda parts, what=what: " ".join([what, *parts]))
        for what, labels in COUNTED.items()
    ),
)
DAYS = st.lists(st.dictionaries(FIELDS, MS, max_size=20), max_size=5).map(
    lambda found: [
        DayTotals.of(date(2026, 11, 1) + timedelta(days=number), "live", fields) for number, fields in enumerate(found)
    ]
)


def records(section: ReportSection, name: str) -> list[dict[str, Value]]:
    (found,) = (table.records() for table in section.tables if table.name == name)
    return found


def summed(rows: list[dict[str, Value]], name: str) -> float:
    return sum(float(row[name] or 0) for row in rows)


@given(DAYS)
def test_times_agree_with_statistics(days: list[DayTotals]) -> None:
    """A regulator would find other hours in the report than in the statistics it was made from."""
    shown = [day.to_data() for day in days]
    section = coverage_section(days)
    (total,) = records(section, "coverage_total")
    by_day, reasons = records(section, "coverage_days"), records(section, "coverage_reasons")
    assert total["stream_days"] == sum(day["streams"] for day in shown) == summed(by_day, "streams")
    for name in ("elapsed_seconds", "moderated_seconds", *(f"{kind}_seconds" for kind in KINDS)):
        expected = sum(day[name] for day in shown)
        assert total[name] == pytest.approx(expected, abs=1e-3)
        assert summed(by_day, name) == pytest.approx(expected, abs=1e-3)
    for kind in KINDS:
        of_kind = [row for row in reasons if row["kind"] == kind]
        assert summed(of_kind, "seconds") == pytest.approx(float(total[f"{kind}_seconds"] or 0), abs=1e-3)
    parts = ("moderated_seconds", "skipped_seconds", "failed_seconds", "missed_seconds", "unsettled_seconds")
    assert sum(float(total[part] or 0) for part in parts) == pytest.approx(
        float(total["elapsed_seconds"] or 0), abs=1e-3
    )


@given(DAYS)
def test_counts_agree_with_statistics(days: list[DayTotals]) -> None:
    """An escalation or a decision would be lost, or be counted twice, between statistics and report."""
    shown = [day.to_data() for day in days]
    tables = {
        table.name: table.records()
        for section in (escalations_section(days), decisions_section(days))
        for table in section.tables
    }
    assert set(tables) == {what.replace("-", "_") for what in COUNTED}
    for name, rows in tables.items():
        assert summed(rows, "count") == sum(row["count"] for day in shown for row in day[name])
        labels = [tuple(value for key, value in row.items() if key != "count") for row in rows]
        assert len(labels) == len(set(labels))


def test_counts_beyond_the_kept_names_stay_in_the_sum() -> None:
    """A day on which thousands of lists matched would look quieter than it was."""
    day = DayTotals.of(date(2026, 11, 1), "live", {"raised known critical": 2, "raised (more)": 5})
    (table, _) = escalations_section([day]).tables
    assert table.rows == (("(more)", "(more)", 5), ("known", "critical", 2))


def test_a_period_without_a_stream_has_no_share() -> None:
    """Nothing watched would be shown as nothing moderated."""
    (total,) = records(coverage_section([]), "coverage_total")
    assert (total["elapsed_seconds"], total["moderated_share"]) == (0, None)
