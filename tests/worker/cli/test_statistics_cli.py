"""`livewarden statistics`, as the author of a transparency report runs it."""

from collections import Counter

import pytest
from commandline import livewarden
from redis import Redis
from scene import Scene

from config.facts import Severity
from config.policy.policy import Policy
from worker.ingest.coverage.totals import COUNTED, totals
from worker.queue.decisions import decide_incident
from worker.queue.open_incidents import open_incidents
from worker.queue.revisions import revise
from worker.store.redis_client import now_ms
from worker.store.redis_keys import DAY_TOTALS


def test_raised_and_decided_incidents_are_counted_by_day(redis: Redis, redis_url: str, policy: Policy):
    """A report on the last quarter could not be written, since the incidents' keys have expired."""
    environment = {"LIVEWARDEN_REDIS_URL": redis_url}
    empty = livewarden("statistics", environment=environment)
    assert (empty.status, empty.out) == (0, "Nothing was counted for live streams in 7 days.\n")
    scene = Scene(redis=redis, policy=policy)
    for stream_id in ("one", "two"):
        scene.settle(stream_id, scene.hits([1_000], lists=["known"]))
    incident, _ = open_incidents(redis)
    decide_incident(redis, incident.incident_id, "harmless", by="kim", note="a puppet", deployment="test")
    (day,) = livewarden("statistics", "--json", environment=environment).records
    assert (day["purpose"], day["streams"], day["moderated_seconds"]) == ("live", 0, 0.0)
    assert day["raised"] == [{"rule": "known", "severity": "critical", "count": 2}]
    assert day["raised_list"] == [{"list": "known", "severity": "critical", "count": 2}]
    assert day["decided"] == [{"rule": "known", "severity": "critical", "outcome": "harmless", "count": 1}]
    shown = livewarden("statistics", environment=environment)
    assert day["date"] in shown.out
    assert "harmless" in shown.out


def test_the_list_of_what_is_harmless_finds_nothing(redis: Redis, policy: Policy):
    """A transparency report would have it among the lists of known material that detected something."""
    scene = Scene(redis=redis, policy=policy)
    scene.settle("one", scene.hits([1_000], lists=["allow", "known"]))
    (day,) = totals(redis, days=1)
    assert day.counts["raised-list"] == ({"list": "known", "severity": "critical", "count": 1},)


def test_a_period_beyond_retention_is_refused(redis_url: str):
    """Totals of the retained days would be taken for those of two years."""
    ran = livewarden("statistics", "--days", "401", environment={"LIVEWARDEN_REDIS_URL": redis_url})
    assert ran.status == 2


def test_unknown_purposes_are_refused(redis_url: str):
    """A typo would look like a week in which nothing was raised."""
    ran = livewarden("statistics", "--purpose", "lvie", environment={"LIVEWARDEN_REDIS_URL": redis_url})
    assert ran.status == 2


@pytest.mark.parametrize("columns", [20, 40, 80])
def test_severity_is_readable_at_any_width(redis: Redis, redis_url: str, policy: Policy, columns: int):
    """Critical and review would look alike in a narrow terminal."""
    scene = Scene(redis=redis, policy=policy)
    for stream_id, severity in (("one", Severity.CRITICAL), ("two", Severity.REVIEW)):
        incident = scene.raise_incident(stream_id, severity)
        decide_incident(redis, incident, "harmless", by="kim", note="a puppet", deployment="test")
        revise(redis, incident, "adult_tos", by="kim", note="seen again", deployment="test")
    shown = livewarden("statistics", environment={"LIVEWARDEN_REDIS_URL": redis_url, "COLUMNS": str(columns)})
    (day,) = totals(redis, days=1)
    assert all(day.counts[what] for what in COUNTED if what not in ("decided-list", "revised-list")), day.counts
    severities = Counter(str(row["severity"]) for what in COUNTED for row in day.counts[what])
    words = Counter(shown.out.split())
    assert {severity: words[severity] for severity in severities} == severities, shown.out
    assert max(map(len, shown.out.splitlines())) <= columns


def test_foreign_fields_of_a_day_end_no_report(redis: Redis, redis_url: str):
    """Moderators may write to totals: a leaked password could make the report of all 400 days fail."""
    today = DAY_TOTALS.of(str(now_ms(redis) // 86_400_000))
    redis.hset(today, mapping={"live streams": 3, "live raised r high": "9" * 5_000, "live ms elapsed": "x"})
    redis.execute_command("HINCRBY", today, b"live \xff", 1)
    (day,) = livewarden("statistics", "--json", environment={"LIVEWARDEN_REDIS_URL": redis_url}).records
    assert (day["streams"], day["raised"], day["elapsed_seconds"]) == (3, [], 0.0)
