"""A stream of a test's origin, registered and polled without workers, and its ledger."""

from typing import Any

from hls_origin import LiveOrigin
from ledgers import check_equation
from redis import Redis

from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, GENERATIONS, watch
from worker.ingest.status import stream_status
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import SEED, WorkerProcess


def draw_alike(redis: Redis) -> None:
    """Has the same samples drawn in each run: from the deployment's secret and from a stream's watch generation, which
    would be the time. One segment in a hundred would have an audit more."""
    redis.set(SEED, "s3cret")
    redis.set(GENERATIONS, 1_700_000_000)


def admit(process: WorkerProcess, origin: LiveOrigin, stream_id: str = "s", *, purpose: str = "drill") -> list[str]:
    """Registers and polls the stream; gives the keys of new segments in stream order."""
    watch(process.redis, register(stream_id, origin.url, purpose=purpose, url_template="", legal_basis=""))
    return poll(process, stream_id)


def moderate_all(
    process: WorkerProcess, origin: LiveOrigin, stream_id: str = "s", *, purpose: str = "drill"
) -> dict[str, Any]:
    """Watches the stream, moderates what it lists, and gives its record, which adds up."""
    for key in admit(process, origin, stream_id, purpose=purpose):
        moderate_segment(process, stream_id, key)
    check_equation(process.redis, stream_id)
    return stream_status(process.redis, stream_id)


def poll(process: WorkerProcess, stream_id: str = "s") -> list[str]:
    keys: list[str] = []
    process.redis.zadd(DUE, {stream_id: 0}, xx=True)
    poll_due(process.redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
    return sorted(keys, key=lambda key: int(key.split(".")[3]))


def reasons(process: WorkerProcess, stream_id: str = "s") -> dict[str, float]:
    """The ledger's reasons, once it adds up."""
    check_equation(process.redis, stream_id)
    return stream_status(process.redis, stream_id)["reasons"]
