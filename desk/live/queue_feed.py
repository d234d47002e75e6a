"""The one reader of the queue in a process: a thread that follows what changes in Redis and wakes all open pages.

Every page shows the newest snapshot. One that is slow skips those between, so nothing waits for it, and no queue grows.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from redis import Redis

from desk.cases.queue_counts import QueueTally
from desk.live.queue_snapshot import QueueSnapshot
from worker.errors import StoreError
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import start_thread
from worker.queue.case_mirror import FOLLOWED, CaseMirror, read_turn
from worker.queue.case_order import CasesInOrder, LongestWaits
from worker.store.key_tracking import KeyTracking, track_keys
from worker.store.redis_client import now_ms

ANSWER_SECONDS: Final = 10.0
"""Longest wait of a page for a snapshot; the first one takes a while."""
CHECK_SECONDS: Final = 1.0
"""Interval in which Redis is asked for its time: an outage is seen within it."""
TICK_SECONDS: Final = 2.0
"""Interval of snapshots without a change: leases end, and cases pass their longest wait."""
STALE_SECONDS: Final = 10.0
"""Age of a snapshot from which on (>=) Redis counts as away: one that hangs fails only after the timeouts of its client
and their retries, more than a minute."""
SHORTEST_SECONDS: Final = 0.1
"""Between two snapshots: changes that come together are one."""
UNWATCHED_SECONDS: Final = 1.0
"""The same while no page is open."""
SLICE_SECONDS: Final = 0.02
"""Longest wait for changes at a time: a page that is opened waits so long for one that is up to date."""
PAUSES: Final = 4
"""Pauses as long as making a snapshot took, in CPU, before the next: a fifth of a core at most, however long the queue
is. By the clock, it would grow where others have the cores."""
RETRY_SECONDS: Final = 1.0
"""After Redis failed. Its client has tried again already."""
READ_AGAIN_SECONDS: Final = 300.0
"""Interval of reading everything: the bound of whatever a change might have been missed."""

_trouble = FailureLog(logging.getLogger(__name__))


class QueueFeed:
    """The newest snapshot of the queue. It begins by `start` or with the first page, and ends by `close`."""

    def __init__(self, redis: Redis, waits: LongestWaits, *, stale_seconds: float = STALE_SECONDS) -> None:
        self._redis = redis
        self._stale_seconds = stale_seconds
        self._waits = waits
        self._order, self._tally = CasesInOrder(waits), QueueTally()
        self._closing = threading.Event()
        self._made = threading.Condition()
        self._thread: threading.Thread | None = None
        self._newest: QueueSnapshot | None = None
        self._lost_at: float | None = None
        """Host's time when Redis failed; None: it answers."""
        self._asked = self._answered = 0
        """Counts the questions for a current snapshot, and those that were answered."""
        self._wakes: set[Callable[[], None]] = set()

    @property
    def lost_at(self) -> float | None:
        """Host's time, in seconds, since which Redis does not answer; None: it does."""
        newest = self._newest
        if self._lost_at is None and newest is not None and newest.age_seconds() >= self._stale_seconds:
            return time.time() - newest.age_seconds()
        return self._lost_at

    def newest(self) -> QueueSnapshot:
        """The newest snapshot, which an open page is shown.

        Raises:
            StoreError: there is none, or Redis does not answer at present.
        """
        with self._made:
            self.start()
            self._made.wait_for(lambda: self._newest or self._lost_at or self.closed, ANSWER_SECONDS)
            return self._present()

    def current(self) -> QueueSnapshot:
        """A snapshot with everything that was written before this call, for a page that is opened.

        Raises:
            StoreError: Redis does not answer at present.
        """
        with self._made:
            self.start()
            self._asked += 1
            asked = self._asked
            self._made.wait_for(lambda: self._answered >= asked or self._lost_at or self.closed, ANSWER_SECONDS)
            if self._answered < asked:
                raise _unread()
            return self._present()

    def start(self) -> None:
        """Begins to read, so that the first page does not wait for a long queue; the first page does so otherwise."""
        with self._made:
            if self._thread is None and not self.closed:
                self._thread = start_thread("queue-feed", self._run)

    def _present(self) -> QueueSnapshot:
        if self._newest is None or self.lost_at is not None:
            raise _unread()
        return self._newest

    @contextmanager
    def woken(self, wake: Callable[[], None]) -> Iterator[None]:
        """Calls `wake` after each new snapshot, and when Redis fails or answers again; from the feed's thread, so it
        may not wait."""
        with self._made:
            self._wakes.add(wake)
        try:
            yield
        finally:
            with self._made:
                self._wakes.discard(wake)

    def close(self) -> None:
        """Ends the thread soon, and the streams of all pages now. May be called twice."""
        self._closing.set()
        self._wake_all()

    def join(self) -> None:
        """Waits until the thread has ended, after `close`."""
        if self._thread is not None:
            self._thread.join()

    @property
    def closed(self) -> bool:
        """It was closed: pages end their streams."""
        return self._closing.is_set()

    def _run(self) -> None:
        mirror = CaseMirror()
        while not self.closed:
            try:
                with track_keys(self._redis, FOLLOWED) as tracking:
                    self._follow(tracking, mirror)
            except StoreError as error:
                _trouble.met("queue feed", "the queue is not read: %s", error)
                self._lose()
            except Exception:  # a bug; pages must not go on as if nothing happened
                _trouble.met("queue feed", "the queue is not read", level=logging.ERROR, exc_info=True)
                self._lose()

    def _lose(self) -> None:
        if self._lost_at is None:
            self._lost_at = self.lost_at or time.time()  # where it hung, since then
            self._wake_all()
        self._closing.wait(RETRY_SECONDS)

    def _follow(self, tracking: KeyTracking, mirror: CaseMirror) -> None:
        """Makes snapshots until Redis fails or the feed is closed."""
        clock = _RedisClock(mirror.read(self._redis))
        read_at = checked_at = time.monotonic()
        made_at = earliest_at = 0.0
        dirty = True
        while not self.closed:
            asked, now = self._asked, time.monotonic()
            answering = asked != self._answered
            if answering:
                # After this answer, all that was written before has been told.
                clock = _RedisClock(now_ms(self._redis))
            next_at = earliest_at if dirty else made_at + TICK_SECONDS
            keys = tracking.changed(0.0 if answering else min(SLICE_SECONDS, max(0.0, next_at - now)))
            now = time.monotonic()
            if keys is None or now - read_at >= READ_AGAIN_SECONDS:
                clock, read_at, dirty = _RedisClock(mirror.read(self._redis)), now, True
            elif keys:
                dirty = mirror.update(self._redis, keys) is not None or dirty
            if now - checked_at >= CHECK_SECONDS:
                tracking.check()
                clock, checked_at = _RedisClock(now_ms(self._redis)), now
            if now >= made_at + TICK_SECONDS or (dirty and (answering or now >= earliest_at)):
                began = time.thread_time()
                self._publish(mirror, clock.now_ms())
                took, made_at, dirty = time.thread_time() - began, time.monotonic(), False
                pause = SHORTEST_SECONDS if self._wakes else UNWATCHED_SECONDS
                earliest_at = made_at + max(pause, PAUSES * took)
            if answering and not keys:
                self._answer(asked)

    def _answer(self, asked: int) -> None:
        with self._made:
            self._answered = asked
            self._made.notify_all()

    def _publish(self, mirror: CaseMirror, at_ms: int) -> None:
        for case_id, case in mirror.drain(at_ms).items():
            for kept in (self._order, self._tally):
                kept.drop(case_id) if case is None else kept.put(case)
        before = self._newest
        snapshot = QueueSnapshot(
            number=1 if before is None else before.number + 1,
            now_ms=at_ms,
            ordered=self._order.in_turns(now_ms=at_ms, turn=read_turn(self._redis)),
            counts=self._tally.counts(now_ms=at_ms, waits=self._waits),
            waits=self._waits,
        )
        self._newest, self._lost_at = snapshot, None
        _trouble.over("queue feed", "the queue is read again")
        self._wake_all()

    def _wake_all(self) -> None:
        with self._made:
            self._made.notify_all()
            wakes = list(self._wakes)
        for wake in wakes:
            wake()


def _unread() -> StoreError:
    return StoreError("Redis: the queue cannot be read at present")


class _RedisClock:
    """Redis's clock, between two readings of it."""

    def __init__(self, read_ms: int) -> None:
        self._read_ms = read_ms
        self._at = time.monotonic()

    def now_ms(self) -> int:
        return self._read_ms + round((time.monotonic() - self._at) * 1000)
