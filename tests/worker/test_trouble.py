"""Trouble that lasts: begin, each ten minutes, end; and no flood, whoever names it."""

import logging
import os

import pytest

from worker.trouble import BEGINNINGS_A_MINUTE, MOST_NAMES, MOST_TURNS, REPEAT_SECONDS, Troubles


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def troubles(clock: Clock) -> Troubles:
    return Troubles(logging.getLogger("of a test"), clock=clock)


def warned(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What an operator reads who has debug switched off; and forgets it."""
    lines = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    caplog.clear()
    return lines


def test_trouble_is_logged_when_it_begins_each_ten_minutes_and_when_it_ends(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
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
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that fails every other second would fill the log with beginnings and ends."""
    for _ in range(int(REPEAT_SECONDS / 2)):
        troubles.met("model", "failed")
        clock.now += 1
        troubles.over("model", "works again")
        clock.now += 1
    assert len(warned(caplog)) <= 2 * MOST_TURNS + 2
    clock.now += REPEAT_SECONDS
    troubles.met("model", "failed")
    assert warned(caplog) == ["failed"]  # it is news again


def test_what_was_not_met_for_long_begins_anew(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Of what nothing says that it went well, a second failure next week would be said to have lasted a week."""
    troubles.met("fetch", "failed")
    clock.now += 7 * 24 * 3600
    troubles.met("fetch", "failed")
    assert warned(caplog) == ["failed", "failed"]


def test_hostile_names_cost_neither_memory_nor_lines(
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Ten thousand streams that fail at once, or that a platform makes up, would fill both."""
    for number in range(10 * MOST_NAMES):
        troubles.met(f"cam-{number}", "stream %s: no", f"cam-{number}")
    assert len(warned(caplog)) == BEGINNINGS_A_MINUTE
    assert len(troubles._courses) == MOST_NAMES
    clock.now += 61
    troubles.met("one more", "no")
    assert warned(caplog) == [f"no ({10 * MOST_NAMES - BEGINNINGS_A_MINUTE} more that began are left out)"]


def test_a_process_that_is_forked_in_trouble_has_none_yet(troubles: Troubles, caplog: pytest.LogCaptureFixture) -> None:
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
    troubles: Troubles, clock: Clock, caplog: pytest.LogCaptureFixture
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
