"""docker-compose.yml as an operator runs it: three workers, one of them killed.

Run by `make test-compose` with images that are built and a Docker engine that is there; not part of `make test`.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
ORIGIN = "origin:8080"
UP_SECONDS = 180
ALLOWED = f"{ORIGIN} 10.0.0.0/8:8080 172.16.0.0/12:8080 192.168.0.0/16:8080"
"""A name on the list reaches private addresses of a listed network only: these are those that Docker takes its own
from."""
pytestmark = pytest.mark.timeout(600)


def compose(*arguments: str, check: bool = True, timeout_seconds: float = 120) -> str:
    """Runs `docker compose` on the project and our origin, and gives what it printed on stdout."""
    files = os.environ.get("COMPOSE_FILE", str(ROOT / "docker-compose.yml"))
    environment = {
        **os.environ,
        "COMPOSE_FILE": f"{files}:{ROOT / 'tests/compose/compose.yml'}",
        "LIVEWARDEN_ALLOWED_ORIGINS": ALLOWED,
    }
    done = subprocess.run(
        ["docker", "compose", *arguments],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=timeout_seconds,
        check=False,
    )
    if check and done.returncode:
        pytest.fail(f"docker compose {' '.join(arguments)}: status {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def stack() -> Iterator[None]:
    """The whole stack with three workers, watching one drill; its logs are printed where a test fails."""
    try:
        compose("up", "-d", "--no-build", "--wait", "--scale", "worker=3", timeout_seconds=UP_SECONDS)
        yield
        sys.stdout.write(compose("logs", "--no-color", "--tail", "60", check=False))
    finally:
        compose("down", "-v", "--remove-orphans", "-t", "5", check=False)


def livewarden(*arguments: str) -> str:
    """Runs the command line in the worker that is asked first."""
    return compose("exec", "-T", "worker", "livewarden", *arguments)


def watch(stream_id: str) -> None:
    """Registers the origin's stream as a drill."""
    livewarden("streams", "add", stream_id, "--url", f"http://{ORIGIN}/live.m3u8", "--purpose", "drill")


def next_escalation() -> dict[str, Any]:
    """Takes the next incident, as a moderator does, and decides it."""
    event: dict[str, Any] = json.loads(livewarden("queue", "next", "--by", "tester", "--wait", "60", "--json"))
    livewarden("queue", "decide", event["data"]["incident_id"], "harmless", "--by", "tester")
    return event


def worker_containers() -> list[str]:
    """IDs of the running workers."""
    return compose("ps", "-q", "--status", "running", "worker").split()


def test_an_escalation_comes_out_and_a_killed_worker_stops_nothing() -> None:
    """An operator who follows the README gets no escalations, or one lost container takes the deployment down."""
    assert len(worker_containers()) == 3
    watch("drill-1")
    first = next_escalation()["data"]
    assert (first["stream_id"], first["drill"], first["matches"][0]["list"]) == ("drill-1", True, "selftest")

    # The last one: `exec` goes on asking the first.
    subprocess.run(["docker", "kill", worker_containers()[-1]], check=True, capture_output=True, timeout=30)
    watch("drill-2")
    assert next_escalation()["data"]["stream_id"] == "drill-2"
    ledger = json.loads(livewarden("streams", "show", "drill-1", "--json"))
    assert ledger["state"] == "live"
    assert (ledger["failed_seconds"], ledger["missed_seconds"], ledger["skipped_seconds"]) == (0, 0, 0)


def test_what_a_stream_can_reach_is_little() -> None:
    """A decoder exploit finds root, a writable disk, capabilities or a compiler in the container."""
    script = """
        id -u
        grep CapEff /proc/self/status | cut -f2
        touch /opt/livewarden/x /x 2>/dev/null && echo writable
        command -v gcc cc c++ pip
        true
    """
    uid, capabilities, *too_much = compose("exec", "-T", "worker", "sh", "-c", script).split()
    assert (uid, int(capabilities, 16), too_much) == ("10001", 0, [])


def test_redis_keeps_what_it_is_told() -> None:
    """An escalation is lost with Redis: it lives in memory only, or is dropped to make room."""
    for name, value in (("appendonly", "yes"), ("appendfsync", "always"), ("maxmemory-policy", "noeviction")):
        assert compose("exec", "-T", "redis", "redis-cli", "config", "get", name).split() == [name, value]
