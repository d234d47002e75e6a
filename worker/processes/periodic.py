"""Steps that a thread repeats until its process ends. No error ends such a thread: what it looks after would stay as
it is, unnoticed."""

import logging
import random
import threading
from collections.abc import Callable

from redis.exceptions import RedisError

from config.errors import LivewardenError, SchemaError
from worker.logs.failure_log import FailureLog


def start_thread(name: str, work: Callable[[], object]) -> threading.Thread:
    """Starts `work` in a thread `livewarden-{name}` that does not keep its process from ending."""
    thread = threading.Thread(target=work, name=f"livewarden-{name}", daemon=True)
    thread.start()
    return thread


def periodic(
    step: Callable[[], float | None],
    stopping: threading.Event,
    *,
    interval_seconds: float | tuple[float, float],
    troubles: FailureLog,
    failing: str,
    well_again: str,
    rest_seconds: float | None = None,
    reported: tuple[type[Exception], ...] = (),
    immediately: bool = False,
) -> None:
    """Repeats `step` until `stopping` is set, and reports when it fails and when it works again.

    Args:
        step: returns the pause after it, in seconds; None: the interval.
        interval_seconds: between two steps; of a pair, drawn between both, so that processes do not all begin at once.
        failing: logged with the error.
        well_again: logged at the next success.
        rest_seconds: the pause after a failure; None: the interval.
        reported: errors that are reported elsewhere; the interval follows.
        immediately: the first step waits for nothing.
    """
    low, high = interval_seconds if isinstance(interval_seconds, tuple) else (interval_seconds, interval_seconds)
    pause = 0.0 if immediately else None
    while not stopping.wait(random.uniform(low, high) if pause is None else pause):  # noqa: S311 - jitter, no secret
        try:
            pause = step()
            troubles.over(failing, well_again)
        except reported:
            pause = None
        except Exception as error:
            # An event that does not fit its schema is a bug, like all that is not foreseen: its place is logged.
            if isinstance(error, LivewardenError | RedisError | OSError) and not isinstance(error, SchemaError):
                troubles.met(failing, f"{failing}: %s", error)
            else:
                troubles.met(failing, failing, level=logging.ERROR, exc_info=True)
            pause = rest_seconds
