"""Connections to PostgreSQL that give up on a server which does not answer.

`statement_timeout` is kept by the server, and one that is stopped, or starved of its disk, keeps nothing. Its host's
kernel goes on acknowledging packets, so TCP's own timeouts do not end the wait either.
"""

import time
from collections.abc import Callable
from typing import Any, Final, TypeVar

from psycopg import Connection, OperationalError
from psycopg.abc import PQGen
from psycopg.errors import ConnectionTimeout

from desk.database.silence import NoAnswerError

GRACE_SECONDS: Final = 1.0
"""Beyond the time after which the server itself cancels a statement: its own error says more."""
PING_SECONDS: Final = 3.0
"""Longest wait for the answer to SQLAlchemy's ping, which precedes each transaction."""

_Answer = TypeVar("_Answer")


class SilentServerError(OperationalError, NoAnswerError):
    """The server did not answer in time."""


class BoundedConnection(Connection[Any]):
    """A connection whose every wait for the server ends."""

    longest_wait_seconds: float | None = None
    """None: it waits as long as it takes."""

    def wait(self, gen: PQGen[_Answer], *args: Any, **options: Any) -> _Answer:
        """Waits for an answer.

        Raises:
            SilentServerError: there was none; the connection is closed, for the answer may still come.
        """
        seconds = self.longest_wait_seconds
        if seconds is None:
            return super().wait(gen, *args, **options)
        if self._autocommit:  # SQLAlchemy pings so, and does nothing else
            seconds = min(seconds, PING_SECONDS)
        try:
            return super().wait(_bounded(gen, time.monotonic() + seconds), *args, **options)
        except SilentServerError:
            self.pgconn.finish()
            raise


def bounded_connector(busy_seconds: float) -> Callable[..., BoundedConnection]:
    """A function that connects as SQLAlchemy asks it to: a listener of its event `do_connect`."""

    def connect(_dialect: object, _record: object, texts: list[str], options: dict[str, Any]) -> BoundedConnection:
        try:
            connection = BoundedConnection.connect(*texts, **options)
        except ConnectionTimeout as error:
            raise SilentServerError("the server does not answer") from error
        connection.longest_wait_seconds = busy_seconds + GRACE_SECONDS
        return connection

    return connect


def _bounded(gen: PQGen[_Answer], until: float) -> PQGen[_Answer]:
    """The steps of one answer; psycopg asks for the next every 0.1 s, also where nothing came."""
    try:
        wanted = next(gen)
        while True:
            ready = yield wanted
            if not ready and time.monotonic() > until:
                gen.close()
                raise SilentServerError("the server does not answer")
            wanted = gen.send(ready)
    except StopIteration as end:
        answer: _Answer = end.value
        return answer
