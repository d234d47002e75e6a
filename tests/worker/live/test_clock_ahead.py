"""Redis's clock jumps a month ahead for a moment, as of a host that boots with a wrong time: nothing is lost."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from redis import Redis
from redis_clock import ServerWithClock, let_clock_count, server_with_clock
from scene import Scene

from config.facts import Severity
from config.policy.policy import Policy
from worker.bank.keys import PROPOSED
from worker.bank.own_lists import forget_past
from worker.events.operations import OPERATIONS
from worker.incidents.keys import DECISIONS
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.trimming import KEPT_DAYS, trim
from worker.store.age_clock import AGE_CLOCK, STEP_MS, age_ms
from worker.store.key_pattern import DAY, HOUR
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect, now_ms
from worker.verdictlog import outcomes, retention
from worker.verdictlog.files import folders
from worker.verdictlog.outcomes import record_outcomes, unrecorded_from
from worker.verdictlog.tables import OUTCOMES

CRITICAL = "lw:escalations:critical"
AHEAD_SECONDS = (KEPT_DAYS + 1) * DAY


@pytest.fixture
def server(tmp_path: Path, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[ServerWithClock]:
    with server_with_clock(tmp_path / "server", ci_or_skip) as running:
        yield running


@pytest.fixture
def redis(server: ServerWithClock) -> Iterator[Redis]:
    with connect(server.url) as client:
        yield client


@pytest.fixture
def scene(redis: Redis, policy: Policy) -> Scene:
    return Scene(redis=redis, policy=policy)


def upkeep(redis: Redis) -> int:
    return trim(redis, held_from=unrecorded_from(redis))


def test_events_outlive_a_clock_that_is_briefly_wrong(server: ServerWithClock, redis: Redis, scene: Scene) -> None:
    """All published events would be gone within two seconds, read or not."""
    decide_incident(redis, scene.raise_incident("cam-1"), "harmless", by="ann", note="seen", deployment="test")
    scene.raise_incident("cam-2")
    redis.xadd(OPERATIONS, {"event": "{}"})
    assert upkeep(redis) == 0
    before = [redis.xlen(key) for key in (CRITICAL, DECISIONS, OPERATIONS)]
    server.set_ahead(AHEAD_SECONDS)
    for _ in range(3):
        assert upkeep(redis) == 0
    server.set_ahead(0)
    assert upkeep(redis) == 0
    assert [redis.xlen(key) for key in (CRITICAL, DECISIONS, OPERATIONS)] == before
    assert redis.hkeys(AGE_CLOCK) == ["counts_ms"]


def test_a_clock_that_keeps_running_ahead_counts(
    server: ServerWithClock, redis: Redis, scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    """After a host's clock is corrected, or a deployment was off for a month, all events would be kept for good."""
    caplog.set_level(logging.INFO)
    scene.raise_incident("cam-1")
    upkeep(redis)
    server.set_ahead(AHEAD_SECONDS)
    for _ in range(3):
        assert upkeep(redis) == 0
    let_clock_count(redis)
    assert upkeep(redis) == 1
    lines = [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "worker.store.age_clock"]
    assert [level for level, _ in lines] == ["WARNING", "INFO"]
    assert lines[0][1] == (
        "Redis's clock is 744.0 h ahead of when it was last seen; nothing is deleted for its age for an hour"
    )


def test_a_second_jump_does_not_count(server: ServerWithClock, redis: Redis) -> None:
    """Two jumps an hour apart would look like a clock that ran on for an hour."""
    first = age_ms(redis)
    for seconds in (30 * DAY, 30 * DAY + 2 * HOUR, 40 * DAY):
        server.set_ahead(seconds)
        assert age_ms(redis) - first < 60_000
    assert redis.hget(AGE_CLOCK, "went_on_ms") == "0"
    server.set_ahead(40 * DAY + 600)
    age_ms(redis)
    assert redis.hget(AGE_CLOCK, "went_on_ms") == str(STEP_MS)  # ten minutes without an observer prove little


def test_a_clock_that_goes_back_counts_immediately(server: ServerWithClock, redis: Redis) -> None:
    """Events would be kept for longer by as much as the clock had been ahead."""
    age_ms(redis)
    server.set_back(10 * DAY)
    assert abs(age_ms(redis) - now_ms(redis)) < 5_000


def test_events_not_yet_in_the_store_outlive_it(
    server: ServerWithClock, redis: Redis, scene: Scene, tmp_path: Path
) -> None:
    """Events that every reader has acknowledged would be missing from every replay, although the store works: a jump of
    two hours is enough."""
    decide_incident(redis, scene.raise_incident("cam-1"), "harmless", by="ann", note="seen", deployment="test")
    take(redis, "ann")
    assert upkeep(redis) == 0
    server.set_ahead(2 * HOUR)
    assert upkeep(redis) == 0
    record_outcomes(redis, ObjectStore(str(tmp_path / "store")))
    assert upkeep(redis) == 2


def test_the_verdict_log_outlives_it(server: ServerWithClock, redis: Redis, scene: Scene, tmp_path: Path) -> None:
    """One pass of log retention would remove the whole log."""
    store = ObjectStore(str(tmp_path / "store"))
    scene.raise_incident("cam-1")
    record_outcomes(redis, store)
    assert not retention.keep_log(redis, store, hours=72)
    server.set_ahead(AHEAD_SECONDS)
    assert not retention.keep_log(redis, store, hours=72)
    assert len(folders(store, OUTCOMES.root)) == 1
    server.set_ahead(0)
    assert retention.is_due(redis), "nothing would be purged for a month"


def test_proposals_outlive_it(server: ServerWithClock, redis: Redis) -> None:
    """Moderators' proposals of this week would be gone before a lead has seen them."""
    redis.hset(PROPOSED, "entry", json.dumps({"at_ms": now_ms(redis)}))
    assert forget_past(redis) == 0
    server.set_ahead(AHEAD_SECONDS)
    assert forget_past(redis) == 0


def test_outcomes_are_copied_afterwards(server: ServerWithClock, redis: Redis, scene: Scene, tmp_path: Path) -> None:
    """Nothing would be copied until the time that the clock had shown."""
    store = ObjectStore(str(tmp_path / "store"))
    server.set_ahead(AHEAD_SECONDS)
    scene.raise_incident("cam-1", Severity.REVIEW)
    record_outcomes(redis, store)
    server.set_ahead(0)
    scene.raise_incident("cam-2", Severity.REVIEW)
    assert outcomes.is_due(redis)
