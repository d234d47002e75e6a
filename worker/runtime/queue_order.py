"""The order in which a worker reads its queues.

Strict priority would starve a queue for as long as one before it is never empty. So each message taken is a slot of a
wheel, and each slot has a queue that is read first: a queue that holds messages has a message taken at its own slot,
once in each round of the wheel, whatever the others hold. Behind it the rest are read by priority.

Slow work (`worker.ingest.registry.slow_streams`) waits in separate queues, which may hold a quarter of the worker's
processes.
"""

import time
from collections.abc import Callable, Iterable

from worker.ingest.pending.queues import CONTROL, QUEUES, SEGMENTS, SEGMENTS_SLOW, SLOW_QUEUES, URGENT
from worker.runtime.occupancy import Occupancy, occupancy_of_this_worker

SLOW = "slow"
"""The slot of both slow queues, which alternate."""

WHEEL = (URGENT, CONTROL, URGENT, SEGMENTS, URGENT, URGENT, SLOW, URGENT)
"""`control` and `segments` have at least one slot in eight, `segments.urgent` most of them."""

PROCESSES_TO_A_SLOW_ONE = 4
"""Slow work holds one process in this many, rounded down. A worker with fewer has one for it, but never its last: with
one process in all, slow work may have a quarter of the time instead."""


class WeightedQueueOrder:
    """The cycle class that kombu's `queue_order_strategy` names.

    kombu sets the queues by `update`, gets their order from `consume` before each BRPOP, and calls `rotate` with the
    queue of the message that it got (`kombu.transport.redis.Channel._brpop_start`, `_brpop_read`, 5.7). One BRPOP takes
    at most one message, and none is sent while every process is busy, so that the decision made here still holds when a
    message comes.
    """

    def __init__(
        self,
        queues: Iterable[str] = (),
        *,
        occupancy: Callable[[], Occupancy] = occupancy_of_this_worker,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._queues = list(queues)
        self._occupancy = occupancy
        self._clock = clock
        self._slot = 0
        self._last_slow = SEGMENTS_SLOW
        self._slow_since: float | None = None
        """Time when the only process began slow work."""
        self._rests_until = 0.0

    def update(self, queues: Iterable[str]) -> None:
        """Sets the queues that are consumed from."""
        self._queues = list(queues)

    def consume(self, n: int) -> list[str]:
        """The first `n` queues to read, in this order; slow ones only while they may have a process."""
        # After one slow queue the other one comes first.
        slow = sorted(SLOW_QUEUES, key=lambda queue: queue == self._last_slow)
        by_priority = [queue for queue in QUEUES if queue not in SLOW_QUEUES]
        first = WHEEL[self._slot]
        ordered = [*(slow if first == SLOW else [first]), *by_priority, *slow, *self._queues]
        left_out = set() if self._slow_may_begin() else set(SLOW_QUEUES)
        return [queue for queue in dict.fromkeys(ordered) if queue in self._queues and queue not in left_out][:n]

    def rotate(self, last_used: str) -> None:
        """Notes the queue that the last message came from."""
        self._slot = (self._slot + 1) % len(WHEEL)
        if last_used in SLOW_QUEUES:
            self._last_slow = last_used
            self._slow_since = self._clock()

    def _slow_may_begin(self) -> bool:
        if not set(self._queues) - set(SLOW_QUEUES):
            return True  # A worker that was started for them alone keeps nothing else waiting.
        now = self._occupancy()
        if now.slow >= max(1, now.processes // PROCESSES_TO_A_SLOW_ONE):
            return False
        return now.processes > 1 or self._rested()

    def _rested(self) -> bool:
        """A worker with one process has spent the share of time that belongs to all other work.

        Its process is free, or kombu would not ask: the slow work has just ended.
        """
        now_seconds = self._clock()
        if self._slow_since is not None:
            held_seconds = now_seconds - self._slow_since
            self._rests_until = now_seconds + (PROCESSES_TO_A_SLOW_ONE - 1) * held_seconds
            self._slow_since = None
        return now_seconds >= self._rests_until
