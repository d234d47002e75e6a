"""Beat's scheduler: Celery's, with a line where a tick cannot be sent."""

import logging
from typing import Any

from celery.beat import Scheduler

from worker.trouble import Troubles

_trouble = Troubles(logging.getLogger(__name__))


class QuietScheduler(Scheduler):
    """Logs that ticks cannot be sent as other trouble: Celery logs 10 kB for each, a gigabyte a day. Redis is away or
    full then, which workers and `doctor` show too."""

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Sends what is due."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            _trouble.met("ticks", "%s", error)
        else:
            _trouble.over("ticks", "ticks are sent again")
