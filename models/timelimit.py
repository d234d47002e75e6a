"""Stops a run of ONNX Runtime that takes too long.

Nothing else does: while a session computes, Python's signal handlers (Celery's soft time limit) do not run.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf
from time import monotonic
from typing import Any

import onnxruntime

IDLE_SECONDS = 5.0
"""Without a run, after which the thread ends: sessions come and go with policies."""


class TimeLimit:
    """A watching thread for the runs of one session, which come one after the other.

    Starting a thread a run would cost 0.1 ms each. This one sleeps until the deadline of the run that was there when it
    last looked, and is woken only by the first run after a pause: a run in a row of many costs two locks.
    """

    def __init__(self, seconds: float) -> None:
        """`seconds`: of wall time, for one run."""
        self.seconds = seconds
        self._changed = threading.Condition()
        self._running: tuple[float, Any] | None = None
        self._wakes = inf
        """When the thread looks next, by the monotonic clock."""
        self._thread: threading.Thread | None = None

    @contextmanager
    def watched(self) -> Iterator[Any]:
        """Gives the RunOptions for one run; `terminate` is set in them once its time is over.

        ONNX Runtime looks at it between two nodes of the graph, so a single node is not cut short.
        """
        options = onnxruntime.RunOptions()
        with self._changed:
            deadline = monotonic() + self.seconds
            self._running = (deadline, options)
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
        with self._changed:
            while True:
                if self._running is None:
                    self._wakes = inf
                    if not self._changed.wait(IDLE_SECONDS) and self._running is None:
                        self._thread = None
                        return
                    continue
                deadline, options = self._running
                left = deadline - monotonic()
                if left > 0:
                    self._wakes = deadline
                    self._changed.wait(left)
                else:
                    options.terminate = True
                    self._running = None
