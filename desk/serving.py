"""Options of uvicorn, which serves the desk: its bounds, and what it must not log or believe."""

from typing import Any, Final

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
