"""The database's silence: while it does not answer, one request at a time tries it, and others are refused at once."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from desk.errors import DeskDatabaseError


class NoAnswerError(Exception):
    """Marks errors of a driver that waited in vain."""


class Silence:
    """State of the database, as the last request found it. Each wait takes a thread of those that serve pages: without
    this a database that hangs would take all of them, and pages that need none would hang with it."""

    def __init__(self) -> None:
        self._silent = False
        self._trial = threading.Lock()

    @contextmanager
    def respected(self) -> Iterator[None]:
        """Lets one request through.

        Raises:
            DeskDatabaseError: the database does not answer, and another request tries it just now.
        """
        if not self._silent:
            yield
            return
        if not self._trial.acquire(blocking=False):
            raise DeskDatabaseError("the desk's database: it does not answer")
        try:
            yield
        finally:
            self._trial.release()

    def failed(self, error: BaseException | None) -> None:
        """Notes that a transaction failed, with the driver's error."""
        if isinstance(error, NoAnswerError):
            self._silent = True

    def ended(self) -> None:
        """Notes that a transaction was written: the database answers."""
        self._silent = False
