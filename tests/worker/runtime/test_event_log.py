"""Incidents, decisions and changes of streams in the log: each once, whichever program caused them."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from scene import Scene

from config.facts import Severity
from config.policy.policy import Policy
from worker.errors import StoreError
from worker.events.operations import OPERATIONS, alert_operators
from worker.incidents.due_ends import end_incidents
from worker.incidents.keys import DECISIONS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import unwatch, watch
from worker.logs.fields import all_fields
from worker.policyload.breaker import MODEL_STUCK
from worker.queue.decisions import decide_incident
from worker.runtime.event_log import FIRST_MS, LOGGED, STREAMS, log_published
from worker.runtime.upkeep import look_after, look_after_full

FLOODED = """
version: "1"
flood: {streams: 2, within_seconds: 600}
rules:
  - {name: known, when: 'matched("known")', severity: critical}
"""

Logged = Callable[[], list[tuple[str, dict[str, Any]]]]


@pytest.fixture
def logged(redis: Redis, caplog: pytest.LogCaptureFixture) -> Logged:
    """Logs what was published since, as a worker does every two seconds; gives the info lines with their fields."""
    caplog.set_level(logging.INFO)

    def log() -> list[tuple[str, dict[str, Any]]]:
        caplog.clear()
        log_published(redis)
        return [(record.getMessage(), all_fields(record)) for record in caplog.records]

    log()
    return log


def test_an_incident_that_ends_undecided_is_logged(redis: Redis, scene: Scene, logged: Logged) -> None:
    """An operator would look for the missing decision of an incident whose stream is over."""
    watch(redis, register("cam-1", "http://origin.example/x.m3u8", url_template="", legal_basis=""))
    incident_id = scene.raise_incident("cam-1")
    unwatch(redis, "cam-1")
    assert end_incidents(redis, deployment="test") == 1
    ended = [found for said, found in logged() if said == "incident ended, undecided"]
    assert [(found["incident_id"], found["ended"]) for found in ended] == [(incident_id, "stream-ended")]


def test_an_incident_is_logged_once_when_raised_and_once_when_decided(
    redis: Redis, scene: Scene, logged: Logged
) -> None:
    """An operator on call would find no trace of the incident in the log, or three."""
    hits = scene.hits([1000], lists=["known"])
    scene.settle("cam-1", hits, segment_key="1.0.sole.4711.00ff")
    scene.settle_pending("cam-1", "1.0.sole.4711.00ff", hits)  # delivered again
    ((said, raised),) = logged()
    assert said == "incident raised"
    incident_id = raised.pop("incident_id")
    assert raised == {
        "stream_id": "cam-1",
        "rule": "known",
        "severity": "critical",
        "purpose": "live",
        "lists": ["known"],
        "media_sequence": 4711,
        "reason": "keyframe",
    }
    assert logged() == []
    decide_incident(redis, incident_id, "harmless", by="kim", note="of the person", deployment="test")
    ((said, decided),) = logged()
    assert said == "incident closed by a decision"
    assert decided == {
        "incident_id": incident_id,
        "stream_id": "cam-1",
        "rule": "known",
        "severity": "critical",
        "purpose": "live",
        "lists": ["known"],
        "outcome": "harmless",
    }
    assert logged() == []


def test_a_rise_in_severity_is_logged(scene: Scene, logged: Logged) -> None:
    """The log would go on showing a critical incident as one for review."""
    scene.raise_incident("cam-1", Severity.REVIEW)
    scene.rise("cam-1", Severity.CRITICAL)
    (_, _), (said, line_fields) = sorted(logged(), key=lambda line: "raised" not in line[0])
    assert said == "incident is of another severity"
    assert (line_fields["previous_severity"], line_fields["severity"]) == ("review", "critical")


def test_the_author_of_an_unwatch_is_logged_without_tokens(redis: Redis, logged: Logged) -> None:
    """The command line writes no log: nobody would see that a stream was removed, or every reader would see its
    token."""
    watch(redis, register("cam-1", "http://o.example/1?token=s3cret", url_template="", legal_basis=""))
    unwatch(redis, "cam-1")
    ((said, line_fields),) = logged()
    assert said == "a watched stream was changed"
    assert line_fields == {"stream_id": "cam-1", "changed": ["unwatched"], "by": "command line", "purpose": "live"}


def test_events_for_operators_are_logged(redis: Redis, logged: Logged) -> None:
    """Readers of logs would not learn that an origin is down, or a policy refused."""
    data = {"model": "m", "version": "1", "sha256": "0" * 64, "time_limit_seconds": 5.0, "left_out_seconds": 300}
    alert_operators(redis, MODEL_STUCK, "0" * 64, subject="m", data=data, deployment="test", now_ms=0)
    ((said, line_fields),) = logged()
    assert said == "published to operators: model_stuck"
    assert line_fields == {"event": "model_stuck", **data}


class Overtaken(Redis):
    """A client that another client overtakes between its read and its write."""

    meanwhile: Callable[[], object] | None = None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        if args[0] == "EVALSHA" and self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        return super().execute_command(*args, **options)


def test_two_workers_log_an_event_once(redis: Redis, redis_url: str, scene: Scene, logged: Logged) -> None:
    """Ten workers would log each incident ten times."""
    scene.raise_incident("cam-1")
    with Overtaken.from_url(redis_url, decode_responses=True) as overtaken:
        counted = list[int]()
        overtaken.meanwhile = lambda: counted.append(log_published(redis))
        counted.append(log_published(overtaken))
    assert counted == [1, 0]
    assert logged() == []


def test_a_hash_flood_is_logged_once(redis: Redis, policy_of: Callable[[str], Policy], logged: Logged) -> None:
    """It is published for moderators and for operators: one flood would look like two."""
    scene = Scene(redis=redis, policy=policy_of(FLOODED))
    for number in range(2):
        scene.settle(f"cam-{number}", scene.hits([1000], lists=["known"]))
    raised = [line_fields for said, line_fields in logged() if said == "incident raised"]
    assert [(line_fields["rule"], line_fields.get("streams")) for line_fields in raised] == [
        ("known", None),
        ("hash-flood", 2),
    ]


def test_foreign_entries_on_a_stream_stop_nothing(redis: Redis, scene: Scene, logged: Logged) -> None:
    """One malformed entry would stop the log of all incidents."""
    for event in ("", "null", "[]", '{"type": "livewarden.escalation.raised.v1"}', '{"type": 1, "data": {}}'):
        redis.xadd(OPERATIONS, {"event": event})
        redis.xadd("lw:escalations:critical", {"event": event})
    redis.xadd("lw:escalations:critical", {"other": "x"})
    scene.raise_incident("cam-1")
    assert [said for said, _ in logged()] == ["incident raised"]


@pytest.mark.parametrize(
    "damage",
    [("SET", OPERATIONS, "x"), ("SET", DECISIONS, "x")],
    ids=repr,
)
@pytest.mark.parametrize("first", [True, False])
def test_a_damaged_stream_does_not_silence_the_others(
    redis: Redis, scene: Scene, caplog: pytest.LogCaptureFixture, damage: tuple[str, ...], first: bool
) -> None:
    """No incident would be logged any more."""
    caplog.set_level(logging.INFO)
    if not first:
        log_published(redis)
    scene.raise_incident("cam-1")
    redis.xadd(OPERATIONS, {"event": ""})
    redis.delete(damage[1])
    redis.execute_command(*damage)
    with pytest.raises(StoreError):
        log_published(redis)
    assert "incident raised" in [record.getMessage() for record in caplog.records]


def test_a_damaged_position_silences_no_stream(redis: Redis, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """No event of that stream would be logged any more."""
    caplog.set_level(logging.INFO)
    log_published(redis)
    for key in STREAMS:
        redis.hset(LOGGED, key, "x")
    scene.raise_incident("cam-1")
    log_published(redis)
    assert "incident raised" in [record.getMessage() for record in caplog.records]


def test_a_new_deployment_logs_only_new_events(redis: Redis, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """At its first start a new version would log a month of incidents, or miss the first ones."""
    scene.raise_incident("cam-1")
    ((_, found),) = redis.xrange("lw:escalations:critical")
    old = int(redis.time()[0]) * 1000 - 2 * FIRST_MS
    redis.delete("lw:escalations:critical", LOGGED)
    redis.xadd("lw:escalations:critical", found, id=f"{old}-0")
    redis.xadd("lw:escalations:critical", {"event": json.dumps(json.loads(found["event"]))})
    caplog.set_level(logging.INFO)
    assert log_published(redis) == 1
    assert redis.hlen(LOGGED) == 5


@pytest.mark.parametrize("full", [False, True])
def test_upkeep_logs_published_events(process: Any, scene: Scene, caplog: pytest.LogCaptureFixture, full: bool):
    """The log would never be called, or be silent as long as Redis is full."""
    scene.raise_incident("cam-1")
    caplog.set_level(logging.INFO)
    if full:
        look_after_full(process)
    else:
        look_after(process, send=lambda *_: None, send_housekeeping=lambda _: None)
    assert "incident raised" in [record.getMessage() for record in caplog.records]


def test_a_clock_that_was_ahead_does_not_silence_the_log(
    redis: Redis, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A deployment that started with next year's time would log nothing until then."""
    caplog.set_level(logging.INFO)
    with monkeypatch.context() as ahead:
        ahead.setattr("worker.runtime.event_log.now_ms", lambda _: 4_000_000_000_000)
        log_published(redis)
    event = {"type": "livewarden.operations.test.v1", "data": {"name": "x"}}
    redis.xadd(OPERATIONS, {"event": json.dumps(event)})
    caplog.clear()
    log_published(redis)
    assert "published to operators: test" in [record.getMessage() for record in caplog.records]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_position_beyond_its_stream_does_not_silence_the_log(redis: Redis, logged: Logged, is_there: bool) -> None:
    """After an older version noted a time that was ahead, or the stream was made anew, the log would be silent."""
    if is_there:
        redis.xadd(OPERATIONS, {"event": "{}"})
    redis.hset(LOGGED, OPERATIONS, "4000000000000-0")
    assert logged() == []
    event = {"type": "livewarden.operations.test.v1", "data": {"name": "x"}}
    for _ in range(2):
        redis.xadd(OPERATIONS, {"event": json.dumps(event)})
        assert [said for said, _ in logged()] == ["published to operators: test"]


def test_a_request_to_interrupt_is_logged_once(scene: Scene, logged: Logged) -> None:
    """An operator who asks at night why a stream was cut off would find no trace of it."""
    scene.settle("cam-1", scene.hits([1_000, 2_000], lists=["stop"]))
    found = dict(logged())
    request, raised = found["interruption of a stream requested"], found["incident raised"]
    assert {name: request[name] for name in ("incident_id", "stream_id", "rule", "severity", "purpose")} == {
        name: raised[name] for name in ("incident_id", "stream_id", "rule", "severity", "purpose")
    }
    assert logged() == []
