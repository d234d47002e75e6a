"""Ticks when beat does not: a thread of each worker's main process."""

import logging
import threading
from collections.abc import Callable

from redis.exceptions import RedisError

from worker.polling.schedule import TICK_SECONDS, tick_is_late
from worker.process import Process

_log = logging.getLogger(__name__)


def tick_when_late(process: Process, tick_now: Callable[[], object], stopping: threading.Event) -> None:
    """Looks every second, until `stopping` is set, whether somebody ticked, and calls `tick_now` otherwise."""
    while not stopping.wait(TICK_SECONDS):
        try:
            if tick_is_late(process.redis):
                tick_now()
        except (RedisError, OSError) as error:
            # Redis is away: workers wait, and so does this.
            _log.warning("no tick: %s", error)
