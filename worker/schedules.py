"""Beat's scheduler: Celery's, with a line where a tick cannot be sent."""

import logging
from typing import Any

from celery.beat import Scheduler

_log = logging.getLogger(__name__)

LOGGED_EVERY = 60
"""Ticks that could not be sent, so about a minute: Celery logs 10 kB for each, a gigabyte a day."""


class QuietScheduler(Scheduler):
    """Logs once a minute that ticks cannot be sent: Redis is away or full, which workers and `doctor` show too."""

    _unsent = 0

    def apply_entry(self, entry: Any, producer: Any = None) -> None:
        """Sends what is due."""
        try:
            self.apply_async(entry, producer=producer, advance=False)
        except Exception as error:
            if self._unsent % LOGGED_EVERY == 0:
                _log.warning("%s", error)
            self._unsent += 1
        else:
            if self._unsent:
                _log.warning("ticks are sent again, after %d that could not be", self._unsent)
            self._unsent = 0
