"""Events about a policy file that becomes unusable, and usable again."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat

import pytest
from redis import Redis

from worker.policyload.refusals import ALIVE_MS, REFUSING, report_policy_file
from worker.store.redis_client import now_ms


@dataclass
class Reports:
    """Workers of a deployment, and the events that their reports cause."""

    redis: Redis

    def add(self, worker: str, refused: str) -> bool:
        return report_policy_file(
            self.redis,
            worker=worker,
            file="/etc/policy.yaml",
            refused=refused,
            problem=f"{refused} is wrong with it",
            in_force="7+abc",
            deployment="test",
        )

    @property
    def news(self) -> list[str]:
        """All events in order: the refused version, or `usable`."""
        events = [json.loads(fields["event"]) for _, fields in self.redis.xrange("lw:operations")]
        assert len({event["id"] for event in events}) == len(events)
        kinds = {event["type"].split(".")[2] for event in events}
        assert kinds <= {"policy_refused", "policy_recovered"}
        return [event["data"].get("refused", "usable") for event in events]

    def passed(self, worker: str, milliseconds: int) -> None:
        """Ages the last report of `worker` by so much."""
        said = json.loads(self.redis.hget(REFUSING, worker) or "")
        self.redis.hset(REFUSING, worker, json.dumps(said | {"at_ms": now_ms(self.redis) - milliseconds}))


@pytest.fixture
def reports(redis: Redis) -> Reports:
    return Reports(redis)


def test_each_failure_is_published(reports: Reports) -> None:
    """A file that is deleted again, or broken in the same way, would be published once in 30 days."""
    for _ in range(2):
        for refused in ("unreadable", "unreadable", "", ""):
            reports.add("a:1", refused)
    assert reports.news == ["unreadable", "usable", "unreadable", "usable"]


def test_a_good_file_is_not_published(reports: Reports) -> None:
    """Each worker that starts would call operators."""
    assert not reports.add("a:1", "")
    assert reports.news == []


def test_a_new_mistake_is_published(reports: Reports) -> None:
    """Operators would correct a mistake that no longer exists."""
    for refused in ("aa", "bb", ""):
        reports.add("a:1", refused)
    assert reports.news == ["aa", "bb", "usable"]


def test_many_workers_publish_it_once(reports: Reports) -> None:
    """A deployment of a hundred workers would call operators a hundred times."""
    workers = [f"{host}:1" for host in "abcdefgh"]

    with ThreadPoolExecutor(len(workers)) as at_once:
        for refused in ("aa", "aa", "", "aa", ""):
            for _ in at_once.map(reports.add, workers, repeat(refused)):
                pass
    assert reports.news == ["aa", "usable", "aa", "usable"]


def test_it_is_usable_once_the_last_worker_has_it(reports: Reports) -> None:
    """Operators would think that all is well while half of the hosts have the broken file."""
    reports.add("a:1", "aa")
    reports.add("b:1", "aa")
    assert not reports.add("a:1", "")
    assert reports.add("b:1", "")
    assert reports.news == ["aa", "usable"]


def test_a_dead_worker_does_not_keep_it_broken(reports: Reports) -> None:
    """After a restart that loads the good file, its recovery would never be published."""
    reports.add("a:1", "aa")
    reports.passed("a:1", ALIVE_MS - 10_000)
    assert not reports.add("a:2", "")
    reports.passed("a:1", ALIVE_MS + 1)
    assert reports.add("a:2", "")
    assert reports.news == ["aa", "usable"]


def test_a_busy_worker_publishes_nothing_twice(reports: Reports) -> None:
    """Trying a model's sessions takes minutes, and operators would be called again after each."""
    reports.add("a:1", "aa")
    reports.passed("a:1", 5 * ALIVE_MS)
    assert not reports.add("a:1", "aa")
