"""What a worker's process does whose model does not come back: it says so, gives its segment back, and ends."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from redis import Redis

from models.classifiers.classifier import StuckRun
from worker.errors import StoreError
from worker.ingest.pending.segments import Begun, defer
from worker.policyload.breaker import STUCK_SECONDS, leave_out, tell_stuck
from worker.store.redis_client import store_errors

_log = logging.getLogger(__name__)

STATUS = 70
"""Of a process that ended itself (EX_SOFTWARE): its pool tells of it, and starts another."""


@dataclass(kw_only=True)
class StuckModelEnd:
    """Of one process."""

    redis: Redis
    deployment: str
    close_log: Callable[[], None]
    """Writes what is waiting for the verdict log, or gives up."""
    segment: tuple[str, Begun] | None = None
    """Stream and segment of what is worked on now."""

    def say(self, run: StuckRun) -> None:
        """Leaves the model out for all workers, gives the segment back, tells operators, and ends this process.

        It is called in a thread of its own, and takes a moment where Redis and the log's store are there; else the pool
        ends the process at the task's hard time limit.
        """
        if run.on_trial:
            # The policy that is in force stays, and pictures are judged by it while this goes on.
            _log.error("%s; the policy that brings it does not come into force here", run)
            return
        _log.error("%s; no worker asks it for %d s, and this process ends", run, STUCK_SECONDS)
        try:
            leave_out(self.redis, run)
            self._give_back()
            tell_stuck(self.redis, run, deployment=self.deployment)
            self.close_log()
        except StoreError as error:
            _log.error("model %s is stuck, and other workers are not told: %s", run.model, error)
        finally:
            _end()

    def _give_back(self) -> None:
        """The next worker need not wait for the lease. It counts as lost, so that nothing goes round for ever."""
        if self.segment is not None:
            with store_errors():
                defer(self.redis, *self.segment, delay_ms=0, in_order=False)


def _end() -> None:
    with suppress(Exception):
        logging.shutdown()
    os._exit(STATUS)  # nothing less: the thread that computes hears no signal, and would be waited for
