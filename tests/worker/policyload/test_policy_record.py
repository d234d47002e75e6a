"""Changes of the policy, in the audit log."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from hls_origin import eventually
from redis import Redis

from config.settings import Settings
from worker.policyload.follower import PolicyFollower
from worker.policyload.policy_record import record_policy
from worker.policyload.watch import watch_policy
from worker.runtime.worker_process import WorkerProcess
from worker.store.redis_keys import AUDIT_UNLINKED

POLICY = """
version: '{version}'
rules:
  - {{name: card, severity: high, when: 'matched("selftest")'}}
"""


def recorded(redis: Redis) -> list[tuple[str, str]]:
    """Versions on record, each with the one before."""
    entries: list[Any] = [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]
    assert {(entry["act"], entry["by"]) for entry in entries} <= {("policy", "worker")}
    return [(entry["details"]["previous"], entry["subject"]) for entry in entries]


def test_a_version_is_recorded_once_by_all_workers(redis: Redis):
    """Fifty workers would write fifty entries a change, or none would."""

    def record(version: str) -> bool:
        return record_policy(redis, version, file="policy.yaml", worker="host:1")

    with ThreadPoolExecutor(8) as workers:
        assert sum(workers.map(record, ["1+a"] * 20)) == 1
    assert record("2+b")
    assert not record("2+b")
    assert record("1+a")
    assert recorded(redis) == [("", "1+a"), ("1+a", "2+b"), ("2+b", "1+a")]


def test_a_worker_records_the_policies_that_come_into_force(redis: Redis, redis_url: str, tmp_path: Path):
    """A rule could be switched off for an hour, and no record would show it."""
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.format(version="1"))
    variables = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_POLICY_FILE": str(path),
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
    }
    settings, stopping = Settings.from_mapping(variables), threading.Event()
    process = WorkerProcess(settings)
    watching = PolicyFollower(settings.policy_file, process.policy_from)
    watching.refresh()
    arguments = (watching, process.policies, redis, settings, stopping, lambda: None)
    thread = threading.Thread(target=watch_policy, args=arguments)
    thread.start()
    try:
        ((_, first),) = eventually(lambda: recorded(redis), within_seconds=60, what="the first version")
        path.write_text(POLICY.format(version="2"))
        eventually(lambda: len(recorded(redis)) == 2, within_seconds=60, what="the second version")
    finally:
        stopping.set()
        thread.join()
        process.close()
    assert first.startswith("1+")
    ((_, _), (before, after)) = recorded(redis)
    assert (before, after.partition("+")[0]) == (first, "2")
