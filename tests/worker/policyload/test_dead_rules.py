"""Dead references of rules, published to operators by workers."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hls_origin import eventually
from redis import Redis

from config.settings import Settings
from models.bank.entries import ListSpec
from worker.bank import edits
from worker.bank.lists_in_force import deployment_list_names, followed_names
from worker.bank.shared_bank import follow
from worker.bank.snapshot_storage import SnapshotStorage
from worker.events.operations import OPERATIONS
from worker.policyload.dead_rules import ListNames
from worker.policyload.follower import PolicyFollower
from worker.policyload.watch import watch_policy
from worker.runtime.worker_process import WorkerProcess

POLICY = """
version: '{version}'
rules:
  - {{name: known, severity: critical, when: 'matched("{list}")'}}
  - {{name: card, severity: high, when: 'matched("selftest") || score("age/minor") > 0.5'}}
"""


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.format(version="1", list="ncmecc"))
    return Settings.from_mapping(
        {
            "LIVEWARDEN_REDIS_URL": redis_url,
            "LIVEWARDEN_POLICY_FILE": str(path),
            "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
            "LIVEWARDEN_DEPLOYMENT": "test",
        }
    )


@contextmanager
def workers(settings: Settings, count: int, list_names: ListNames | None = None) -> Iterator[None]:
    """Workers that watch the policy, each with its own bank and connection."""
    stopping, threads, processes = threading.Event(), [], []
    for _ in range(count):
        process = WorkerProcess(settings)
        process.bank.refresh()
        watching = PolicyFollower(settings.policy_file, process.policy_from)
        watching.refresh()

        def names(of: WorkerProcess = process) -> frozenset[str] | None:
            return followed_names(of.redis, of.bank.in_force())

        arguments = (watching, process.policies, process.redis, settings, stopping, list_names or names)
        threads.append(threading.Thread(target=watch_policy, args=arguments))
        processes.append(process)
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        for process in processes:
            process.close()


def published(redis: Redis) -> list[dict[str, Any]]:
    return [json.loads(fields["event"]) for _, fields in redis.xrange(OPERATIONS)]


def test_dead_references_are_published_once_a_version(redis: Redis, settings: Settings) -> None:
    """A rule that can never hold would be noticed only when it is needed; or fifty workers would publish it."""
    assert settings.policy_file is not None
    edits.create(redis, follow(redis, SnapshotStorage.of(settings)).bank, ListSpec(name="ncmec"))
    with workers(settings, 3):
        (event,) = eventually(lambda: published(redis), within_seconds=60, what="it is published")
        assert event["type"] == "livewarden.operations.policy_rule_cannot_fire.v1"
        data = event["data"]
        assert data["policy"].startswith("1+")
        assert data["rules"] == [
            {
                "rule": "known",
                "mode": "live",
                "kind": "list",
                "name": "ncmecc",
                "nearest": "ncmec",
                "never_fires": True,
            },
            {
                "rule": "card",
                "mode": "live",
                "kind": "score",
                "name": "age/minor",
                "nearest": None,
                "never_fires": False,
            },
        ]
        assert data["rules_total"] == 2
        settings.policy_file.write_text(POLICY.format(version="2", list="ncmecc"))
        _, again = eventually(
            lambda: len(published(redis)) > 1 and published(redis), within_seconds=60, what="the second"
        )
        assert again["data"]["policy"].startswith("2+")
    bank = follow(redis, SnapshotStorage.of(settings)).bank
    for step in (
        lambda: edits.create(redis, bank, ListSpec(name="ncmecc")),
        lambda: edits.drop(redis, follow(redis, SnapshotStorage.of(settings)).bank, "ncmecc"),
    ):
        step()
        seen = list[object]()

        def names(seen: list[object] = seen) -> frozenset[str]:
            seen.append(1)
            return deployment_list_names(redis, settings)

        with workers(settings, 1, names):
            eventually(seen.copy, within_seconds=60, what="it is looked for")
    # It disappears when the list appears, and is known when that is removed: a reference is published once a version.
    assert len(published(redis)) == 2


def test_nothing_is_published_while_the_bank_is_unreadable(redis: Redis, settings: Settings) -> None:
    """While the bank cannot be read, every list would seem to be missing."""
    requested = threading.Event()

    def unknown() -> None:
        requested.set()

    with workers(settings, 1, unknown):
        assert requested.wait(60)
        (event,) = eventually(lambda: published(redis), within_seconds=60, what="the score is published")
    assert [rule["kind"] for rule in event["data"]["rules"]] == ["score"]
