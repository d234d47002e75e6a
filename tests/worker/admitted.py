"""A stream of a test's origin, registered and polled without workers, and its ledger."""

import pytest
from hls_origin import LiveOrigin
from redis import Redis

from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, GENERATIONS, watch
from worker.ingest.status import stream_status
from worker.runtime.worker_process import SEED, WorkerProcess


def draw_alike(redis: Redis) -> None:
    """Has the same samples drawn in each run: from the deployment's secret and from a stream's watch generation, which
    would be the time. One segment in a hundred would have an audit more."""
    redis.set(SEED, "s3cret")
    redis.set(GENERATIONS, 1_700_000_000)


def admit(process: WorkerProcess, origin: LiveOrigin, stream_id: str = "s") -> list[str]:
    """Registers and polls the stream; gives the keys of new segments in stream order."""
    watch(process.redis, register(stream_id, origin.url, purpose="drill", url_template="", legal_basis=""))
    return poll(process, stream_id)


def poll(process: WorkerProcess, stream_id: str = "s") -> list[str]:
    keys: list[str] = []
    process.redis.zadd(DUE, {stream_id: 0}, xx=True)
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    return sorted(keys, key=lambda key: int(key.split(".")[3]))


def reasons(process: WorkerProcess, stream_id: str = "s") -> dict[str, float]:
    """The ledger's reasons, once it adds up."""
    record = stream_status(process.redis, stream_id)
    parts = ("moderated", "skipped", "failed", "missed", "pending")
    assert sum(record[f"{part}_seconds"] for part in parts) == pytest.approx(record["elapsed_seconds"], abs=1e-9)
    return record["reasons"]
