"""A live HLS origin on loopback, fully controlled by a test, and segments made by recorded recipes."""

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from http.server import BaseHTTPRequestHandler
from typing import Any

import av
import numpy as np
from loopback_http import http_server

from models.testcard import testcard

SEGMENT_SECONDS = 2


@cache
def segment_bytes(*, card: bool, seconds: float = SEGMENT_SECONDS, shade: int = 0) -> bytes:
    """MPEG-TS, H.264 320×180 at 25 frames a second: the test card, or a moving pattern unlike it."""
    width, height, rate = 320, 180, 25
    out, shown = io.BytesIO(), testcard(width, height) if card else None
    with av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "g": "50"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for index in range(round(seconds * rate)):
            picture = _pattern(width, height, index, shade) if shown is None else shown
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)
    return out.getvalue()


@cache
def fragmented_mp4(*, card: bool) -> tuple[bytes, bytes]:
    """The same pictures as fragmented MP4: the content of EXT-X-MAP (ftyp, moov), and one media segment (moof,
    mdat)."""
    with av.open(io.BytesIO(segment_bytes(card=card))) as source:
        out = io.BytesIO()
        flags = {"movflags": "empty_moov+default_base_moof+frag_keyframe", "frag_duration": "10000000"}
        with av.open(out, "w", format="mp4", options=flags) as container:
            stream = container.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    container.mux(packet)
    data = out.getvalue()
    at = data.index(b"moof") - 4
    return data[:at], data[at:]


def _pattern(width: int, height: int, index: int, shade: int) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    rings = np.hypot(x - width / 2 - 3 * index, y - height / 3) / 7 + shade
    return np.stack([127 + 120 * np.sin(rings + phase) for phase in (0, 1, 2)], axis=-1).astype(np.uint8)


@dataclass
class LiveOrigin:
    """The served files, path to body. `listed` is the window of the playlist."""

    port: int = 0
    media_sequence: int = 0
    listed: list[str] = field(default_factory=list)
    bodies: dict[str, bytes] = field(default_factory=dict)
    ended: bool = False
    extra: dict[str, str] = field(default_factory=dict)
    """Name of a segment to lines before its EXTINF."""
    playlist: bytes | None = None
    """Served in place of the playlist made of `listed`."""
    status: dict[str, int] = field(default_factory=dict)
    """Path to a status to answer with."""
    redirects: dict[str, str] = field(default_factory=dict)
    """Path to a Location header, in Latin-1, byte for byte."""
    gates: dict[str, "Gate"] = field(default_factory=dict)
    """Path, or `HEAD path`, to the gate that holds such requests."""
    requests: list[str] = field(default_factory=list)
    arrived: list[float] = field(default_factory=list)
    """Times of these requests, by the monotonic clock."""

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        return f"http://{self.host}/live/index.m3u8"

    def add(self, name: str, body: bytes, *, window: int = 6) -> None:
        """Lists one more segment, and drops the oldest beyond the window."""
        self.bodies[f"/live/{name}"] = body
        self.listed.append(name)
        while len(self.listed) > window:
            self.bodies.pop(f"/live/{self.listed.pop(0)}", None)
            self.media_sequence += 1

    def restart(self) -> None:
        """Restarts: nothing is listed, numbers begin at 0."""
        self.listed.clear()
        self.media_sequence = 0

    def hold(self, name: str, *, head: bool = False) -> "Gate":
        """Holds GET (or HEAD) requests for that segment until the gate is opened."""
        return self.gates.setdefault(f"{'HEAD ' if head else ''}/live/{name}", Gate())

    def playlist_text(self) -> bytes:
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", f"#EXT-X-TARGETDURATION:{SEGMENT_SECONDS}"]
        lines.append(f"#EXT-X-MEDIA-SEQUENCE:{self.media_sequence}")
        for name in self.listed:
            lines += [self.extra[name]] if name in self.extra else []
            lines += [f"#EXTINF:{SEGMENT_SECONDS:.3f},", name]
        return "\n".join([*lines, *(["#EXT-X-ENDLIST"] if self.ended else [])]).encode() + b"\n"


class Gate:
    """A gate that a test waits at and opens."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()


@contextmanager
def serving(origin: LiveOrigin) -> Iterator[LiveOrigin]:
    """Serves `origin` on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            path = self.path.partition("?")[0]
            origin.arrived.append(time.monotonic())
            origin.requests.append(f"{self.command} {path}")
            gate = origin.gates.get(path if with_body else f"HEAD {path}")
            if gate is not None:
                gate.reached.set()
                gate.opened.wait(60)
            if path == "/live/index.m3u8":
                body = origin.playlist_text() if origin.playlist is None else origin.playlist
            else:
                body = origin.bodies.get(path, b"")
            known = path in origin.bodies or path == "/live/index.m3u8"
            status = origin.status.get(path, 302 if path in origin.redirects else 200 if known else 404)
            self.send_response(status)
            if path in origin.redirects:
                self.send_header("Location", origin.redirects[path])
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if with_body:
                self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    def release() -> None:
        for gate in origin.gates.values():
            gate.opened.set()

    with http_server(Handler, release=release) as origin.port:
        yield origin


def eventually(condition: Callable[[], Any], *, within_seconds: float, what: str | Callable[[], str]) -> Any:
    """Waits until `condition` holds, as other processes bring about, and gives its value."""
    give_up = threading.Event()
    timer = threading.Timer(within_seconds, give_up.set)
    timer.start()
    try:
        while not (found := condition()):
            if give_up.wait(0.05):
                raise AssertionError(f"not within {within_seconds} s: {what if isinstance(what, str) else what()}")
        return found
    finally:
        timer.cancel()
