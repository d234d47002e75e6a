"""Periods that a person chooses, and tables as a page draws them."""

from datetime import date

import pytest

from desk.insight.drawn_tables import MOST_OPEN, drawn
from desk.insight.periods import NAMED, named_period
from worker.insight.period import Period
from worker.insight.sections import count, share, table, text


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [
        ("week", date(2026, 2, 24), date(2026, 3, 2)),
        ("yesterday", date(2026, 3, 1), date(2026, 3, 1)),
        ("month_back", date(2026, 2, 3), date(2026, 3, 2)),
        ("last_month", date(2026, 2, 1), date(2026, 2, 28)),
    ],
)
def test_periods_have_names(name: str, first: date, last: date) -> None:
    """A report on last month would lack its last day, or have one of this month."""
    assert named_period(name, date(2026, 3, 2)) == Period(first=first, last=last)
    assert named_period("last_month", date(2026, 1, 31)) == Period(first=date(2025, 12, 1), last=date(2025, 12, 31))
    assert named_period("other", first) is None
    assert name in NAMED


def test_an_interval_is_drawn_and_an_unknown_share_is_not() -> None:
    """A rule of which nobody judged anything would be drawn as one that is never right."""
    columns = (text("rule"), count("judged"), share("confirmed_share"), share("confirmed_low"), share("confirmed_high"))
    found = drawn(table("confirmed", "By rule", columns, [("a", 6, 5 / 6, 0.4365, 0.9699), ("b", 0, None, None, None)]))
    assert found.drawn == "interval"
    assert [row.interval for row in found.rows] == [(83.3, 43.6, 97.0), None]
    assert found.rows[1].cells == ("b", "0", "–", "–", "–")
    assert found.numeric == (False, True, True, True, True)


def test_bars_are_of_the_longest_and_long_tables_are_folded() -> None:
    """One reason would be drawn longer than the page; or 400 days push everything else away."""
    rows = [(f"rule-{number}", number) for number in range(MOST_OPEN + 1)]
    found = drawn(table("raised", "By rule", (text("rule"), count("count")), rows))
    assert (found.rows[0].bar, found.rows[-1].bar, found.folded) == (0.0, 100.0, True)
    assert drawn(table("raised", "By rule", (text("rule"), count("count")), [("a", 0)])).rows[0].bar is None
    assert drawn(table("other", "Other", (text("rule"), count("count")), rows[:2])).drawn == ""
