"""Ticks when beat does not, and makes room in a full Redis: a thread of each worker's main process."""

import logging
import threading
from collections.abc import Callable
from time import monotonic

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from worker.errors import StoreError
from worker.health.redis_memory import RedisMemory, publish_redis_memory
from worker.ingest.poll.schedule import TICK_SECONDS, tick, tick_is_late
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic
from worker.runtime.upkeep import look_after_full
from worker.runtime.worker_process import WorkerProcess

CHECK_EVERY_SECONDS = 10.0
"""Time between two checks of Redis's memory, while it is not full: operators get an event so soon."""

_trouble = FailureLog(logging.getLogger(__name__))


class Watchdog:
    """The watchdog of one worker, which steps each second."""

    def __init__(self, process: WorkerProcess, tick_now: Callable[[], object]) -> None:
        self._process = process
        self._tick_now = tick_now
        self._full = False
        self._check_at = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Steps until `stopping` is set."""
        periodic(
            self._try_step,
            stopping,
            interval_seconds=TICK_SECONDS,
            troubles=_trouble,
            failing="no tick",
            well_again="the watchdog ticks again",
        )

    def _try_step(self) -> None:
        try:
            self.step()
        except (RedisError, StoreError, OperationalError, OSError) as error:
            # Redis is away or full: workers wait, and so does this. The next step checks for a full one.
            self._check_at = 0.0
            raise StoreError(str(error)) from error

    def step(self) -> None:
        """Publishes how much room Redis has, every `CHECK_EVERY_SECONDS`; ticks if no beat did. A full Redis takes no
        message, so one of all watchdogs does the upkeep that makes room.

        Raises:
            RedisError, StoreError: Redis failed.
        """
        if self._full or monotonic() >= self._check_at:
            self._note(publish_redis_memory(self._process.redis, deployment=self._process.settings.deployment))
        if not self._full:
            if tick_is_late(self._process.redis):
                self._tick_now()
            return
        due: list[str] = []
        # Nothing is sent: the results of polls could not be written. The tick decides which watchdog does the upkeep.
        tick(self._process.redis, waiting_polls=0, send=due.append)
        if "reconcile" in due:
            look_after_full(self._process)

    def _note(self, room: RedisMemory) -> None:
        self._check_at = monotonic() + CHECK_EVERY_SECONDS
        if room.full:
            text = "Redis is full (%d of %d bytes): nothing is polled until it has room"
            _trouble.met("full", text, room.used_bytes, room.limit_bytes)
        else:
            _trouble.over("full", "Redis has room again")
        self._full = room.full
