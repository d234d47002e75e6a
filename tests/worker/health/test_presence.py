"""A deployment whose processes are gone, as an observer sees it: real workers, real beat, SIGKILL."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import Ran, livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery
from redis import Redis

from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status


@pytest.fixture
def origin() -> Iterator[LiveOrigin]:
    with serving(LiveOrigin()) as served:
        for index in range(3):
            served.add(f"{index}.ts", segment_bytes(card=False))
        yield served


def doctor(environment: dict[str, str]) -> tuple[Ran, dict[str, dict[str, str]]]:
    ran = livewarden("doctor", "--json", environment=environment)
    return ran, {check["name"]: check for check in ran.records}


def test_a_dead_deployment_looks_dead_and_recovers(
    redis: Redis, environment: dict[str, str], origin: LiveOrigin, tmp_path: Path
) -> None:
    """Everything would look healthy although no stream is watched."""
    origin.status["/wrong/index.m3u8"] = 404
    watch(redis, register("s", origin.url, url_template="", legal_basis=""))
    with (
        celery("beat", environment, tmp_path) as beat,
        celery("worker", environment, tmp_path, "--concurrency=2") as worker,
    ):
        eventually(
            lambda: stream_status(redis, "s")["moderated_seconds"], within_seconds=90, what="the stream is watched"
        )
        wrong = origin.url.replace("/live/", "/wrong/")
        watch(redis, register("wrong", wrong, url_template="", legal_basis=""))
        eventually(lambda: redis.xlen(STREAM_EVENTS), within_seconds=60, what="the wrong URL's event is out")
        eventually(lambda: doctor(environment)[1]["beat"]["state"] == "ok", within_seconds=60, what="beat is there")
        ran, checks = doctor(environment)
        assert {name: checks[name]["state"] for name in ("workers", "beat", "streams")} == dict.fromkeys(
            ("workers", "beat", "streams"), "ok"
        )
        assert "1 worker with 2 processes" in checks["workers"]["found"]
        assert ran.status == 0
        assert stream_status(redis, "s")["unwatched_since"] is None
        for process in (worker, beat):
            process.kill_group()
        killed = time.monotonic()
        eventually(
            lambda: stream_status(redis, "s")["unwatched_since"], within_seconds=15, what="the stream is unwatched"
        )
        assert time.monotonic() - killed < 15
        ran, checks = doctor(environment)
        assert ran.status == 1
        assert {checks[name]["state"] for name in ("workers", "beat", "streams")} == {"fail"}
        assert checks["workers"]["found"].startswith("none runs: 2 streams to be watched")
        record = stream_status(redis, "s")
        shown = livewarden("streams", "show", "s", environment=environment).out
        listed = livewarden("streams", "list", environment=environment).out
        assert f"since {record['unwatched_since']}" in shown
        assert "s ago" in shown
        assert f"unwatched since {record['unwatched_since'][:16].replace('T', ' ')}" in listed
        eventually(
            lambda: stream_status(redis, "s")["lag_seconds"] >= record["lag_seconds"] + 1,
            within_seconds=60,
            what="lag grows",
        )
    with celery("beat", environment, tmp_path), celery("worker", environment, tmp_path, "--concurrency=2"):
        origin.add("3.ts", segment_bytes(card=False))
        eventually(
            lambda: stream_status(redis, "s")["unwatched_since"] is None, within_seconds=60, what="it is watched again"
        )
        eventually(lambda: doctor(environment)[0].status == 0, within_seconds=60, what="doctor has nothing to say")
        eventually(lambda: stream_status(redis, "s")["moderated_seconds"] == 8, within_seconds=60, what="it goes on")
    _, checks = doctor(environment)
    assert checks["workers"]["found"].startswith("none "), "who ends in order takes leave"
