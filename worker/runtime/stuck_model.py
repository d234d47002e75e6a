"""The end of a worker's process whose model does not return: it reports the model and gives its segment back."""

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from redis import Redis

from models.classifiers.classifier import StuckRun
from worker.errors import StoreError
from worker.ingest.pending.segments import Begun, defer
from worker.policyload.breaker import STUCK_SECONDS, leave_out, publish_model_stuck
from worker.store.redis_client import store_errors

_log = logging.getLogger(__name__)

STATUS = 70
"""Exit status of a process that ended itself (EX_SOFTWARE): its pool logs it, and starts another."""


@dataclass(kw_only=True)
class StuckModelEnd:
    """Ends one process."""

    redis: Redis
    deployment: str
    close_log: Callable[[], None]
    """Writes the rows that wait for the verdict log, or gives up."""
    segment: tuple[str, Begun] | None = None
    """Stream and segment in the hands of this process."""

    def end(self, run: StuckRun) -> None:
        """Leaves the model out for all workers, gives the segment back, publishes an event to operators, and ends this
        process.

        Runs in a separate thread, and takes a moment where Redis and the log's store are there; else the pool ends the
        process at the task's hard time limit.
        """
        if run.on_trial:
            # The policy in force stays, and pictures are moderated with it meanwhile.
            _log.error("%s; the policy that brings it does not come into force here", run)
            return
        _log.error("%s; no worker runs it for %d s, and this process ends", run, STUCK_SECONDS)
        try:
            leave_out(self.redis, run)
            self._give_back()
            publish_model_stuck(self.redis, run, deployment=self.deployment)
        except StoreError as error:
            _log.error("model %s is stuck, and other workers do not know it: %s", run.model, error)
        finally:
            with suppress(Exception):  # the process ends, whatever happens
                self.close_log()
            _end()

    def _give_back(self) -> None:
        """Spares the next worker the wait for the lease. It counts as lost, so that no segment loops without end."""
        if self.segment is not None:
            with store_errors():
                defer(self.redis, *self.segment, delay_ms=0, in_order=False)


def _end() -> None:
    with suppress(Exception):
        logging.shutdown()
    os._exit(STATUS)  # nothing less: the thread that computes handles no signal, and an exit would wait for it
