"""The base of all tasks: their end when they are out of time."""

import logging
from typing import Any

from celery import Task
from kombu.exceptions import OperationalError
from redis import exceptions

from worker.errors import OutOfTimeError, StoreError
from worker.ingest.pending.queues import CONTROL
from worker.logs.failure_log import FailureLog
from worker.processes.soft_limit import soft_limit

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

SOFT_LIMIT_SECONDS = 16
HARD_LIMIT_SECONDS = 18
"""A segment takes well under a second; one that takes this long is stuck."""

_AWAY = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.OutOfMemoryError)
"""Raised by a command where Redis is away, or full."""
_AGAIN = "livewarden_again"
"""Header of a message that is sent for the second time."""


class TimedTask(Task[..., Any]):
    """A task that is out of time ends with one line in the log; its pool child lives on.

    Its message is sent once more, and then no more: the work is on record in Redis, and a later task finds it.
    """

    abstract = True

    def recover(self) -> None:
        """Repairs what may have been left half-way, before anything else is done."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        soft_limit.install()
        try:
            with soft_limit.task():
                answer = self.run(*args, **kwargs)
            _trouble.over(self.name, "%s: goes on", self.name)
            return answer
        except (StoreError, OperationalError, *_AWAY) as error:
            # No traceback: the task is not the cause. What it had begun is begun again when its lease is over.
            self.recover()
            _trouble.met(self.name, "%s: ended, since Redis is away or full: %s", self.name, error)
            return None
        except OutOfTimeError:
            self.recover()
            again = not self.request.get(_AGAIN)
            _log.warning("%s: out of time%s", self.name, ", sent once more" if again else "")
            if again:
                # Not by Reject or Retry: the one is logged with a traceback, the other has an ETA.
                queue = str((self.request.delivery_info or {}).get("routing_key", CONTROL))
                self.apply_async(args=args, kwargs=kwargs, queue=queue, headers={_AGAIN: "1"})
            return None
