"""The server of the desk: uvicorn with its bounds, and without what it must not log or believe."""

import asyncio
import socket
from types import FrameType
from typing import Any, Final

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

CONCURRENT_REQUESTS: Final = 500
"""Connections at once; beyond, requests are answered with 503: 50 people have an open stream of events each, and some
requests beside it."""
HEADER_BYTES: Final = 16_384
"""Bound of a request's line and headers."""
HEAD_SECONDS: Final = 10.0
"""Within which a request's line and headers arrive, from the connection's beginning or from their first byte."""
STALLED_SECONDS: Final = 30.0
"""A client that reads nothing for so long, of an answer that fills the system's buffers, has gone."""
STOP_SECONDS: Final = 5
"""For requests that are under way when the desk ends; open streams of events would keep it running."""


class TimedConnection(H11Protocol):
    """A connection that ends when its client sends a request's head, or reads an answer, too slowly: uvicorn bounds how
    many there are, and 500 slow ones would keep everybody else out."""

    _head: asyncio.TimerHandle | None = None
    _stalled: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begins the time of the first head."""
        super().connection_made(transport)
        self._head = self.loop.call_later(HEAD_SECONDS, transport.abort)

    def data_received(self, data: bytes) -> None:
        """Ends the time of a head that is complete, or begins that of the next."""
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            _cancel(self._head)
            self._head = None
        elif self._head is None and self.conn.trailing_data[0]:
            self._head = self.loop.call_later(HEAD_SECONDS, self.transport.abort)

    def pause_writing(self) -> None:
        """Begins the time of a client that does not read."""
        super().pause_writing()
        self._stalled = self.loop.call_later(STALLED_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Ends it."""
        super().resume_writing()
        _cancel(self._stalled)

    def connection_lost(self, exc: Exception | None) -> None:
        """Ends both."""
        _cancel(self._head)
        _cancel(self._stalled)
        super().connection_lost(exc)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


OPTIONS: Final[dict[str, Any]] = {
    # The guard knows which proxy to believe.
    "proxy_headers": False,
    "server_header": False,
    # The path of the first-start link is a secret.
    "access_log": False,
    "log_config": None,
    "lifespan": "off",
    "ws": "none",
    "http": TimedConnection,
    "h11_max_incomplete_event_size": HEADER_BYTES,
    "limit_concurrency": CONCURRENT_REQUESTS,
    "timeout_graceful_shutdown": STOP_SECONDS,
}


class DeskServer(uvicorn.Server):
    """A server that reads the queue from its start, and ends the streams of open pages before itself."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(uvicorn.Config(app, **OPTIONS, **options))
        self._feed = app.state.services.feed

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begins to serve."""
        self._feed.start()
        await super().startup(sockets)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to end, at a signal."""
        self._feed.close()
        super().handle_exit(sig, frame)

    def end(self) -> None:
        """Begins to end, from another thread."""
        self._feed.close()
        self.should_exit = True
