"""A policy that is changed, or broken, under running workers."""

import json
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from commandline import livewarden
from hls_origin import LiveOrigin, eventually, segment_bytes, serving
from live_stack import celery
from redis import Redis
from tinymodels import constant_model, install, mean_model

from config.policy.policy import load_policy
from config.settings import Settings
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.policyload.watch import PolicyReport, policy_reports
from worker.runtime.segment_task import moderate_segment
from worker.runtime.worker_process import SEED, WorkerProcess

PROCESSES = 2


def rules(name: str, when: str = 'matched("selftest")') -> str:
    return f"version: '{name}'\nrules:\n  - {{name: {name}, severity: high, when: '{when}'}}\n"


@pytest.fixture
def origins() -> Iterator[list[LiveOrigin]]:
    """An origin for each stream, with one segment of the test card."""
    with ExitStack() as stack:
        served = [stack.enter_context(serving(LiveOrigin())) for _ in range(3)]
        for origin in served:
            origin.add("0.ts", segment_bytes(card=True))
            origin.ended = True
        yield served


def raised(redis: Redis) -> dict[str, tuple[str, str]]:
    """Stream to the rule and policy version of its incident."""
    events = [json.loads(fields["event"])["data"] for _, fields in redis.xrange("lw:escalations:high")]
    return {data["stream_id"]: (data["rule"], data["versions"]["policy"]) for data in events}


def show_card(redis: Redis, stream_id: str, origin: LiveOrigin, *, purpose: str = "drill") -> None:
    watch(redis, register(stream_id, origin.url, purpose=purpose, url_template="", legal_basis=""))


def in_force(redis: Redis) -> set[str]:
    reports = policy_reports(redis)
    return {report.version for report in reports} if len(reports) == PROCESSES else set()


def published(redis: Redis) -> list[tuple[str, dict[str, str]]]:
    """The entries for operators, but for heads of the audit log, which records each policy."""
    return [(name, fields) for name, fields in redis.xrange("lw:operations") if "audit_head" not in fields["event"]]


def test_workers_load_a_good_policy_and_never_a_broken_one(
    redis: Redis, redis_url: str, origins: list[LiveOrigin], tmp_path: Path
) -> None:
    """An urgent change of a rule would need a redeployment; or a typo in it would stop all moderation."""
    policy = tmp_path / "policy.yaml"
    policy.write_text(rules("first"))
    first = load_policy(policy).version
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": ",".join(origin.host for origin in origins),
        "LIVEWARDEN_POLICY_FILE": str(policy),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
    }
    with celery("worker", environment, tmp_path, f"--concurrency={PROCESSES}") as worker:
        eventually(lambda: in_force(redis) == {first}, within_seconds=90, what=worker.text)

        policy.write_text(rules("broken", when='matchd("selftest")'))
        (entry,) = eventually(lambda: published(redis), within_seconds=60, what=worker.text)
        event = json.loads(entry[1]["event"])
        assert event["type"] == "livewarden.operations.policy_refused.v1"
        assert event["data"]["in_force"] == first
        assert "line 3, column 43: rules[0].when (rule 'broken'): unknown function 'matchd'" in event["data"]["problem"]
        show_card(redis, "during", origins[0])
        eventually(lambda: "during" in raised(redis), within_seconds=60, what=worker.text)
        assert raised(redis)["during"] == ("first", first)
        eventually(lambda: all(report.problem for report in policy_reports(redis)), within_seconds=60, what=worker.text)
        checks = {check["name"]: check for check in livewarden("doctor", "--json", environment=environment).records}
        assert checks["policy in force"]["state"] == "warn"
        assert (
            f"{first} in {PROCESSES} processes; the file as it is now is refused" in checks["policy in force"]["found"]
        )

        gate = origins[1].hold("0.ts")
        show_card(redis, "in-flight", origins[1])
        assert gate.reached.wait(60), worker.text()
        policy.write_text(rules("second"))
        second = load_policy(policy).version
        eventually(lambda: in_force(redis) == {second}, within_seconds=60, what=worker.text)
        gate.opened.set()
        show_card(redis, "after", origins[2])
        eventually(lambda: len(raised(redis)) == 3, within_seconds=60, what=worker.text)
        assert raised(redis)["in-flight"] == ("first", first)
        assert raised(redis)["after"] == ("second", second)
        eventually(lambda: len(published(redis)) == 2, within_seconds=60, what=worker.text)
        for times in (2, 3):
            away = policy.rename(policy.with_suffix(".away"))
            eventually(lambda n=2 * times - 1: len(published(redis)) == n, within_seconds=60, what=worker.text)
            away.rename(policy)
            eventually(lambda n=2 * times: len(published(redis)) == n, within_seconds=60, what=worker.text)
        kinds = [json.loads(fields["event"])["type"].split(".")[2] for _, fields in published(redis)]
        assert kinds == ["policy_refused", "policy_recovered"] * 3
        policy.write_text(rules("third", when='matched("selftestt")'))
        eventually(lambda: len(published(redis)) == 7, within_seconds=60, what=worker.text)
        _, fields = published(redis)[-1]
        event = json.loads(fields["event"])
        assert event["type"] == "livewarden.operations.policy_rule_cannot_fire.v1"
        assert [(one["rule"], one["nearest"]) for one in event["data"]["rules"]] == [("third", "selftest")]
        assert redis.hlen("lw:pending:in-flight") == 0


def test_a_policy_whose_model_does_not_work_never_comes_into_force(
    redis: Redis, redis_url: str, origins: list[LiveOrigin], tmp_path: Path
) -> None:
    """A model enabled for all workers would stop all moderation, now or when a child is restarted."""
    models = tmp_path / "models"
    models.mkdir()
    install(models, constant_model([float("nan")] * 3))
    policy = tmp_path / "policy.yaml"
    policy.write_text("cascade: [{model: open-nsfw}]\n" + rules("first"))
    first = load_policy(policy).version
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_ALLOWED_ORIGINS": origins[0].host,
        "LIVEWARDEN_POLICY_FILE": str(policy),
        "LIVEWARDEN_MANIFESTS_DIR": str(models),
    }
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker:
        (report,) = eventually(lambda: policy_reports(redis), within_seconds=90, what=worker.text)
        policy.write_text("cascade: [{model: open-nsfw}, {model: means}]\n" + rules("unfit"))
        (entry,) = eventually(lambda: published(redis), within_seconds=60, what=worker.text)
        event = json.loads(entry[1]["event"])
        assert event["type"] == "livewarden.operations.policy_refused.v1"
        assert event["data"]["in_force"] == first
        assert "does not run on the manifest's input: means: a score is not a number" in event["data"]["problem"]
        os.kill(int(report.process.rpartition(":")[2]), signal.SIGKILL)

        def after() -> list[PolicyReport]:
            return [one for one in policy_reports(redis) if one.process != report.process]

        (heir,) = eventually(after, within_seconds=60, what=worker.text)
        assert heir.version == first
        assert "a score is not a number" in heir.problem
        show_card(redis, "s", origins[0])
        eventually(lambda: raised(redis), within_seconds=60, what=worker.text)
        assert raised(redis) == {"s": ("first", first)}


def test_a_policy_brings_its_models_with_it(
    redis: Redis, redis_url: str, origins: list[LiveOrigin], tmp_path: Path
) -> None:
    """Enabling a cascade would need a restart, or rules would use scores that no model computes."""
    (tmp_path / "models").mkdir()
    install(tmp_path / "models", mean_model())
    policy = tmp_path / "policy.yaml"
    policy.write_text(rules("alone"))
    redis.set(SEED, "s3cret")
    process = WorkerProcess(
        Settings.from_mapping(
            {
                "LIVEWARDEN_REDIS_URL": redis_url,
                "LIVEWARDEN_ALLOWED_ORIGINS": origins[0].host,
                "LIVEWARDEN_POLICY_FILE": str(policy),
                "LIVEWARDEN_MANIFESTS_DIR": str(tmp_path / "models"),
                "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
            }
        )
    )
    process.policies.followed = True  # by this test
    try:
        before = process.active
        policy.write_text(
            "cascade: [{model: means}]\n" + rules("sole", 'score("means/first") >= 0.0 && scores.size() == 3')
        )
        assert [process.policies.refresh() for _ in range(2)] == [False, True]
        show_card(redis, "s", origins[0], purpose="live")
        keys: list[str] = []
        poll_due(redis, process.fetcher, height_pixels=360, send=lambda _, key, __: keys.append(key))
        moderate_segment(process, "s", keys[0])
        assert before.models(drill=False).keys() == {"means", "open-nsfw"}
        assert process.active.models(drill=False).keys() == {"means"}
        assert raised(redis)["s"] == ("sole", process.policy.version)
    finally:
        process.close()
