"""Workers with models that hang or do not fit, as an operator runs them: real Celery, real Valkey, a real origin."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from commandline import livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import celery
from onnx import load_model_from_string
from redis import Redis
from tinymodels import constant_model, endless_model, install, labels, mean_model, one_node_model

from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.policyload.watch import policy_reports

DRILLS = "lw:escalations:high"
SEGMENTS = 3


def worker_environment(redis_url: str, origin: LiveOrigin, folder: Path) -> dict[str, str]:
    return {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origin.host,
        "LIVEWARDEN_MANIFESTS_DIR": str(folder),
    }


def test_a_model_that_hangs_costs_only_its_own_time(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """One model would block every worker, one after another, and known material would go unnoticed."""
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
        eventually(lambda: stream_status(redis, "s")["state"] == "ended", within_seconds=60, what=worker.text)
        eventually(lambda: stream_status(redis, "s")["pending_seconds"] == 0, within_seconds=60, what=worker.text)
        assert worker.process.poll() is None
    record = stream_status(redis, "s")
    assert record["degraded"] == ["classifier-timeout:slow"]
    assert record["moderated_seconds"] == 0
    assert record["reasons"] == {"failed: classifier_failed": record["elapsed_seconds"]}
    assert record["counts"]["failed by slow"] >= SEGMENTS
    # Its closing follows, once the stream's end is noticed.
    raised, *_ = [json.loads(fields["event"]) for _, fields in redis.xrange(DRILLS)]
    assert raised["data"]["matches"][0]["list"] == "selftest"
    assert raised["data"]["degraded"] == ["classifier-timeout:slow"]
    assert raised["data"]["versions"]["models"] == {"open-nsfw": "0.1.0", "slow": "1", "testcard": "1"}


def test_a_model_that_never_returns_is_suspended_and_known_material_is_raised(
    redis: Redis, redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """One operation of one model would end worker after worker, and each segment with a listed picture would be
    lost."""
    only = [{"labels": labels("only")}]
    path = install(tmp_path, one_node_model(), outputs=only, runtime={"time_limit_seconds": 1.0}, name="stuck")
    for index in range(SEGMENTS):
        origin.add(f"{index}.ts", segment_bytes(card=index == 1))
    origin.ended = True
    environment = worker_environment(redis_url, origin, tmp_path)
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        eventually(lambda: stream_status(redis, "s")["state"] == "ended", within_seconds=60, what=worker.text)
        eventually(lambda: stream_status(redis, "s")["pending_seconds"] == 0, within_seconds=60, what=worker.text)
        assert worker.process.poll() is None
        log = worker.text()
    record = stream_status(redis, "s")
    assert record["degraded"] == ["model-stuck:stuck"]
    assert record["reasons"] == {"failed: classifier_failed": record["elapsed_seconds"]}
    assert set(record["last_scores"]) == {"open-nsfw/nsfw", "open-nsfw/sfw", "testcard/card"}
    # Its closing follows, once the stream's end is noticed.
    raised, *_ = [json.loads(fields["event"]) for _, fields in redis.xrange(DRILLS)]
    assert raised["data"]["matches"][0]["list"] == "selftest"
    assert raised["data"]["degraded"] == ["model-stuck:stuck"]
    assert log.count("stuck: a run on a picture did not stop within 3 s after its limit of 1 s") == 1
    operations = [json.loads(fields["event"]) for _, fields in redis.xrange("lw:operations")]
    (event,) = [event for event in operations if event["type"] == "livewarden.operations.model_stuck.v1"]
    assert event["subject"] == "stuck"
    assert event["data"]["sha256"] == yaml.safe_load(path.read_text())["weights"]["sha256"]
    assert 0 < redis.ttl("lw:stuck:stuck") <= event["data"]["left_out_seconds"]
    checks = {check["name"]: check for check in livewarden("doctor", "--json", environment=environment).records}
    assert checks["stuck models"]["state"] == "fail"
    assert "workers do not run stuck: " in checks["stuck models"]["found"]
    assert checks["test card"]["state"] != "fail"  # the others are tried


def with_an_unknown_operator() -> bytes:
    """A model that fits its manifest, but that ONNX Runtime cannot build."""
    model = load_model_from_string(mean_model())
    model.graph.node[0].op_type = "NobodyKnowsIt"
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("weights", "problem"),
    [
        (with_an_unknown_operator(), "expected an ONNX model: "),
        (constant_model([0.1, float("nan"), 0.2]), "does not run on the manifest's input: "),
    ],
)
def test_a_worker_does_not_start_with_a_model_that_does_not_work(
    redis_url: str, origin: LiveOrigin, tmp_path: Path, weights: bytes, problem: str
) -> None:
    """The worker would report that it is ready, and moderate nothing."""
    install(tmp_path, weights)
    with celery("worker", worker_environment(redis_url, origin, tmp_path), tmp_path) as worker:
        assert worker.process.wait(60) != 0
    assert "this worker does not start: " in worker.text()
    assert f"weights.file: means.onnx: {problem}" in worker.text()
    assert "ready" not in worker.text()
    assert "Traceback" not in worker.text()


def test_a_worker_ends_when_a_new_child_cannot_load_its_models(
    redis: Redis,
    redis_url: str,
    origin: LiveOrigin,
    tmp_path: Path,
    processes_in: Callable[[Path], dict[int, str]],
) -> None:
    """After a child's death its replacement would take segments without classifying any."""
    models = tmp_path / "models"
    models.mkdir()
    install(models, mean_model())
    with celery(
        "worker", worker_environment(redis_url, origin, models), tmp_path, "--concurrency=1", "--loglevel=INFO"
    ) as worker:
        eventually(lambda: policy_reports(redis), within_seconds=60, what=worker.text)
        (child,) = {int(report.process.rpartition(":")[2]) for report in policy_reports(redis)}
        (models / "means.onnx").write_bytes(b"altered")
        os.kill(child, signal.SIGKILL)
        assert worker.process.wait(60) == 1, worker.text()
        assert "this worker ends, since one of its processes cannot moderate: " in worker.text()
        assert "altered: expected SHA-256" in worker.text()
        assert not processes_in(tmp_path)


def test_a_worker_does_not_start_with_a_manifest_for_another_model(
    redis_url: str, origin: LiveOrigin, tmp_path: Path
) -> None:
    """Every picture would get meaningless scores, or fail."""
    path = install(tmp_path, mean_model("NHWC"))
    with celery("worker", worker_environment(redis_url, origin, tmp_path), tmp_path) as worker:
        assert worker.process.wait(60) != 0
    assert f"{path}, line " in worker.text()
    assert "the graph takes (1, 8, 8, 3)" in worker.text()
