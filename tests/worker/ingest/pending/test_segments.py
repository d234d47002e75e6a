"""What Redis knows of a segment that is not settled: leases, counts and deadlines."""

from typing import Any

import pytest
from redis import Redis

from worker.ingest.http.resource import ByteRange
from worker.ingest.pending.segments import (
    OVERDUE,
    Begun,
    SegmentRecord,
    begin,
    defer,
    member,
    pending_key,
    take_overdue,
)

RECORD = SegmentRecord(
    key="1.0.sole.7.aa",
    generation=1,
    epoch=0,
    sequence=7,
    url="http://o/7.ts",
    duration_ms=4000,
    capture_ms=1_000,
    admitted_ms=2_000,
    byte_range=ByteRange(offset=10, length=20),
    init_url="http://o/i.mp4",
)


@pytest.fixture
def pending(redis: Redis) -> Redis:
    """One segment that was admitted, and whose message is overdue."""
    redis.hset(pending_key("s"), RECORD.key, RECORD.to_json())
    redis.zadd(OVERDUE, {member("s", RECORD.key): 0})
    return redis


class AnswersLost(Redis):
    """A client whose first answer to everything is lost, so that it sends it again."""

    def __init__(self, redis: Redis) -> None:
        super().__init__(connection_pool=redis.connection_pool)

    def execute_command(self, *args: Any, **options: Any) -> Any:
        super().execute_command(*args, **options)
        return super().execute_command(*args, **options)


def begun_by(redis: Redis) -> Begun:
    begun = begin(redis, "s", RECORD.key)
    assert isinstance(begun, Begun)
    return begun


def test_two_workers_do_not_begin_the_same_segment(pending: Redis):
    """A message that is delivered twice must not cost the work twice."""
    begun = begin(pending, "s", RECORD.key)
    assert begun is not None
    assert begun.record == RECORD
    assert begin(pending, "s", RECORD.key) is None


def test_a_settled_segment_is_not_begun(redis: Redis):
    """A late message about what is done is no work."""
    assert begin(redis, "s", RECORD.key) is None


def test_counts_what_never_ended(pending: Redis):
    """A segment that kills its worker each time is known by its count, whoever begins it next."""
    for losses in range(3):
        begun = begin(pending, "s", RECORD.key)
        assert begun is not None
        assert (begun.losses, begun.deaths, begun.fetches) == (losses, 0, 0)
        pending.hdel(f"lw:tries:{member('s', RECORD.key)}", "leased_until_ms")  # the lease runs out


def test_counts_decoder_deaths_and_fetches_apart(pending: Redis):
    """A slow origin must not read as a segment that kills decoders."""
    for counts in ("deaths", "fetches", "fetches"):
        defer(pending, "s", begun_by(pending), delay_ms=0, counts=counts)
    begun = begin(pending, "s", RECORD.key)
    assert begun is not None
    assert (begun.losses, begun.deaths, begun.fetches) == (0, 1, 2)


def test_an_answer_that_was_lost_costs_no_lease_and_counts_once(pending: Redis):
    """With each lost answer of Redis a segment waits until its lease is over, or is nearer to being given up."""
    twice = AnswersLost(pending)
    begun = begun_by(twice)
    assert (begun.losses, begun.deaths) == (0, 0)
    defer(twice, "s", begun, delay_ms=0, counts="deaths")
    begun = begun_by(pending)
    assert (begun.losses, begun.deaths) == (0, 1)


def test_who_was_away_for_too_long_takes_no_segment_from_who_has_it_now(pending: Redis):
    """A worker that was stopped for half a minute would have a third one begin what the second works on."""
    stopped = begun_by(pending)
    pending.hdel(f"lw:tries:{member('s', RECORD.key)}", "leased_until_ms")  # the lease runs out
    begun_by(pending)
    defer(pending, "s", stopped, delay_ms=0)
    assert begin(pending, "s", RECORD.key) is None


def test_sends_what_is_overdue_less_and_less_often(pending: Redis):
    """A lost message is made good; a long queue is not made longer without end."""
    assert take_overdue(pending, 10) == [("s", RECORD.key)]
    first = pending.zscore(OVERDUE, member("s", RECORD.key))
    assert take_overdue(pending, 10) == []
    pending.zadd(OVERDUE, {member("s", RECORD.key): 0})
    assert take_overdue(pending, 10) == [("s", RECORD.key)]
    second = pending.zscore(OVERDUE, member("s", RECORD.key))
    assert first is not None
    assert second is not None
    assert second - first > 15_000


def test_forgets_deadlines_of_settled_segments(redis: Redis):
    """The reconciler's list does not grow with what is done."""
    redis.zadd(OVERDUE, {"s gone": 0})
    assert take_overdue(redis, 10) == []
    assert redis.zcard(OVERDUE) == 0
