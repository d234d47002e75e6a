"""A small live HLS origin: `python -m worker.demo.origin [--host HOST] [--port PORT]`.

It prints the playlist's URL when the first segment is available, and ends on SIGTERM or SIGINT.
"""

import argparse
import signal
import sys
import threading
from functools import partial
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from worker.demo.broadcast import BroadcastWindow, LiveSegment, broadcast
from worker.demo.scene import Scene

WIDTH, HEIGHT = 640, 360
PLAYLIST = "/live.m3u8"
IDLE_SECONDS = 15.0
"""A connection idle for longer is closed, so that its thread ends."""


class _Handler(BaseHTTPRequestHandler):
    """Serves the playlist and the segments of one window."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS

    def __init__(self, window: BroadcastWindow, *args: Any) -> None:
        self._window = window
        super().__init__(*args)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == PLAYLIST:
            playlist = self._window.playlist()
            self._answer(None if playlist is None else playlist.encode(), "application/vnd.apple.mpegurl", "no-cache")
            return
        name = path.removeprefix("/").removesuffix(".ts")
        segment = self._window.segment(int(name)) if name.isascii() and name.isdigit() and len(name) < 10 else None
        self._answer(None if segment is None else segment.content, "video/mp2t", "max-age=60")

    def _answer(self, content: bytes | None, content_type: str, cache_control: str) -> None:
        if content is None:
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", cache_control)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class names it so
        """Logs nothing: requests are normal in a demo."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignores a client that closed the connection during an answer; reports anything else."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


def serve(host: str, port: int) -> None:
    """Broadcasts until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    window = BroadcastWindow()
    with _Server((host, port), partial(_Handler, window)) as server:
        url = f"http://{host}:{server.server_address[1]}{PLAYLIST}"

        def publish(segment: LiveSegment) -> None:
            window.add(segment)
            if segment.media_sequence == 0:
                print(url, flush=True)  # noqa: T201 - read by the caller

        answering = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, name="http")
        answering.start()
        try:
            broadcast(Scene(WIDTH, HEIGHT).picture, publish, stop, width=WIDTH, height=HEIGHT)
        finally:
            server.shutdown()
            answering.join()


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(prog="python -m worker.demo.origin", description="A small live HLS origin.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="port to listen on (default: a free one)")
    arguments = parser.parse_args()
    serve(arguments.host, arguments.port)


if __name__ == "__main__":
    main()
