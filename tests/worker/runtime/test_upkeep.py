"""Periodic steps of upkeep go on, whatever one stream has left in Redis."""

import logging
from collections.abc import Iterator

import pytest
from redis import Redis

from config.settings import Settings
from worker.ingest.poll.origin_gaps import TOLD
from worker.runtime.upkeep import look_after
from worker.runtime.worker_process import WorkerProcess


@pytest.fixture
def process(redis: Redis, redis_url: str) -> Iterator[WorkerProcess]:
    assert redis.ping()
    process = WorkerProcess(Settings.from_mapping({"LIVEWARDEN_REDIS_URL": redis_url}))
    yield process
    process.close()


def test_a_failing_step_does_not_stop_others(process: WorkerProcess, redis: Redis, caplog: pytest.LogCaptureFixture):
    """A damaged record of one origin would stop look-backs for new hashes for as long as it exists."""
    redis.set(TOLD, "no hash")
    housekeeping: list[str] = []
    with caplog.at_level(logging.WARNING):
        look_after(process, send=lambda *_: None, send_housekeeping=housekeeping.append)
    assert "keep_log" in housekeeping
    assert [record.getMessage().split(" in ")[0] for record in caplog.records] == [
        "upkeep: gaps of origins failed: ResponseError"
    ]
