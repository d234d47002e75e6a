"""Texts of streams and messages that try to break a parser or steer a terminal, on their way to a log and a
terminal."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, ThreadingTCPServer
from threading import Thread

import pytest
from celery import Celery
from commandline import COMMAND, SECONDS
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery
from redis import Redis
from steering import STEERING, steering_in

from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status

BAD_HOST = "http://[v1.::1]:8080/x"
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"


@pytest.fixture
def origin() -> Iterator[LiveOrigin]:
    """One honest stream, and one stream of each hostile kind."""
    with serving(LiveOrigin()) as served:
        served.add("0.ts", segment_bytes(card=False))
        served.ended = True
        served.redirects = {
            "/redirect.m3u8": BAD_HOST,
            "/bytes.m3u8": "http://[v1.::1]:8080/\x9b\xff",
            "/elsewhere.m3u8": f"http://\xff\x9b.example:{served.port}/",
        }
        playlists = {
            "rendition": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{BAD_HOST}\n",
            "segment": f"{HEAD}#EXTINF:2,\n{BAD_HOST}\n#EXTINF:2,\nhttp://{STEERING}/x\n#EXTINF:2,\n{STEERING}.ts\n",
            "name": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS={STEERING}\n{STEERING}/low.m3u8\n",
            "tag": f"{HEAD}#EXTINF:{STEERING},\na.ts\n",
            "line": f"{HEAD}{STEERING}\n",
        }
        served.bodies |= {f"/{name}.m3u8": text.encode() for name, text in playlists.items()}
        yield served


HOSTILE = ("redirect", "bytes", "elsewhere", "rendition", "segment", "name", "tag", "line")


def watch_all(redis: Redis, origin: LiveOrigin) -> None:
    for name in HOSTILE:
        url = f"http://{origin.host}/{name}.m3u8"
        watch(redis, register(name, url, purpose="drill", url_template="", legal_basis=""))
    watch(redis, register("honest", origin.url, purpose="drill", url_template="", legal_basis=""))


def test_hostile_urls_cost_no_other_stream_of_their_batch_its_poll(redis: Redis, origin: LiveOrigin) -> None:
    """One stream whose redirect, rendition or segment breaks a URL parser would stop up to fifty for good."""
    watch_all(redis, origin)
    fetcher = Fetcher(AllowedOrigins.parse([origin.host]))
    sent: list[str] = []
    assert poll_due(redis, fetcher, height_pixels=360, send=lambda stream_id, *_: sent.append(stream_id)) == 9
    fetcher.close()
    assert "honest" in sent
    assert stream_status(redis, "honest")["elapsed_seconds"] == 2
    for name in ("redirect", "bytes", "elsewhere", "rendition"):
        assert stream_status(redis, name)["reason"] == "bad_url", name


def test_no_text_of_a_stream_steers_a_log_or_a_terminal(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """A broadcaster could forge or hide log lines, or run what a terminal's escape sequences run."""
    watch_all(redis, origin)
    platform = Celery(broker=redis_url)
    forged = f"x\n[2026-01-01 00:00:00,000: INFO/MainProcess] forged {STEERING}"
    platform.send_task("livewarden.watch_stream", args=["a/b"], task_id=forged, queue="control")
    platform.send_task(f"livewarden.none{STEERING}", args=[STEERING], task_id=forged, queue="control")
    platform.close()
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
    with celery("worker", environment, tmp_path, "--concurrency=1", "--loglevel=INFO") as worker:
        eventually(
            lambda: stream_status(redis, "honest")["moderated_seconds"] == 2 and "segment" in worker.text(),
            within_seconds=90,
            what=worker.text,
        )
        eventually(lambda: "livewarden.none" in worker.text(), within_seconds=60, what=worker.text)
        raw = worker.log.read_bytes()
    assert steering_in(raw) == []
    text = raw.decode()
    assert "\\u001b[2J" in text
    assert "\\u202e" in text
    assert not any(line.startswith("[2026-01-01 00:00:00") for line in text.splitlines())
    # Celery's own error, about an unknown task.
    assert text.count("Traceback") == text.count("strategy = strategies[type_]")
    for command in (["streams", "list"], *(["streams", "show", name] for name in ("name", "segment"))):
        done = subprocess.run(
            [COMMAND, *command],
            env={"PATH": "/usr/bin:/bin", "LIVEWARDEN_REDIS_URL": redis_url, "HOME": str(tmp_path)},
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert steering_in(done.stdout) == []


@contextmanager
def steering_redis() -> Iterator[int]:
    """Answers each command with an error whose text steers a terminal; gives the port."""

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            while header := self.rfile.readline():
                for _ in range(int(header[1:])):
                    self.rfile.read(int(self.rfile.readline()[1:]) + 2)
                self.wfile.write(f"-ERR {STEERING}\r\n".encode())

    class Server(ThreadingTCPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()


def test_nothing_steers_the_log_of_beat(tmp_path: Path) -> None:
    """The text of an error, which Redis or a proxy composes from what it was sent, would steer a terminal."""
    with steering_redis() as port:
        environment = {"LIVEWARDEN_REDIS_URL": f"redis://127.0.0.1:{port}/0"}
        with celery("beat", environment, tmp_path, "--loglevel=DEBUG") as beat:
            eventually(lambda: "[2J" in beat.text(), within_seconds=60, what=beat.text)
        raw = beat.log.read_bytes()
    assert steering_in(raw) == []
    assert "\\u001b[2J" in raw.decode()
