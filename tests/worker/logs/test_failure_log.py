"""Log lines of lasting failures: at the beginning, every ten minutes, and at the end; bounded for hostile names."""

import logging
import os

import pytest

from worker.logs.failure_log import BEGINNINGS_A_MINUTE, FailureLog
from worker.logs.failure_memory import MOST_NAMES, MOST_RUNS, REPEAT_SECONDS


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def troubles(clock: Clock) -> FailureLog:
    return FailureLog(logging.getLogger("of a test"), clock=clock)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Log messages at info and above since the last call."""
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    caplog.clear()
    return lines


def test_a_failure_is_logged_when_it_begins_every_ten_minutes_and_when_it_ends(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour without Redis would be 3,600 lines a process; or one, without a line when it is over."""
    for _ in range(1_500):
        troubles.met("redis", "not read: %s", "away")
        clock.now += 1
    troubles.over("redis", "read again")
    troubles.over("redis", "read again")
    assert warned(caplog) == [
        "not read: away",
        "not read: away (for 600 s, 601 times)",
        "not read: away (for 1200 s, 1201 times)",
        "read again (after 1500 s, 1500 times)",
    ]


def test_an_intermittent_failure_is_not_logged_each_time(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that fails every other second would fill the log with beginnings and ends."""
    for _ in range(int(REPEAT_SECONDS / 2)):
        troubles.met("model", "failed")
        clock.now += 1
        troubles.over("model", "works again")
        clock.now += 1
    assert len(warned(caplog)) <= 2 * MOST_RUNS + 2
    clock.now += REPEAT_SECONDS
    troubles.met("model", "failed")
    assert warned(caplog) == ["failed"]  # it is news again


def test_a_failure_after_a_long_pause_begins_anew(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Without reports of success, a second failure next week would be logged as having lasted a week."""
    troubles.met("fetch", "failed")
    clock.now += 7 * 24 * 3600
    troubles.met("fetch", "failed")
    assert warned(caplog) == ["failed", "failed"]


def test_hostile_names_cost_neither_memory_nor_lines(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten thousand failing or made-up stream names would fill memory and log."""
    for number in range(2 * MOST_NAMES):
        troubles.met(f"cam-{number}", "stream %s: no", f"cam-{number}")
    assert len(warned(caplog)) == BEGINNINGS_A_MINUTE
    assert len(troubles._memory) == MOST_NAMES
    clock.now += 61
    for number in range(10):  # some may be confused with another whose name there was no room to remember
        troubles.met(f"one more {number}", "no")
    first, *others = warned(caplog)
    began, _, rest = first.removeprefix("no (").partition(" ")
    assert rest == "more that began are left out)"
    assert 0.9 < int(began) / (2 * MOST_NAMES) <= 1
    assert set(others) == {"no"}


def test_a_forked_process_does_not_inherit_failures(troubles: FailureLog, caplog: pytest.LogCaptureFixture) -> None:
    """It would log the end of a failure that it never had, or wait for a lock for ever."""
    troubles.met("redis", "away")
    pid = os.fork()
    if not pid:
        troubles.met("redis", "away")
        begins = [
            record for record in caplog.records if record.getMessage() == "away" and record.levelname == "WARNING"
        ]
        os._exit(len(begins))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


def test_lines_about_lasting_and_ended_failures_are_bounded(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of a thousand streams would end in a thousand lines."""
    for number in range(180):
        troubles.met(f"cam-{number}", "no")
        clock.now += 1
    warned(caplog)
    for number in range(180):
        troubles.over(f"cam-{number}", "again")
    assert len(warned(caplog)) == 60
    clock.now += 61
    troubles.met("one more", "no")
    troubles.over("one more", "again")
    assert warned(caplog) == ["no", "again (120 more lines are left out) (after 0 s, once)"]


def test_more_names_than_are_remembered_do_not_begin_repeatedly(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A CDN outage of five thousand streams would log 60 beginnings a minute for as long as it lasts."""
    names = [f"cam-{number}" for number in range(MOST_NAMES + 1_000)]
    lines: list[str] = []
    for minute in range(25):
        for name in names:
            troubles.met(name, "stream %s: no", name)
        if minute == 1:
            warned(caplog)  # beginnings, as far as there is room for lines
        if minute > 1:
            lines += warned(caplog)
        clock.now += 60
    beyond = [line for line in lines if "more that fail" in line]
    assert len(beyond) == 2
    counts = [int(line.partition("about ")[2].partition(" ")[0]) for line in beyond]
    assert all(abs(count - 1_000) < 50 for count in counts)
    assert not [line for line in lines if "(for " not in line and line not in beyond]
    assert len(troubles._memory) == MOST_NAMES


def test_ended_failures_make_room(troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After an outage of everything, new failures would be logged without their names."""
    for number in range(MOST_NAMES):
        troubles.met(f"cam-{number}", "no")
    for number in range(10):
        troubles.over(f"cam-{number}", "again")
    clock.now += 61
    warned(caplog)
    troubles.met("one more", "no more")
    troubles.over("one more", "again")
    assert [line.partition(" (")[0] for line in warned(caplog)] == ["no more", "again"]


def test_a_failure_that_made_room_is_not_new_when_it_returns(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Thousands of streams that fail intermittently would log beginnings and ends each time."""
    for _ in range(5):
        for number in range(2 * MOST_NAMES):
            troubles.met(f"cam-{number}", "no")
            troubles.over(f"cam-{number}", "again")
        clock.now += 70
    warned(caplog)
    for _ in range(2):
        clock.now += 70
        for number in range(2 * MOST_NAMES):
            troubles.met(f"cam-{number}", "no")
            troubles.over(f"cam-{number}", "again")
    assert len(warned(caplog)) < 20
