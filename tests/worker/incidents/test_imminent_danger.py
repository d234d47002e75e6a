"""A platform's report of imminent danger calls a person at once, and once."""

import json
import os
import signal
import subprocess
import sys
import threading
from typing import Any

import pytest
from hls_origin import eventually
from redis import Redis
from redis_between import before_the_script
from scene import Scene

from config.errors import PolicyError
from config.facts import IMMINENT_DANGER_RULE
from config.policy.policy import parse_policy
from worker.incidents.imminent_danger import keep_raising, raise_reported_dangers
from worker.incidents.keys import incidents_key
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE_DANGER, signals_key, stream_key, unwatch, watch
from worker.ingest.registry.signals import report_signals, stream_facts
from worker.queue.decisions import decide_incident
from worker.queue.open_incidents import open_incidents
from worker.verdictlog.outcome_rows import outcome_row

CRITICAL = "lw:escalations:critical"


def watched(redis: Redis, stream_id: str = "cam-1", *, purpose: str = "live", url: str = "a") -> str:
    """Registers a stream whose playlist nobody ever reads."""
    url = f"https://cdn.example/{url}.m3u8"
    watch(redis, register(stream_id, url, purpose=purpose, url_template="", legal_basis=""))
    return stream_id


def report(redis: Redis, stream_id: str, number: float = 1.0, *, token: str | None = None) -> None:
    report_signals(redis, stream_id, {IMMINENT_DANGER_RULE: number, "viewer-reports": 2.0}, token=token)


def raised(scene: Scene) -> int:
    return raise_reported_dangers(scene.redis, deployment="test", policy=scene.policy)


def events(scene: Scene) -> list[dict[str, Any]]:
    return [event for event in scene.published(CRITICAL) if not event["type"].endswith("closed.v1")]


def decided(scene: Scene, outcome: str = "harmless") -> str:
    (incident,) = open_incidents(scene.redis)
    decide_incident(scene.redis, incident.incident_id, outcome, by="ann", note="called", deployment="test")
    return incident.incident_id


def test_a_report_is_an_incident_without_any_finding(scene: Scene) -> None:
    """Nobody would be called while a child is in danger, since no picture matches anything."""
    stream = watched(scene.redis)
    report(scene.redis, stream)
    assert raised(scene) == 1
    (event,) = events(scene)
    assert event["type"] == "livewarden.escalation.raised.v1"
    data = event["data"]
    assert (data["rule"], data["severity"], data["stream_id"]) == (IMMINENT_DANGER_RULE, "critical", stream)
    assert data["ask"] == "phone"
    assert (data["evidence"], data["evidence_none"]) == ([], "signal")
    assert data["signal"] == {"name": IMMINENT_DANGER_RULE, "reported": data["times"]["captured_first"]}
    assert data["condition"]["when"] == 'signal("imminent-danger") > 0.0'
    assert (data["matches"], data["scores"], data["principles"], data["hits"]) == ([], {}, [5], 1)
    assert data["signals"] == {IMMINENT_DANGER_RULE: 1.0, "viewer-reports": 2.0}
    assert data["risk"] == 1.0
    assert data["case_id"].startswith("case-")
    assert "sample" not in data
    assert "needs_role" not in data, "whoever sees it first calls"
    (incident,) = open_incidents(scene.redis)
    assert (incident.incident_id, incident.rule) == (data["incident_id"], IMMINENT_DANGER_RULE)


def test_a_report_is_in_the_log_of_outcomes(scene: Scene) -> None:
    """Reports of danger, and what people decided on them, would be missing in the record of what was raised."""
    report(scene.redis, watched(scene.redis))
    raised(scene)
    (event,) = events(scene)
    row = outcome_row(json.dumps(event))
    assert row is not None
    assert (row["kind"], row["rule"], row["segment_key"]) == ("raised", IMMINENT_DANGER_RULE, "")


def test_a_report_is_raised_once(scene: Scene) -> None:
    """A person would be called again and again for one report."""
    stream = watched(scene.redis)
    report(scene.redis, stream, token="one")
    assert (raised(scene), raised(scene)) == (1, 0)
    report(scene.redis, stream, token="one")
    assert raised(scene) == 0, "the message came twice"
    assert len(events(scene)) == 1


def test_a_report_that_an_older_worker_took_is_raised(scene: Scene) -> None:
    """During a rollout a worker of the version before stores a report as any signal: nobody would be called."""
    stream, quiet = watched(scene.redis), watched(scene.redis, "quiet")
    scene.redis.hset(signals_key(stream), IMMINENT_DANGER_RULE, 1.0)
    scene.redis.hset(signals_key(quiet), IMMINENT_DANGER_RULE, 0.0)
    for _ in range(2):
        for one in (stream, quiet):
            stream_facts(scene.redis, one)
        raised(scene)
    assert [event["subject"] for event in events(scene)] == [stream]


def test_a_signal_of_zero_raises_nothing(scene: Scene) -> None:
    """A platform that withdraws a report would call a person for it."""
    stream = watched(scene.redis)
    report(scene.redis, stream, 0.0)
    report_signals(scene.redis, stream, {"viewer-reports": 9.0})
    assert raised(scene) == 0
    assert not scene.redis.exists(DUE_DANGER)


def test_further_reports_are_of_the_open_incident(scene: Scene) -> None:
    """Ten viewers who press the button would be ten incidents, or a person would not hear that it goes on."""
    stream = watched(scene.redis)
    for _ in range(3):
        report(scene.redis, stream)
        assert raised(scene) == 1
    assert [event["type"] for event in events(scene)] == ["livewarden.escalation.raised.v1"], "at a bounded rate"
    now = scene.policy.model_copy(update={"update_seconds": 0.0})
    report(scene.redis, stream)
    raise_reported_dangers(scene.redis, deployment="test", policy=now)
    *_, updated = events(scene)
    assert (updated["type"], updated["data"]["hits"]) == ("livewarden.escalation.updated.v1", 4)


def test_only_a_newer_report_opens_another_incident(scene: Scene) -> None:
    """A person's decision would not end it; or a second danger on the stream would call nobody."""
    stream = watched(scene.redis)
    report(scene.redis, stream)
    raised(scene)
    first = decided(scene)
    assert raised(scene) == 0
    assert not open_incidents(scene.redis)
    report(scene.redis, stream)
    assert raised(scene) == 1
    (incident,) = open_incidents(scene.redis)
    assert incident.incident_id != first
    data = events(scene)[-1]["data"]
    assert data["predecessor"] == first
    assert [decision["incident_id"] for decision in data["earlier_decisions"]] == [first]


def test_a_report_that_came_just_before_a_decision_is_raised(scene: Scene) -> None:
    """The person who decided has not seen it, and nobody else would."""
    stream = watched(scene.redis)
    report(scene.redis, stream)
    raised(scene)
    report(scene.redis, stream)
    decided(scene)
    assert raised(scene) == 1
    assert len(open_incidents(scene.redis)) == 1


def test_a_report_outlives_its_watch(scene: Scene) -> None:
    """A broadcaster who ends his stream, or a platform that removes it, would take the report away."""
    for stream in ("removed", "anew", "gone"):
        watched(scene.redis, stream)
        report(scene.redis, stream)
    unwatch(scene.redis, "removed")
    watched(scene.redis, "anew", url="b")
    scene.redis.delete(stream_key("gone"), signals_key("gone"))
    assert raised(scene) == 3
    assert {event["data"]["stream_id"] for event in events(scene)} == {"removed", "anew", "gone"}


def test_a_drill_is_marked_and_a_canary_calls_nobody(scene: Scene) -> None:
    """A training would send the police, or a probe wake a moderator."""
    for purpose in ("drill", "canary"):
        report(scene.redis, watched(scene.redis, purpose, purpose=purpose))
    assert raised(scene) == 2
    (event,) = events(scene)
    assert (event["data"]["drill"], event["data"]["purpose"]) == (True, "drill")
    (canary,) = scene.published("lw:operations")
    assert canary["data"]["purpose"] == "canary"


def test_damaged_data_costs_no_report(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """A foreign key of one stream would keep its report, or all others, from being raised."""
    for stream in ("cam-1", "cam-2", "cam-3"):
        report(scene.redis, watched(scene.redis, stream))
    scene.redis.zadd(DUE_DANGER, {"foreign": 1, "a b c": 2, "x y": 3})
    scene.redis.set(incidents_key("cam-1"), "foreign")
    scene.redis.delete(signals_key("cam-2"))
    scene.redis.set(signals_key("cam-2"), "foreign")
    assert raised(scene) == 3
    assert {event["data"]["stream_id"] for event in events(scene)} == {"cam-1", "cam-2", "cam-3"}
    assert scene.redis.zcard(DUE_DANGER) == 3, "foreign members stay, and cost nothing"


def test_a_segment_that_settles_meanwhile_costs_no_report(scene: Scene, redis_url: str) -> None:
    """A stream with many findings would keep the report from being written."""
    stream = watched(scene.redis)
    report(scene.redis, stream)
    hits = scene.hits([1000], lists=["known"])
    scene.settle("another", ())  # Redis knows the script from now on
    with before_the_script(redis_url, lambda: scene.settle(stream, hits)) as redis:
        assert raise_reported_dangers(redis, deployment="test", policy=scene.policy) == 1
    assert {event["data"]["rule"] for event in events(scene)} == {"known", IMMINENT_DANGER_RULE}
    assert len({event["data"]["case_id"] for event in events(scene)}) == 1, "one case for a person"


def test_a_flood_of_reports_puts_none_off(scene: Scene, redis_url: str) -> None:
    """Whoever reports all the time would keep the incident from ever being raised."""
    stream = watched(scene.redis)
    report(scene.redis, stream)
    with before_the_script(redis_url, lambda: report(scene.redis, stream)) as redis:
        assert raise_reported_dangers(redis, deployment="test", policy=scene.policy) == 1
    assert len(events(scene)) == 1


_RAISER = """
import sys
from redis import Redis
from config.policy.policy import load_policy
from worker.incidents.imminent_danger import keep_raising, raise_reported_dangers
redis, policy = Redis.from_url(sys.argv[1], decode_responses=True), load_policy()
while True:
    raise_reported_dangers(redis, deployment="test", policy=policy)
"""


def test_kills_lose_no_report_and_raise_none_twice(scene: Scene, redis_url: str) -> None:
    """A worker that is killed between two steps would take a report with it, or call a person twice."""
    streams = [watched(scene.redis, f"cam-{number}") for number in range(150)]
    for stream in streams:
        report(scene.redis, stream)
    for left in (120, 80, 40):
        workers = [subprocess.Popen([sys.executable, "-c", _RAISER, redis_url]) for _ in range(2)]
        try:
            eventually(
                lambda left=left: scene.redis.zcard(DUE_DANGER) <= left,  # type: ignore[misc]
                within_seconds=60,
                what="reports are raised",
            )
        finally:
            for worker in workers:
                os.kill(worker.pid, signal.SIGKILL)
                worker.wait()
    while raised(scene):
        pass
    found = events(scene)
    assert sorted(event["data"]["stream_id"] for event in found) == sorted(streams)
    assert {event["type"] for event in found} == {"livewarden.escalation.raised.v1"}
    assert len(open_incidents(scene.redis)) == len(streams)


def test_a_worker_raises_a_report_by_itself(scene: Scene) -> None:
    """A report would wait for upkeep, behind all segments and polls of a busy worker."""
    stopping = threading.Event()
    thread = threading.Thread(target=keep_raising, args=(scene.redis, lambda: scene.policy, "test", stopping))
    thread.start()
    try:
        report(scene.redis, watched(scene.redis))
        eventually(lambda: scene.redis.exists(CRITICAL), within_seconds=60, what="it is raised")
    finally:
        stopping.set()
        thread.join()
    assert len(events(scene)) == 1


def test_a_policy_must_not_name_a_rule_so() -> None:
    """A rule's own incident would be taken for a platform's report, or closed with it."""
    text = "version: 1\nrules: [{name: imminent-danger, when: 'true', severity: high}]\n"
    with pytest.raises(PolicyError, match=r"line 2.*rules\[0\]\.name.*livewarden names incidents of the signal"):
        parse_policy(text.encode(), "p.yaml")
