"""Limits of a report: each is said where it holds, and not where it does not."""

from datetime import UTC, date, datetime, timedelta

import pytest

from worker.health.redis_epoch import Epoch
from worker.ingest.coverage.totals import DayTotals
from worker.insight.actions import ActionCounts
from worker.insight.limits import OpenWork, limits_of_actions, limits_of_days, limits_of_loss, limits_of_now
from worker.insight.period import Period

TODAY = date(2026, 11, 27)
NOW = round(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp() * 1000)


def days_ago(first: int, last: int) -> Period:
    return Period(first=TODAY - timedelta(days=first), last=TODAY - timedelta(days=last))


def totals(period: Period, **fields: int) -> list[DayTotals]:
    named = {name.replace("_", " "): number for name, number in fields.items()}
    return [DayTotals.of(day, "live", {"streams": 1} | named) for day in period.days()]


def test_whole_past_days_have_no_limit() -> None:
    """A reader would learn to skip warnings that are always there."""
    period = days_ago(9, 3)
    days = totals(period, ms_elapsed=4_000, ms_moderated=4_000)
    assert list(limits_of_days(period, days, NOW)) == []
    assert list(limits_of_now(period, OpenWork(streams=5, segments=2, missing=1), NOW)) == []
    assert list(limits_of_actions(period, days, ActionCounts(), NOW)) == []
    assert list(limits_of_loss(period, None)) == []


def test_unsettled_time_is_said_with_its_sign() -> None:
    """Hours that were never moderated would vanish between the columns, or moderated ones appear from nowhere."""
    period = days_ago(3, 3)
    (late,) = limits_of_days(period, totals(period, ms_elapsed=9_000, ms_moderated=4_000), NOW)
    assert (late.code, late.text[:8]) == ("time_unsettled", "5.0 s of")
    (early,) = limits_of_days(period, totals(period, ms_elapsed=4_000, ms_moderated=9_000), NOW)
    assert early.text.startswith("-5.0 s of")


@pytest.mark.parametrize(("begun", "lost", "said"), [(0, "a", True), (0, "", False), (400, "a", False)])
def test_a_loss_is_said_if_it_may_concern_the_period(begun: int, lost: str, said: bool) -> None:
    """A loss of last year would be in every report, or one of last week in none."""
    epoch = Epoch(id="b", begun_ms=NOW - begun * 86_400_000, alive_ms=NOW, lost=lost)
    assert bool(list(limits_of_loss(days_ago(30, 1), epoch))) is said


def test_interruptions_beyond_the_stream_s_life_are_said() -> None:
    """A quarter's report would give the interruptions of its last month as all of them."""
    period = days_ago(31, 20)
    (limit,) = limits_of_actions(period, [], ActionCounts(), NOW)
    assert (limit.code, limit.text[:14]) == ("events_dropped", "lw:decisions h")
    assert list(limits_of_actions(days_ago(29, 20), [], ActionCounts(), NOW)) == []


def test_gaps_of_the_audit_log_are_said() -> None:
    """Reports to authorities would be missing without a word."""
    counts = ActionCounts(unopened=2, unread="store: it is away")
    unread, unopened = limits_of_actions(days_ago(2, 1), [], counts, NOW)
    assert (unread.code, unopened.code) == ("audit_unread", "audit_unopened")
    assert "it is away" in unread.text
    assert unopened.text.startswith("2 segments of the audit log")


def test_names_beyond_the_kept_ones_are_said() -> None:
    """A rule would look silent that was counted without its name."""
    period = days_ago(3, 3)
    (day,) = (DayTotals.of(day, "live", {"raised (more)": 7}) for day in period.days())
    assert [limit.code for limit in limits_of_days(period, [day], NOW)] == ["names_lumped"]
