"""Periodic steps of workers' threads."""

import logging
from collections.abc import Callable
from threading import Event

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError

from config.errors import SchemaError
from worker.errors import StoreError
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic

_log = logging.getLogger("worker.test")


class Waits(Event):
    """An event that is set after `steps` waits, never blocks, and records how long it should have waited."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self._steps = steps
        self.seconds: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.seconds.append(timeout)
        return len(self.seconds) > self._steps


def repeat(step: Callable[[], float | None], *, steps: int, immediately: bool = False) -> list[float | None]:
    waits = Waits(steps)
    periodic(
        step,
        waits,
        interval_seconds=2.0,
        troubles=FailureLog(_log),
        failing="the thing is not done",
        well_again="the thing is done again",
        rest_seconds=60.0,
        immediately=immediately,
    )
    return waits.seconds


def failing(*errors: Exception | None) -> Callable[[], None]:
    left = list(errors)

    def step() -> None:
        error = left.pop(0)
        if error is not None:
            raise error

    return step


def test_a_step_sets_its_own_pause_and_a_failure_pauses() -> None:
    """Redis would be queried without pause while it is away; or due work would wait for minutes."""
    pauses = iter([0.5, None, 7.0])
    assert repeat(lambda: next(pauses), steps=3) == [2.0, 0.5, 2.0, 7.0]
    assert repeat(failing(StoreError("away"), None), steps=2) == [2.0, 60.0, 2.0]
    assert repeat(failing(None), steps=1, immediately=True) == [0.0, 2.0]


@pytest.mark.parametrize("error", [StoreError("it is away"), RedisConnectionError("it is away"), OSError("it is away")])
def test_an_expected_failure_is_one_line_and_its_end_another(
    caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    """A restart of Redis would fill the log with tracebacks, without a line when it is over."""
    repeat(failing(error, error, None, None), steps=4)
    assert [(one.levelname, one.exc_info) for one in caplog.records] == [("WARNING", None), ("WARNING", None)]
    begun, over = caplog.messages
    assert begun == "the thing is not done: it is away"
    assert over.startswith("the thing is done again")


@pytest.mark.expected_errors("the thing is not done")
@pytest.mark.parametrize("error", [ValueError("a bug"), SchemaError("no such field")])
def test_a_bug_ends_no_thread_and_is_logged_with_its_place(caplog: pytest.LogCaptureFixture, error: Exception) -> None:
    """A thread would silently stop following lists or reading messages, and nobody would know where to look."""
    seconds = repeat(failing(error, None), steps=2)
    assert seconds == [2.0, 60.0, 2.0]
    shown = caplog.records[0]
    assert shown.levelname == "ERROR"
    assert shown.exc_info is not None
    assert shown.exc_info[1] is error
