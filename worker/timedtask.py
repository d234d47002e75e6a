"""What all tasks have in common: their end when they are out of time."""

import logging
from typing import Any

from celery import Task
from celery.exceptions import Reject

from worker.errors import OutOfTimeError
from worker.softlimit import soft_limit

_log = logging.getLogger(__name__)


class TimedTask(Task[..., Any]):
    """A task that is out of time ends with one line in the log; its pool child lives on.

    Its message comes once more, for it may be a platform's, and then no more: what is to be done is in Redis, and a
    later task finds it.
    """

    abstract = True

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        soft_limit.install()
        try:
            with soft_limit.task():
                return self.run(*args, **kwargs)
        except OutOfTimeError:
            again = not (self.request.delivery_info or {}).get("redelivered")
            _log.warning("%s: out of time%s", self.name, ", tried once more" if again else "")
            if again:
                raise Reject("out of time", requeue=True) from None
            return None
