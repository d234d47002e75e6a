"""Stops a run of ONNX Runtime that takes too long, and reports one that does not stop.

Nothing else does: while a session computes, Python's signal handlers (Celery's soft time limit) do not run. Threads do,
since a session computes without the interpreter's lock.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any

import onnxruntime

IDLE_SECONDS = 5.0
"""Without a run, after which the thread ends: sessions come and go with policies."""

STUCK_SECONDS = 3.0
"""Seconds that a run may go on after it was told to stop. A node takes a part of a picture's time, so one that goes on
for this long will not end soon; a task's time limit (`worker.runtime.timed_task`) leaves room for it."""


@dataclass(kw_only=True)
class _Run:
    deadline: float
    """By the monotonic clock: of the run, and once it was told to stop, of its stopping."""
    options: Any
    """RunOptions; `terminate` is set once it was told to stop."""


class TimeLimit:
    """A watching thread for the runs of one session, which come one after the other.

    Starting a thread a run would cost 0.1 ms each. This one sleeps until the deadline of the run that was there when it
    last looked, and is woken only by the first run after a pause: a run in a row of many costs two locks (2 µs).
    """

    def __init__(self, seconds: float, when_stuck: Callable[[], None] | None = None) -> None:
        """Starts no thread yet.

        Args:
            seconds: of wall time, for one run.
            when_stuck: is called in the watching thread, once for a run that has not stopped STUCK_SECONDS after it was
                told to. Such a run ends only with its process.
        """
        self.seconds = seconds
        self._when_stuck = when_stuck
        self._changed = threading.Condition()
        self._running: _Run | None = None
        self._wakes = inf
        """Time of the next check by the thread, by the monotonic clock."""
        self._thread: threading.Thread | None = None

    @contextmanager
    def watched(self) -> Iterator[Any]:
        """Gives the RunOptions for one run; `terminate` is set in them once its time is over.

        ONNX Runtime checks it between two nodes of the graph, so a single node is not cut short.
        """
        options = onnxruntime.RunOptions()
        with self._changed:
            deadline = monotonic() + self.seconds
            self._running = _Run(deadline=deadline, options=options)
            if self._thread is None:
                self._thread = threading.Thread(target=self._watch, name="model-time-limit", daemon=True)
                self._thread.start()
            elif deadline < self._wakes:
                self._changed.notify()
        try:
            yield options
        finally:
            with self._changed:
                self._running = None

    def _watch(self) -> None:
        while self._until_stuck():
            # Without the lock: the run may end meanwhile, and must not wait for the callee.
            if self._when_stuck is not None:
                self._when_stuck()

    def _until_stuck(self) -> bool:
        """Stops what takes too long, until a run is stuck; False: until there was none for a while."""
        with self._changed:
            while True:
                run = self._running
                if run is None:
                    self._wakes = inf
                    if not self._changed.wait(IDLE_SECONDS) and self._running is None:
                        self._thread = None
                        return False
                elif (left := run.deadline - monotonic()) > 0:
                    self._wakes = run.deadline
                    self._changed.wait(left)
                elif not run.options.terminate:
                    run.options.terminate = True
                    # From now, not from its deadline: a machine that was suspended gives it the whole time too.
                    run.deadline = monotonic() + STUCK_SECONDS
                else:
                    self._running = None
                    return True
