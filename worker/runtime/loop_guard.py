"""Ends a worker that could take work and asks for none: a thread of each worker's main process.

Such a worker gives signs of life and ticks, in other threads, and moderates nothing. Its event loop may wait in a call
that does not return, or kombu takes all its places for taken. Whatever the cause, a new process is without it.

A false alarm must not end a deployment's workers together. So only a worker is ended
- that has asked before: if kombu asks in another way one day, or nothing that a new process does helps, nobody ends;
- while Redis takes new connections and writes: else a new worker would fare no better, or not even start;
- whose every step has found it so for 90 s: a process that was stopped, or a machine that was, begins anew;
- if no other worker was ended lately.
"""

import logging
import os
import secrets
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import PurePath
from time import monotonic
from typing import Final

from redis import Redis
from redis.exceptions import RedisError

from config.errors import LivewardenError
from worker.events.cloudevent import derived_id
from worker.events.operations import alert_operators
from worker.health.presence import HOST
from worker.logs.failure_log import FailureLog
from worker.logs.fields import fields
from worker.processes.periodic import periodic
from worker.runtime.event_loop import EventLoop
from worker.runtime.occupancy import Occupancy
from worker.runtime.shutdown import try_for_a_moment
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

WORKER_IDLE: Final = "livewarden.operations.worker_idle.v1"

STEP_SECONDS: Final = 1.0

LATE_SECONDS: Final = 5.0
"""Between two steps, or for one: after longer (>) this process was stopped, had no processor, or Redis is slow."""

QUIET_SECONDS: Final = 5.0
"""Since the last question from which (>=) a worker with a free place counts as idle: kombu asks each second."""

BLOCKED_SECONDS: Final = 30.0
"""Since the event loop last ran from which (>=) places do not count: no task that ended would be noticed. It waits for
ten seconds at most, and as long as 30 between two attempts to connect to Redis."""

IDLE_SECONDS: Final = 90.0
"""After so long (>=) it is ended. A loop whose connections a firewall has forgotten, all at once, waits for each of
four in turn, 15 s: 62 s without a question (measured). After a failure of Redis it connects again within 30 s."""

ENDED_EVERY_MS: Final = 30_000
"""Between two ends in a deployment: the one before works again by then."""

_PLACES: Final = 3
"""Innermost calls of the event loop that are logged."""
_MOST_CHARACTERS: Final = 200

_turn_key: Final = redis_keys.WORKER_IDLE_END.name
_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)


@dataclass(frozen=True, kw_only=True)
class LoopSeen:
    """A worker's event loop at one moment. Times are seconds of the monotonic clock."""

    at: float
    asked_at: float | None
    ran_at: float | None
    """None: never, or it does not run beside tasks."""
    occupancy: Occupancy
    is_ending: bool

    @property
    def blocked(self) -> bool:
        """It did not run for so long that it neither notices nor limits tasks."""
        return self.ran_at is not None and self.at - self.ran_at >= BLOCKED_SECONDS

    @property
    def idle(self) -> bool:
        """It has asked before, could ask now, and does not."""
        if self.is_ending or self.asked_at is None or self.at - self.asked_at < QUIET_SECONDS:
            return False
        return self.occupancy.held < self.occupancy.processes or self.blocked

    @property
    def quiet_seconds(self) -> float:
        """Since the last question."""
        return 0.0 if self.asked_at is None else self.at - self.asked_at


def idle_since(since: float | None, seen: LoopSeen, stepped_at: float | None) -> float | None:
    """Returns the time since which every step has found the loop idle; None: it is not, or steps were missed.

    Args:
        since: the answer for the step before.
        stepped_at: the time of the step before.
    """
    if not seen.idle or stepped_at is None or seen.at - stepped_at > LATE_SECONDS:
        return None
    return seen.at if since is None else since


class LoopGuard:
    """The guard of one worker's event loop."""

    def __init__(
        self,
        loop: EventLoop,
        *,
        occupancy: Callable[[], Occupancy],
        is_ending: Callable[[], bool],
        beside_tasks: bool,
        connect: Callable[[], Redis],
        deployment: str,
        end: Callable[[], object],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        """`connect` makes a client that tries once; `end` ends the worker; `beside_tasks`: the loop runs while tasks
        do."""
        self._loop = loop
        self._occupancy = occupancy
        self._is_ending = is_ending
        self._beside_tasks = beside_tasks
        self._connect = connect
        self._deployment = deployment
        self._end = end
        self._clock = clock
        self._token = secrets.token_hex(16)
        self._since: float | None = None
        self._stepped_at: float | None = None

    @property
    def idle_seconds(self) -> float:
        """For how long the worker has asked for no work although it could; 0: it is not idle."""
        seen = self._see()
        return seen.quiet_seconds if self._since is not None and seen.idle else 0.0

    def run(self, stopping: threading.Event) -> None:
        """Steps until `stopping` is set."""
        periodic(
            self.step,
            stopping,
            interval_seconds=STEP_SECONDS,
            troubles=_trouble,
            failing="the event loop is not watched",
            well_again="the event loop is watched again",
        )

    def step(self) -> None:
        """Ends the worker if it has been idle for too long."""
        seen = self._see()
        self._since = idle_since(self._since, seen, self._stepped_at)
        self._stepped_at = seen.at
        if self._since is None:
            return
        try:
            with self._connect() as redis:
                run_script(redis, "takes_writes", keys=[], args=[])
                if seen.at - self._since >= IDLE_SECONDS and self._takes_turn(redis):
                    self._end_unless_well(redis)
        except (RedisError, LivewardenError, OSError) as error:
            # Full, loading, read-only, failing over, out of connections, away.
            _log.debug("the event loop asks for no work, and Redis is in trouble: %s", error)
            self._since = None

    def _takes_turn(self, redis: Redis) -> bool:
        if run_script(redis, "lease_take", keys=[_turn_key], args=[self._token, ENDED_EVERY_MS]):
            return True
        text = "this worker asks for no work, and ends once another one that did is back"
        try_for_a_moment(partial(_trouble.met, "turn", text))
        return False

    def _end_unless_well(self, redis: Redis) -> None:
        seen = self._see()
        if idle_since(self._since, seen, self._stepped_at) is None:
            self._since = None  # it asks again, was stopped meanwhile, or Redis took long
            return
        loop, place = ("blocked" if seen.blocked else "runs"), _place_of_main_thread()
        worker = f"{HOST}:{os.getpid()}"
        told: dict[str, str | int | float] = {
            "worker": worker,
            "idle_seconds": round(seen.quiet_seconds, 1),
            "processes": seen.occupancy.processes,
            "held": seen.occupancy.held,
            "loop": loop,
            "place": place,
        }
        text = (
            f"this worker ends: it asks for no work for {seen.quiet_seconds:.0f} s, with {seen.occupancy.held} of "
            f"{seen.occupancy.processes} processes at work, while Redis answers; its event loop "
            f"{'is blocked' if seen.blocked else 'runs'}, at {place}"
        )
        try_for_a_moment(partial(_log.error, "%s", text, extra=fields(**told)))
        try:
            now = now_ms(redis)
            event_id = derived_id(WORKER_IDLE, self._deployment, worker, now)
            alert_operators(
                redis, WORKER_IDLE, event_id, subject=HOST, data=told, deployment=self._deployment, now_ms=now
            )
        except (RedisError, LivewardenError, OSError) as error:
            try_for_a_moment(partial(_log.warning, "no event to operators about it: %s", error))
        self._end()

    def _see(self) -> LoopSeen:
        # The clock last: a question that is asked meanwhile is not in the future.
        asked_at, ran_at = self._loop.asked_at, self._loop.ran_at if self._beside_tasks else None
        occupancy, is_ending = self._occupancy(), self._is_ending()
        return LoopSeen(at=self._clock(), asked_at=asked_at, ran_at=ran_at, occupancy=occupancy, is_ending=is_ending)


def _place_of_main_thread() -> str:
    """The innermost calls of the main thread, which the event loop runs in."""
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    places: list[str] = []
    while frame is not None and len(places) < _PLACES:
        code = frame.f_code
        places.append(f"{PurePath(code.co_filename).name}:{frame.f_lineno} {code.co_name}")
        frame = frame.f_back
    return " < ".join(places)[:_MOST_CHARACTERS]
