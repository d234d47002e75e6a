"""Workers with models that hang or do not fit, as an operator runs them: real Celery, real Valkey, a real origin."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery
from redis import Redis
from tinymodels import endless_model, install, labels, mean_model

from worker.status import show
from worker.streams.registry import register, watch

DRILLS = "lw:escalations:high"
SEGMENTS = 3


@pytest.fixture
def origin() -> Iterator[LiveOrigin]:
    with serving(LiveOrigin()) as served:
        yield served


def worker_environment(redis_url: str, origin: LiveOrigin, folder: Path) -> dict[str, str]:
    return {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_MANIFESTS_DIR": str(folder),
    }


@pytest.mark.timeout(240)
def test_a_model_that_hangs_costs_its_time_and_nothing_else(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """One model would take every worker, one after the other, and known material would go through."""
    install(
        tmp_path,
        endless_model(),
        outputs=[{"labels": labels("only")}],
        runtime={"time_limit_seconds": 0.3},
        name="slow",
    )
    for index in range(SEGMENTS):
        origin.add(f"{index}.ts", segment_bytes(card=index == 1))
    origin.ended = True
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    with celery("worker", worker_environment(redis_url, origin, tmp_path), tmp_path, "--concurrency=1") as worker:
        eventually(lambda: show(redis, "s")["state"] == "ended", within_seconds=60, what=worker.text)
        eventually(lambda: show(redis, "s")["pending_seconds"] == 0, within_seconds=60, what=worker.text)
        assert worker.process.poll() is None
    record = show(redis, "s")
    assert record["degraded"] == ["classifier-timeout:slow"]
    assert record["moderated_seconds"] == 0
    assert record["reasons"] == {"failed: classifier_failed": record["elapsed_seconds"]}
    assert record["counts"]["failed by slow"] >= SEGMENTS
    (raised,) = [json.loads(fields["event"]) for _, fields in redis.xrange(DRILLS)]
    assert raised["data"]["matches"][0]["list"] == "selftest"
    assert raised["data"]["degraded"] == ["classifier-timeout:slow"]
    assert raised["data"]["versions"]["models"] == {"open-nsfw": "0.1.0", "slow": "1", "testcard": "1"}


def test_a_worker_does_not_start_with_a_manifest_for_another_model(
    redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """It would score everything with nonsense, or fail at each picture."""
    path = install(tmp_path, mean_model("NHWC"))
    with celery("worker", worker_environment(redis_url, origin, tmp_path), tmp_path) as worker:
        assert worker.process.wait(60) != 0
    assert f"{path}, line " in worker.text()
    assert "the graph takes (1, 8, 8, 3)" in worker.text()
