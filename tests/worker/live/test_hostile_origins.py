"""Origins with hostile answers beside honest streams, on real workers."""

import gzip
import io
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cache
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import av
import numpy as np
from hls_origin import LiveOrigin, eventually, fragmented_mp4, segment_bytes, serving
from ledgers import check_equation, escalated
from live_stack import celery
from loopback_http import http_server
from redis import Redis

from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status

SEGMENTS, PRIVATE = 3, 6
"""Segments listed of each stream; the stream whose segments redirect has one for each target."""
HONEST = ("honest-0", "honest-1")


@cache
def slow_to_decode() -> bytes:
    """MPEG-TS of 2 s, 4K, 1,500 pictures in one GOP: a keyframe, and one picture that repeats it. Takes one core 8 s to
    decode (measured with PyAV and one thread)."""
    width, height, rate = 3840, 2160, 750
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as container:
        stream: Any = container.add_stream("libx264", rate=rate, options={"preset": "ultrafast", "g": "9999"})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        picture = av.VideoFrame(width, height, "yuv420p")
        for plane in picture.planes:
            plane.update((np.arange(plane.buffer_size) // 97 % 200).astype(np.uint8).tobytes())
        key, repeated = (
            bytes(packet) for packet in [*stream.encode(picture), *stream.encode(picture), *stream.encode()]
        )
        for index in range(2 * rate):
            packet = av.Packet(repeated if index else key)
            packet.stream, packet.time_base, packet.is_keyframe = stream, Fraction(1, rate), index == 0
            packet.pts = packet.dts = index
            container.mux(packet)
    return out.getvalue()


@cache
def bomb() -> bytes:
    """70 MiB of zeros in 70 kB, above the limit of a segment."""
    return gzip.compress(bytes(70 << 20))


@dataclass
class HostileOrigin:
    """Serves `/{name}/index.m3u8` and the segments of each name, each name with its own fault."""

    inner: str
    """Host and port of a service that only the worker's machine can reach."""
    redis: str
    port: int = 0
    requests: list[str] = field(default_factory=list)

    def url(self, name: str) -> str:
        return f"http://127.0.0.1:{self.port}/{name}/index.m3u8"

    def requested(self, name: str, suffix: str) -> int:
        return sum(path.startswith(f"/{name}/") and path.endswith(suffix) for path in self.requests)

    def playlist(self, name: str) -> bytes:
        polls = self.requested(name, "index.m3u8")
        lines = ["#EXTM3U", "#EXT-X-VERSION:6", "#EXT-X-TARGETDURATION:2"]
        for index in range(PRIVATE if name == "to-private" else SEGMENTS):
            if name == "keys":
                lines.append(f'#EXT-X-KEY:METHOD=AES-128,URI="{polls}-{index}.key",IV=0x{polls:032x}')
            if name in {"keys", "maps"}:
                lines.append(f'#EXT-X-MAP:URI="{polls}-{index}.mp4"')
            if name == "other-part":
                lines.append(f"#EXT-X-BYTERANGE:100@{100 * index}")
            lines += ["#EXTINF:2,", f"{index}.ts"]
        return "\n".join(lines).encode()

    def private(self, index: int) -> str:
        port = self.inner.rpartition(":")[2]
        return (
            f"http://{self.inner}/",
            f"http://localhost:{port}/",
            f"http://[::ffff:127.0.0.1]:{port}/",
            "http://169.254.169.254/latest/meta-data/",
            "http://10.0.0.1/",
            f"http://{self.redis}/",
        )[index]


@contextmanager
def hostile(origin: HostileOrigin) -> Iterator[HostileOrigin]:
    """Serves `origin` on a free port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            origin.requests.append(self.path)
            _, name, file = self.path.split("/")
            answer = getattr(self, f"answer_{name.replace('-', '_')}", None)
            if answer is not None and (file.endswith(".ts") or name in {"bomb-playlist", "redis-playlist"}):
                answer(file)
            elif file == "index.m3u8":
                self.reply(200, origin.playlist(name))
            elif name == "maps" and file.endswith(".mp4"):
                self.reply(200, fragmented_mp4(card=False)[0])
            else:
                self.reply(404)

        def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            for header, value in headers.items():
                self.send_header(header.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def answer_bomb_playlist(self, _: str) -> None:
            self.reply(200, bomb(), Content_Encoding="gzip")

        def answer_bomb_segments(self, _: str) -> None:
            self.reply(200, bomb(), Content_Encoding="gzip")

        def answer_unasked_part(self, _: str) -> None:
            self.reply(206, segment_bytes(card=True), Content_Range="bytes 0-9/10")

        def answer_other_part(self, _: str) -> None:
            self.reply(206, segment_bytes(card=True)[:100], Content_Range="bytes 700-799/800")

        def answer_maps(self, _: str) -> None:
            self.reply(200, fragmented_mp4(card=False)[1])

        def answer_redis_playlist(self, _: str) -> None:
            self.reply(302, Location=f"http://{origin.redis}/")

        def answer_to_private(self, file: str) -> None:
            self.reply(302, Location=origin.private(int(file.partition(".")[0])))

        def answer_slow_media(self, _: str) -> None:
            self.reply(200, slow_to_decode())

        def log_message(self, *_: Any) -> None:
            pass

    with http_server(Handler, release=lambda: None) as origin.port:
        yield origin


HOSTILE = (
    "slow-media",
    "bomb-playlist",
    "bomb-segments",
    "unasked-part",
    "other-part",
    "keys",
    "maps",
    "redis-playlist",
    "to-private",
)


def test_hostile_origins_cost_honest_streams_nothing(redis: Redis, redis_url: str, tmp_path: Path):
    """A broadcaster's own origin could stop moderation, or reach services that only workers can reach."""
    slow_to_decode(), bomb()  # before the test waits for them
    with ExitStack() as stack:
        inner = stack.enter_context(serving(LiveOrigin()))
        redis_host = redis_url.partition("://")[2].partition("/")[0]
        origin = stack.enter_context(hostile(HostileOrigin(inner=inner.host, redis=redis_host)))
        honest = {name: stack.enter_context(serving(LiveOrigin())) for name in HONEST}
        for served in honest.values():
            for index in range(3):
                served.add(f"{index}.ts", segment_bytes(card=index == 2))
        allowed = [f"127.0.0.1:{origin.port}", *(served.host for served in honest.values())]
        environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": ",".join(allowed)}
        worker = stack.enter_context(celery("worker", environment, tmp_path, "--concurrency=2"))
        stack.enter_context(celery("beat", environment, tmp_path))

        for name in HOSTILE:
            # Sampled closely: otherwise it is chance whether a late picture of the slow segment is wanted.
            risk_prior = 0.9 if name == "slow-media" else 0.0
            watch(
                redis,
                register(
                    name, origin.url(name), purpose="drill", risk_prior=risk_prior, url_template="", legal_basis=""
                ),
            )
        eventually(lambda: origin.requested("slow-media", ".ts"), within_seconds=60, what=worker.text)
        for name, served in honest.items():
            watch(redis, register(name, served.url, purpose="drill", url_template="", legal_basis=""))
        eventually(lambda: escalated(redis) == set(HONEST), within_seconds=60, what=worker.text)

        expected = {
            "bomb-segments": {"failed: too_large": 6.0},
            "keys": {"failed: encrypted": 6.0},
            "to-private": {"failed: refused_origin": 12.0},
        }

        def failed() -> dict[str, dict[str, float]]:
            """The failed seconds; a playlist that does not go on causes missed seconds besides."""
            return {
                name: {
                    what: seconds for what, seconds in stream_status(redis, name)["reasons"].items() if "failed" in what
                }
                for name in expected
            }

        eventually(lambda: failed() == expected, within_seconds=60, what=lambda: f"{failed()}\n{worker.text()[-6000:]}")
        eventually(lambda: stream_status(redis, "maps")["moderated_seconds"] == 6, within_seconds=60, what=worker.text)
        # Its bound of macroblocks has next to nothing of it decoded.
        eventually(
            lambda: stream_status(redis, "slow-media")["reasons"].get("skipped: budget", 0) > 1,
            within_seconds=60,
            what=worker.text,
        )
        assert stream_status(redis, "bomb-playlist")["reason"] == "too_large"
        assert stream_status(redis, "redis-playlist")["reason"] == "refused_origin"
        assert inner.requests == []
        for name in ("unasked-part", "other-part"):
            assert origin.requested(name, ".ts") >= SEGMENTS
            assert stream_status(redis, name)["moderated_seconds"] == 0
        # The playlist that names another section at each poll has each of its segments moderated once.
        assert origin.requested("maps", ".ts") == SEGMENTS
        # A broadcaster's key is never requested, since its URL could be any.
        assert {path.rpartition("/")[2] for path in origin.requests if path.startswith("/keys/")} == {"index.m3u8"}
        assert escalated(redis) == set(HONEST)
        assert "Traceback" not in worker.text()
        for name in (*HOSTILE, *HONEST):
            check_equation(redis, name)
