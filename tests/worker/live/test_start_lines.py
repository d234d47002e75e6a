"""Log lines of real worker and beat processes at start, and when the policy asks for an interruption."""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hls_origin import eventually
from live_stack import CeleryProcess, celery
from redis import Redis
from scene import Scene

from worker.runtime.event_log import LOGGED


def lines_of(process: CeleryProcess, message: str) -> list[dict[str, Any]]:
    """Complete lines of its log, as JSON, with this message."""
    found = [json.loads(line) for line in process.text().splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in found if line["message"] == message]


@pytest.fixture
def json_environment(environment: dict[str, str]) -> dict[str, str]:
    return environment | {"LIVEWARDEN_LOG_FORMAT": "json", "LIVEWARDEN_DEPLOYMENT": "blue"}


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_beat_logs_once_that_it_is_ready(json_environment: dict[str, str], tmp_path: Path, log_format: str) -> None:
    """After a rollout the log would not show that beat runs, in which version and for which deployment."""
    expected = {"level": "info", "version": version("livewarden"), "deployment": "blue"}
    with celery(
        "beat", json_environment | {"LIVEWARDEN_LOG_FORMAT": log_format}, tmp_path, "--loglevel=INFO", fresh=True
    ) as beat:
        eventually(lambda: "beat is ready" in beat.text(), within_seconds=60, what=beat.text)
        eventually(lambda: beat.text().endswith("\n"), within_seconds=60, what=beat.text)
    if log_format == "console":
        (line,) = [line for line in beat.text().splitlines() if "beat is ready" in line]
        assert expected["version"] in line
        assert "blue" in line
        return
    (line,) = lines_of(beat, "beat is ready")
    assert {name: line[name] for name in expected} == expected


def test_a_worker_logs_that_it_is_ready_and_each_request_to_interrupt(
    redis: Redis, scene: Scene, json_environment: dict[str, str], tmp_path: Path
) -> None:
    """An operator who asks why a stream was cut off would find no trace of it, nor of the worker's policy."""
    with celery("worker", json_environment, tmp_path, "--concurrency=2", "--loglevel=INFO", fresh=True) as worker:
        (ready,) = eventually(lambda: lines_of(worker, "the worker is ready"), within_seconds=90, what=worker.text)
        assert (ready["level"], ready["deployment"], ready["processes"]) == ("info", "blue", 2)
        eventually(lambda: redis.exists(LOGGED), within_seconds=60, what=worker.text)
        scene.settle("cam-1", scene.hits([1_000, 2_000], lists=["stop"]), segment_key="1.0.sole.4711.00ff")
        said = "interruption of a stream requested"
        (request,) = eventually(lambda: lines_of(worker, said), within_seconds=60, what=worker.text)
        (raised,) = lines_of(worker, "incident raised")
    expected = {"level": "info", "stream_id": "cam-1", "rule": "stop", "purpose": "live"}
    assert {name: request[name] for name in expected} == expected
    assert request["incident_id"] == raised["incident_id"]
    assert len(lines_of(worker, said)) == 1
