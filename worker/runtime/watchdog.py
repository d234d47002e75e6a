"""Ticks when beat does not, and looks after a Redis that is full: a thread of each worker's main process."""

import logging
import threading
from collections.abc import Callable
from time import monotonic

from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from worker.errors import StoreError
from worker.health.redis_memory import Room, tell_of_room
from worker.ingest.poll.schedule import TICK_SECONDS, tick, tick_is_late
from worker.logs.failure_log import Troubles
from worker.runtime.upkeep import look_after_full
from worker.runtime.worker_process import WorkerProcess

LOOK_EVERY_SECONDS = 10.0
"""At Redis's memory, while it is not full: as soon as that operators hear of it."""

_trouble = Troubles(logging.getLogger(__name__))


class Watchdog:
    """What one worker's watchdog does each second."""

    def __init__(self, process: WorkerProcess, tick_now: Callable[[], object]) -> None:
        self._process = process
        self._tick_now = tick_now
        self._full = False
        self._look_at = 0.0

    def run(self, stopping: threading.Event) -> None:
        """Goes on until `stopping` is set."""
        while not stopping.wait(TICK_SECONDS):
            try:
                self.step()
                _trouble.over("tick", "the watchdog ticks again")
            except (RedisError, StoreError, OperationalError, OSError) as error:
                # Redis is away or full: workers wait, and so does this. A full one is looked at next.
                _trouble.met("tick", "no tick: %s", error)
                self._look_at = 0.0
            except Exception:  # a thread that ended would leave it to others for ever
                _trouble.met("tick", "no tick", level=logging.ERROR, exc_info=True)

    def step(self) -> None:
        """Publishes how much room Redis has, now and then; ticks if nobody did. A full Redis takes no message, so there
        one of all watchdogs does the upkeep that makes room.

        Raises:
            RedisError, StoreError: Redis failed.
        """
        if self._full or monotonic() >= self._look_at:
            self._note(tell_of_room(self._process.redis, deployment=self._process.settings.deployment))
        if not self._full:
            if tick_is_late(self._process.redis):
                self._tick_now()
            return
        due: list[str] = []
        # Nothing is sent: polls would find what cannot be written down. The tick tells whose turn the upkeep is.
        tick(self._process.redis, waiting_polls=0, send=due.append)
        if "reconcile" in due:
            look_after_full(self._process)

    def _note(self, room: Room) -> None:
        self._look_at = monotonic() + LOOK_EVERY_SECONDS
        if room.full:
            text = "Redis is full (%d of %d bytes): nothing is polled until it has room"
            _trouble.met("full", text, room.used_bytes, room.limit_bytes)
        else:
            _trouble.over("full", "Redis has room again")
        self._full = room.full
