"""Periods of reports."""

from datetime import UTC, date, datetime

import pytest

from worker.errors import InsightError
from worker.insight.period import Period, day_of, spans


def test_both_days_belong_to_a_period() -> None:
    """The last day of a quarter would be missing from its report."""
    period = Period.parse("2026-10-01", "2026-12-31")
    assert period.length == len(list(period.days())) == 92
    last = datetime(2026, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
    last_ms = round(last.timestamp() * 1000)
    assert period.contains(last_ms)
    assert not period.contains(last_ms + 1)
    assert period.contains(period.since_ms)
    assert not period.contains(period.since_ms - 1)
    assert (day_of(period.since_ms), day_of(last_ms)) == (period.first, period.last)


@pytest.mark.parametrize(
    ("first", "last", "why"),
    [
        ("2026-02-30", "2026-03-01", "--from: '2026-02-30': expected a date"),
        ("2026-01-01", "soon", "--to: 'soon': expected a date"),
        ("2026-01-02", "2026-01-01", "expected a day not before --from"),
        ("2025-01-01", "2026-12-31", "expected at most 400"),
    ],
)
def test_malformed_periods_are_refused(first: str, last: str, why: str) -> None:
    """A typo would give a report on nothing."""
    with pytest.raises(InsightError, match=why):
        Period.parse(first, last)


def test_days_are_named_as_spans() -> None:
    """A year without data would be 365 dates in one line."""
    days = [date(2026, 1, 31), date(2026, 2, 1), date(2026, 2, 2), date(2026, 2, 9)]
    assert spans(days) == "2026-01-31 to 2026-02-02, 2026-02-09"
