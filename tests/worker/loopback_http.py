"""An HTTP server on loopback, on a free port, for the duration of a block."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """With a shorter backlog, simultaneous clients beyond it would connect a second later."""

    def handle_error(self, *_: Any) -> None:
        """Ignores clients that reset their connection because they are killed or give up, as in some tests."""


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler], *, release: Callable[[], None]) -> Iterator[int]:
    """Serves on the returned port; `release` is called at the end, and releases held requests."""
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        release()
        server.shutdown()
        server.server_close()
        thread.join()
