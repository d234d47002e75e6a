"""The server of the desk: uvicorn with its bounds, and without what it must not log or believe."""

from types import FrameType
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

CONCURRENT_REQUESTS: Final = 500
"""Beyond, requests are answered with 503: 50 people have an open stream of events each, and some requests beside it."""
HEADER_BYTES: Final = 16_384
"""Bound of a request's line and headers."""
STOP_SECONDS: Final = 5
"""For requests that are under way when the desk ends; open streams of events would keep it running."""

OPTIONS: Final[dict[str, Any]] = {
    # The guard knows which proxy to believe.
    "proxy_headers": False,
    "server_header": False,
    # The path of the first-start link is a secret.
    "access_log": False,
    "log_config": None,
    "lifespan": "off",
    "ws": "none",
    "http": "h11",
    "h11_max_incomplete_event_size": HEADER_BYTES,
    "limit_concurrency": CONCURRENT_REQUESTS,
    "timeout_graceful_shutdown": STOP_SECONDS,
}


class DeskServer(uvicorn.Server):
    """A server that ends the streams of open pages first: it would wait for them."""

    def __init__(self, app: FastAPI, **options: Any) -> None:
        super().__init__(uvicorn.Config(app, **OPTIONS, **options))
        self._feed = app.state.services.feed

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins to end, at a signal."""
        self._feed.close()
        super().handle_exit(sig, frame)

    def end(self) -> None:
        """Begins to end, from another thread."""
        self._feed.close()
        self.should_exit = True
