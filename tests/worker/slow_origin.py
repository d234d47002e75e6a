"""An origin on loopback that is slow in each of the possible ways."""

import contextlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any

from loopback_http import http_server

SEGMENT_SECONDS = 2
DRIP_SECONDS = 0.3
"""Delay between two bytes of a dripping answer."""

DRIP, SILENT, HEADERS, ALMOST_SLOW = "drip", "silent", "headers", "almost_slow"
"""A byte every `DRIP_SECONDS`; a connection that is accepted and never answered; headers without a body; an answer
after `ALMOST_SLOW_SECONDS`, to a playlist that lists everything anew each time."""

ALMOST_SLOW_SECONDS = 0.7
"""Less than what marks a stream as slow."""


@dataclass
class SlowOrigin:
    """Serves `/{name}/index.m3u8` and its segments for each of `streams`, in that stream's way.

    A request is held until `released`, or until the client has gone.
    """

    streams: dict[str, str] = field(default_factory=dict)
    """Stream name to one of the ways above, in which its segments are served."""
    slow_playlists: bool = False
    """True if playlists are served in the same way; there are no segments then."""
    segments: int = 6
    """Segments listed of each stream."""
    port: int = 0
    requests: list[str] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)
    _held: dict[int, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def held(self) -> set[int]:
        """Numbers of the requests that are held now; numbers are never reused."""
        return set(self._held)

    def url(self, name: str) -> str:
        return f"http://{self.host}/{name}/index.m3u8"

    def playlist(self, first: int = 0) -> bytes:
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{first}")
        for index in range(first, first + self.segments):
            lines += [f"#EXTINF:{SEGMENT_SECONDS:.3f},", f"{index}.ts"]
        return "\n".join(lines).encode() + b"\n"


@contextmanager
def serving_slowly(origin: SlowOrigin) -> Iterator[SlowOrigin]:
    """Serves `origin` on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            origin.requests.append(self.path)
            number = len(origin.requests)
            _, name, file = self.path.split("/")
            if file == "index.m3u8" and not origin.slow_playlists:
                again = origin.requests.count(self.path) if origin.streams[name] == ALMOST_SLOW else 0
                self._answer(origin.playlist(again * origin.segments))
                return
            origin._held[number] = self.path
            try:
                with contextlib.suppress(OSError):
                    self._hold(origin.streams[name])
            finally:
                del origin._held[number]

        def _answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def _hold(self, way: str) -> None:
            if way == ALMOST_SLOW:
                origin.released.wait(ALMOST_SLOW_SECONDS)
                self._answer(b"no media")
                return
            self.close_connection = True
            if way != SILENT:
                self.send_response(200)
                self.send_header("Content-Length", "1000000")
                self.end_headers()
            self.connection.settimeout(DRIP_SECONDS)
            while not origin.released.wait(0 if way == SILENT else DRIP_SECONDS):
                if way == DRIP:
                    self.wfile.write(b"G")
                else:
                    with contextlib.suppress(TimeoutError):
                        if self.connection.recv(1) == b"":
                            return

        def log_message(self, *_: Any) -> None:
            pass

    with http_server(Handler, release=origin.released.set) as origin.port:
        yield origin
