"""Trouble that lasts: begin, each ten minutes, end; and no flood, whoever names it."""

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
    """What an operator reads who has debug switched off; and forgets it."""
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    caplog.clear()
    return lines


def test_trouble_is_logged_when_it_begins_each_ten_minutes_and_when_it_ends(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An hour without Redis would be 3,600 lines a process; or one, and nobody knows whether it is over."""
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


def test_what_comes_and_goes_is_not_logged_each_time(
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


def test_what_was_not_met_for_long_begins_anew(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of what nothing says that it went well, a second failure next week would be said to have lasted a week."""
    troubles.met("fetch", "failed")
    clock.now += 7 * 24 * 3600
    troubles.met("fetch", "failed")
    assert warned(caplog) == ["failed", "failed"]


def test_hostile_names_cost_neither_memory_nor_lines(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten thousand streams that fail at once, or that a platform makes up, would fill both."""
    for number in range(2 * MOST_NAMES):
        troubles.met(f"cam-{number}", "stream %s: no", f"cam-{number}")
    assert len(warned(caplog)) == BEGINNINGS_A_MINUTE
    assert len(troubles._memory) == MOST_NAMES
    clock.now += 61
    for number in range(10):  # one may be taken for another, of which there is no room to remember the name
        troubles.met(f"one more {number}", "no")
    first, *others = warned(caplog)
    began, _, rest = first.removeprefix("no (").partition(" ")
    assert rest == "more that began are left out)"
    assert 0.9 < int(began) / (2 * MOST_NAMES) <= 1
    assert set(others) == {"no"}


def test_a_forked_process_has_no_failures_of_its_parent(troubles: FailureLog, caplog: pytest.LogCaptureFixture) -> None:
    """It would log the end of something that it never met, or wait for a lock for ever."""
    troubles.met("redis", "away")
    pid = os.fork()
    if not pid:
        troubles.met("redis", "away")
        begins = [
            record for record in caplog.records if record.getMessage() == "away" and record.levelname == "WARNING"
        ]
        os._exit(len(begins))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 2


def test_lines_that_trouble_lasts_or_is_over_are_bounded(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """An outage of a thousand streams, each logged at first, would end in a thousand lines at once."""
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


def test_more_names_than_are_remembered_do_not_begin_again_and_again(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A cluster of five thousand streams whose CDN is down would log beginnings for as long as it is, 60 a minute."""
    names = [f"cam-{number}" for number in range(MOST_NAMES + 1_000)]
    lines: list[str] = []
    for minute in range(25):
        for name in names:
            troubles.met(name, "stream %s: no", name)
        if minute == 1:
            warned(caplog)  # who began, as far as there is room for lines
        if minute > 1:
            lines += warned(caplog)
        clock.now += 60
    beyond = [line for line in lines if "more that fail" in line]
    assert len(beyond) == 2
    counts = [int(line.partition("about ")[2].partition(" ")[0]) for line in beyond]
    assert all(abs(count - 1_000) < 50 for count in counts)
    assert not [line for line in lines if "(for " not in line and line not in beyond]
    assert len(troubles._memory) == MOST_NAMES


def test_what_is_over_makes_room(troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    """After an outage of everything new trouble would go unnamed."""
    for number in range(MOST_NAMES):
        troubles.met(f"cam-{number}", "no")
    for number in range(10):
        troubles.over(f"cam-{number}", "again")
    clock.now += 61
    warned(caplog)
    troubles.met("one more", "no more")
    troubles.over("one more", "again")
    assert [line.partition(" (")[0] for line in warned(caplog)] == ["no more", "again"]


def test_what_made_room_is_no_news_when_it_comes_again(
    troubles: FailureLog, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Streams that come and go by the thousand would begin and end each time, since none is remembered."""
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
