"""Live HLS channels on loopback in real time, faults of their origin, and hostile playlists."""

import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

import cv2
import numpy as np
from clips import HEIGHT, RATE, WIDTH, Rgb, clip
from hls_origin import SEGMENT_SECONDS, segment_bytes
from loopback_http import http_server

WINDOW_SEGMENTS = 8
KEPT_SEGMENTS = 40
"""Bodies outlive the playlist, as on every CDN: 80 s."""
DRIP_SECONDS = 0.3
"""Delay between two bytes."""
FLOOD_SEGMENTS = 19_000


class Trouble(StrEnum):
    """Faults of an honest channel's origin."""

    NONE = "none"
    SERVER_ERROR = "5xx"
    DRIP = "drip"
    RESET = "reset"
    """Connections are reset after the request, as by a server that is restarted."""


@cache
def benign(shade: int) -> bytes:
    """A segment of a moving pattern."""
    return segment_bytes(card=False, shade=shade)


def listed_picture(index: int) -> Rgb:
    """Smooth coloured noise, different for each `index`: harmless, and far from all others in PDQ."""
    noise = np.random.default_rng(index).integers(0, 256, (9, 16, 3), dtype=np.uint8)
    return np.asarray(cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8)


def segment_with(picture: Rgb) -> bytes:
    """A segment in which the picture is shown for half a second, hidden between keyframes."""
    around = [_drifting(frame) for frame in range(round(SEGMENT_SECONDS * RATE))]
    shown = [picture] * round(0.5 * RATE)
    return clip([*around[:20], *shown, *around[20 + len(shown) :]], gop_seconds=SEGMENT_SECONDS)


def _drifting(frame: int) -> Rgb:
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    wave = 127 + 90 * np.sin((x + 2 * frame) / 40) * np.cos(y / 50)
    return np.repeat(wave.astype(np.uint8)[:, :, None], 3, axis=2)


@dataclass
class Planted:
    """A segment with a listed picture in it."""

    index: int
    channel: str
    body: bytes = field(repr=False)
    listed_at: float | None = None
    """Unix seconds at which the playlist began to list it."""

    @property
    def list_name(self) -> str:
        """The hash list that contains its picture, and the name of the list's rule."""
        return f"plant-{self.index}"


@dataclass
class Channel:
    """One live stream: a new segment every two seconds."""

    name: str
    trouble: Trouble = Trouble.NONE
    ended: bool = False
    _run: int = 0
    _sequence: int = 0
    _made: int = 0
    _listed: deque[str] = field(default_factory=deque)
    _bodies: dict[str, bytes] = field(default_factory=dict)
    _planted: deque[Planted] = field(default_factory=deque)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def step(self) -> None:
        """Lists the next segment."""
        with self._lock:
            if len(self._listed) == WINDOW_SEGMENTS:
                self._sequence += 1
                self._listed.popleft()
            name = f"{self._run}-{self._sequence + len(self._listed)}.ts"
            planted = self._planted.popleft() if self._planted else None
            self._bodies[name] = benign(self._made % 5) if planted is None else planted.body
            self._listed.append(name)
            self._made += 1
            if planted is not None:
                planted.listed_at = time.time()
            while len(self._bodies) > KEPT_SEGMENTS:
                self._bodies.pop(next(iter(self._bodies)))

    def plant(self, planted: Planted) -> None:
        """Makes it the next segment."""
        with self._lock:
            self._planted.append(planted)

    def restart(self) -> None:
        """Restarts, like an origin whose broadcaster has reconnected."""
        with self._lock:
            self._run, self._sequence = self._run + 1, 0
            self._listed.clear()

    def playlist(self) -> bytes:
        with self._lock:
            lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}"]
            lines.append(f"#EXT-X-MEDIA-SEQUENCE:{self._sequence}")
            for name in self._listed:
                lines += [f"#EXTINF:{SEGMENT_SECONDS:.3f},", name]
            return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if self.ended else [])]).encode() + b"\n"

    @property
    def made_seconds(self) -> float:
        """Seconds of video since the channel began."""
        return self._made * SEGMENT_SECONDS

    def body(self, name: str) -> bytes | None:
        with self._lock:
            return self._bodies.get(name)


def hostile_answer(kind: str, path: str, count: int) -> tuple[int, dict[str, str], bytes, bool]:
    """Answer of a hostile stream's origin: status, headers, body, and whether it drips."""
    head = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:2\n"
    if not path.endswith(".m3u8"):
        return 200, {}, benign(0), kind == "drip"
    match kind:
        case "redirect":
            return 302, {"Location": "http://[v1.::1]:8080/x"}, b"", False
        case "rendition":
            text = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=640x360\nhttp://[v1.::1]:8080/x.m3u8\n"
            return 200, {}, text.encode(), False
        case "uris":
            odd = ["http://[v1.::1]/x.ts", "\x1b[31mred\x07.ts", "\u202egpj.ts", "http://127.0.0.1:1/\x9b.ts"]
            listed = "".join(f"#EXTINF:2,\n{uri}\n" for uri in odd)
            return 200, {}, f"{head}#EXT-X-MEDIA-SEQUENCE:{count}\n{listed}".encode(), False
        case "flood":
            listed = "".join(f"#EXTINF:2,\n{count}-{index}.ts\n" for index in range(FLOOD_SEGMENTS))
            return 200, {}, f"{head}#EXT-X-MEDIA-SEQUENCE:0\n{listed}".encode(), False
        case _:
            listed = "".join(f"#EXTINF:2,\n{index}.ts\n" for index in range(6))
            return 200, {}, f"{head}#EXT-X-MEDIA-SEQUENCE:0\n{listed}".encode(), False


@dataclass
class Origin:
    """The server of all streams, like a platform's CDN."""

    channels: dict[str, Channel]
    port: int = 0
    stopping: threading.Event = field(default_factory=threading.Event)

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def url(self, channel: str) -> str:
        return f"http://{self.host}/live/{channel}/index.m3u8"

    def hostile_url(self, kind: str, number: int) -> str:
        return f"http://{self.host}/hostile/{kind}/{number}/index.m3u8"


def _handler(origin: Origin) -> type[BaseHTTPRequestHandler]:
    asked: dict[str, int] = {}

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def _answer(self, *, with_body: bool) -> None:
            _, kind, name, *rest = self.path.partition("?")[0].split("/")
            if kind == "hostile":
                asked[self.path] = asked.get(self.path, 0) + 1
                self._send(*hostile_answer(name, self.path, asked[self.path]), with_body=with_body)
                return
            channel = origin.channels[name]
            if channel.trouble is Trouble.SERVER_ERROR:
                self._send(503, {}, b"", False, with_body=with_body)
                return
            if channel.trouble is Trouble.RESET:
                self._reset()
                return
            listed = rest[0] == "index.m3u8"
            body = channel.playlist() if listed else channel.body(rest[0])
            drips = channel.trouble is Trouble.DRIP and not listed
            self._send(404 if body is None else 200, {}, body or b"", drips, with_body=with_body)

        def _send(self, status: int, headers: dict[str, str], body: bytes, drips: bool, *, with_body: bool) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if not with_body:
                return
            if not drips:
                self.wfile.write(body)
                return
            for place in range(len(body)):
                self.wfile.write(body[place : place + 1])
                if origin.stopping.wait(DRIP_SECONDS):
                    self.close_connection = True
                    return

        def _reset(self) -> None:
            """Closes with RST, by disabling linger."""
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def serving(names: Sequence[str]) -> Iterator[Origin]:
    """Serves channels of these names, each with a new segment every two seconds."""
    origin = Origin(channels={name: Channel(name) for name in names})

    def go_on() -> None:
        # Staggered, as real streams are.
        due = {name: time.monotonic() + SEGMENT_SECONDS * place / len(names) for place, name in enumerate(names)}
        while not origin.stopping.wait(0.05):
            for name, when in due.items():
                if time.monotonic() >= when:
                    due[name] = when + SEGMENT_SECONDS
                    if not origin.channels[name].ended:
                        origin.channels[name].step()

    clock = threading.Thread(target=go_on)
    with http_server(_handler(origin), release=origin.stopping.set) as origin.port:
        clock.start()
        try:
            yield origin
        finally:
            origin.stopping.set()
            clock.join()
