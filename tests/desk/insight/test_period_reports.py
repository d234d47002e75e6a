"""Reports on periods beside the pages: one at a time, kept for a minute."""

import threading
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from datetime import date

import pytest
from hls_origin import eventually

from desk.errors import BusyError, PendingReportError
from desk.insight.period_reports import KEPT_SECONDS, MOST_KEPT, MOST_MAKING, MOST_WAITING, PeriodReports
from worker.errors import StoreError
from worker.insight.period import Period
from worker.insight.summary import PeriodReport


class _Seconds:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class _Maker:
    """Makes empty reports, once a test lets it, and notes how many are made at the same time."""

    def __init__(self) -> None:
        self.may = threading.Event()
        self.may.set()
        self.made: list[tuple[Period, str]] = []
        self.failure: Exception | None = None
        self.at_once = self.most_at_once = 0

    def __call__(self, period: Period, purpose: str) -> PeriodReport:
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.may.wait(60)
        self.made.append((period, purpose))
        self.at_once -= 1
        if self.failure is not None:
            raise self.failure
        return PeriodReport(period=period, purpose=purpose, generated="", limits=(), sections=(), days=(), times={})


def days(number: int) -> Period:
    return Period(first=date(2026, 1, 1), last=date(2026, 1, 1 + number))


def test_a_report_is_kept_for_a_minute() -> None:
    """Each plot and download of a page would read all records again; or a page show yesterday's backlog."""
    clock = _Seconds()
    reports = PeriodReports(_Maker(), clock=clock)
    first = reports.report(days(0), "live")
    clock.now = KEPT_SECONDS - 0.1
    assert reports.report(days(0), "live") is first
    assert reports.report(days(0), "drill") is not first
    clock.now = KEPT_SECONDS
    assert reports.report(days(0), "live") is not first


def test_only_some_are_kept() -> None:
    """Somebody who walks through all periods would fill the desk's memory."""
    reports = PeriodReports(_Maker(), clock=_Seconds())
    first = reports.report(days(0), "live")
    for number in range(1, MOST_KEPT + 1):
        reports.report(days(number), "live")
    assert reports.report(days(MOST_KEPT), "live") is reports.report(days(MOST_KEPT), "live")
    assert reports.report(days(0), "live") is not first


def test_a_heavy_one_blocks_nobody_and_is_there_later() -> None:
    """A report on a year would hold every page until it is made, or never be seen."""
    maker = _Maker()
    maker.may.clear()
    reports = PeriodReports(maker, wait_seconds=0.01)
    for number in [*range(MOST_MAKING), 0]:
        with pytest.raises(PendingReportError):
            reports.report(days(number), "live")
    with pytest.raises(BusyError):
        reports.report(days(MOST_MAKING), "live")
    maker.may.set()
    eventually(lambda: len(maker.made) == MOST_MAKING, within_seconds=60, what=lambda: str(maker.made))
    for number in range(MOST_MAKING):
        assert PeriodReports.report(reports, days(number), "live").period == days(number)
    assert (len(maker.made), maker.most_at_once) == (MOST_MAKING, 1)


def test_few_pages_wait_for_a_report() -> None:
    """An auditor who loads a heavy period in forty tabs would hold every thread, and with them the queue."""
    maker = _Maker()
    maker.may.clear()
    reports = PeriodReports(maker, wait_seconds=30)
    with ThreadPoolExecutor(MOST_WAITING + 1) as pages:
        asked = {pages.submit(reports.report, days(0), "live") for _ in range(MOST_WAITING + 1)}
        (refused,), waiting = wait(asked, 20, return_when=FIRST_COMPLETED)
        assert isinstance(refused.exception(), PendingReportError)
        maker.may.set()
        assert {one.result(30).period for one in waiting} == {days(0)}
    assert reports.report(days(0), "live").period == days(0)


def test_a_failure_is_said_and_not_kept() -> None:
    """One moment without Redis would be a minute without insight."""
    maker = _Maker()
    maker.failure = StoreError("Redis is away")
    reports = PeriodReports(maker)
    with pytest.raises(StoreError):
        reports.report(days(0), "live")
    maker.failure = None
    assert reports.report(days(0), "live").period == days(0)
