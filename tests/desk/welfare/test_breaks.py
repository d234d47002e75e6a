"""Breaks and exposure: figures for oneself, that lock nobody out. SQLite and PostgreSQL are both tried."""

from concurrent.futures import ThreadPoolExecutor

from desk_databases import emptied_postgresql as emptied_postgresql  # a fixture
from desk_databases import url as url  # a fixture: each kind of database
from desk_server import HostClock
from sqlalchemy import text

from desk.database.connection import DeskDatabase, open_database
from desk.welfare.breaks import AWAY_MS, BreakRule, WorkSpan, next_break
from desk.welfare.clear_grants import ClearGrants
from desk.welfare.exposure import ExposureLog, TodaysExposure

MINUTE = 60_000
RULE = BreakRule(after_minutes=50, rest_minutes=10)
REF, OTHER = "a" * 32, "b" * 32


def test_a_break_comes_after_work_without_a_rest() -> None:
    """The bar would say that a break is due to somebody who comes back from one, or never."""
    span = WorkSpan(began_ms=0, seen_ms=0)
    for minute in range(1, 50):
        span = span.going_on(minute * MINUTE, 10 * MINUTE)
    due = next_break(RULE, span, 49 * MINUTE)
    assert due is not None
    assert (due.minutes, due.is_due) == (1, False)
    span = span.going_on(52 * MINUTE, 10 * MINUTE)
    due = next_break(RULE, span, 52 * MINUTE)
    assert due is not None
    assert due.is_due
    rested = span.going_on(62 * MINUTE, 10 * MINUTE)
    assert rested.began_ms == 62 * MINUTE
    assert next_break(BreakRule(after_minutes=0, rest_minutes=10), rested, 62 * MINUTE) is None


def test_a_clock_that_goes_back_begins_anew() -> None:
    """Nobody would have a break until the clock has caught up."""
    span = WorkSpan(began_ms=100 * MINUTE, seen_ms=100 * MINUTE).going_on(MINUTE, 10 * MINUTE)
    assert span == WorkSpan(began_ms=MINUTE, seen_ms=MINUTE)
    assert span.worked_ms(0) == 0
    assert span.worked_ms(MINUTE + AWAY_MS + 1) == 0


def test_exposure_is_each_person_s_own_and_gone_the_next_day(url: str) -> None:
    """Figures by person would be there for somebody to rank people by."""
    database, clock = open_database(url), HostClock()
    log = ExposureLog(database, RULE, now_ms=clock)
    log.be_present("Kim")
    for _ in range(2):
        log.saw_reduced("kim", REF)
    log.saw_reduced("kim", OTHER)
    log.saw_clear("KIM ")
    clock.pass_seconds(5)
    assert log.today("kim").clear_seconds == 5
    log.saw_clear("kim")  # 20 s more, while the first is shown
    clock.pass_seconds(30)
    seen = log.today("kim")
    assert (seen.clear_views, seen.clear_seconds, seen.reduced_views) == (2, 25, 2)
    assert log.today("lea") == TodaysExposure()
    log.be_present("kim")
    assert log.today("kim").desk_seconds == 35
    clock.pass_seconds(86_401)
    assert log.today("kim") == TodaysExposure()
    log.be_present("lea")
    with database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT account FROM exposure").all()
    assert [row[0] for row in rows] == ["lea"]
    database.close()


def test_a_view_that_is_hidden_early_counts_for_less(url: str) -> None:
    """Somebody who hides a picture at once would be shown the figure of somebody who did not."""
    database, clock = open_database(url), HostClock()
    log = ExposureLog(database, RULE, now_ms=clock)
    log.saw_clear("kim")
    clock.pass_seconds(3)
    log.hid("kim")
    log.hid("kim")
    clock.pass_seconds(60)
    assert log.today("kim").clear_seconds == 3
    database.close()


def test_views_at_the_same_time_all_count(url: str) -> None:
    """Two windows of one person would count as one, or be an error."""
    database, clock = open_database(url), HostClock()
    log = ExposureLog(database, RULE, now_ms=clock)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: log.saw_clear("kim"), range(8)))
    assert log.today("kim").clear_views == 8
    database.close()


def test_what_cannot_be_written_goes_uncounted(url: str) -> None:
    """A picture that is on record as shown would not be shown, and a report say that its viewer saw it."""
    database, other = open_database(url, busy_seconds=0.3), open_database(url)
    log = ExposureLog(database, RULE, now_ms=HostClock())
    with other.begin() as session:
        lock = {"postgresql": "LOCK TABLE exposure", "sqlite": "SELECT 1"}  # each of SQLite's transactions locks all
        session.execute(text(lock[other.engine.dialect.name]))
        assert log.be_present("kim") is None
        log.saw_clear("kim")
        log.saw_reduced("kim", REF)
        log.hid("kim")
    assert log.today("kim") == TodaysExposure()
    log.saw_clear("kim")
    assert log.today("kim").clear_views == 1
    for one in (database, other):
        one.close()


def test_a_grant_is_taken_once(url: str) -> None:
    """Two requests with one address would both be shown the picture, and one view be on record."""
    database, clock = open_database(url), HostClock()
    grants = ClearGrants(database, now_ms=clock)
    ticket = grants.grant("kim", REF, "why")
    assert grants.is_good("Kim", REF, ticket)
    assert not grants.is_good("lea", REF, ticket)
    assert grants.redeem("lea", REF, ticket) is None
    assert grants.redeem("kim", OTHER, ticket) is None
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(lambda _: grants.redeem("kim", REF, ticket), range(8)))
    assert sorted(one or "" for one in taken) == [""] * 7 + ["why"]
    assert not grants.is_good("kim", REF, ticket)
    assert grants.redeem("kim", REF, "x" * 10_000) is None
    database.close()


def test_a_restart_loses_no_exposure(database: DeskDatabase) -> None:
    """A desk that is restarted would begin everybody's figures and breaks anew."""
    clock = HostClock()
    ExposureLog(database, RULE, now_ms=clock).saw_clear("kim")
    clock.pass_seconds(20)
    assert ExposureLog(database, RULE, now_ms=clock).today("kim").clear_seconds == 20
