"""An HTTP server on loopback, on a port of its own choice, for as long as a block lasts."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128
    """More at once than fit would connect a second later."""

    def handle_error(self, *_: Any) -> None:
        """A client that is killed or gives up resets its connection: that is what some tests are about."""


@contextmanager
def http_server(handler: type[BaseHTTPRequestHandler], *, release: Callable[[], None]) -> Iterator[int]:
    """Serves on the port that it gives; `release` is called at the end, and lets go of requests that are held."""
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
