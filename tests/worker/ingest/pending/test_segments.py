"""Records of unsettled segments in Redis: leases, counts and deadlines."""

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
    """One admitted segment whose message is overdue."""
    redis.hset(pending_key("s"), RECORD.key, RECORD.to_json())
    redis.zadd(OVERDUE, {member("s", RECORD.key): 0})
    return redis


class AnswersLost(Redis):
    """A client that loses the first answer to every command, and repeats the command."""

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
    """A message delivered twice would cost the work twice."""
    begun = begin(pending, "s", RECORD.key)
    assert begun is not None
    assert begun.record == RECORD
    assert begin(pending, "s", RECORD.key) is None


def test_a_settled_segment_is_not_begun(redis: Redis):
    """A late message would moderate a settled segment again."""
    assert begin(redis, "s", RECORD.key) is None


def test_counts_attempts_that_never_ended(pending: Redis):
    """A segment that kills its worker each time would be retried without limit."""
    for losses in range(3):
        begun = begin(pending, "s", RECORD.key)
        assert begun is not None
        assert (begun.losses, begun.deaths, begun.fetches) == (losses, 0, 0)
        pending.hdel(f"lw:tries:{member('s', RECORD.key)}", "leased_until_ms")  # the lease runs out


def test_counts_decoder_deaths_and_fetches_separately(pending: Redis):
    """A segment of a slow origin would look like one that kills decoders."""
    for counts in ("deaths", "fetches", "fetches"):
        defer(pending, "s", begun_by(pending), delay_ms=0, counts=counts)
    begun = begin(pending, "s", RECORD.key)
    assert begun is not None
    assert (begun.losses, begun.deaths, begun.fetches) == (0, 1, 2)


def test_a_lost_answer_costs_no_lease_and_counts_once(pending: Redis):
    """Each lost answer of Redis would block a segment until its lease expires, or bring it nearer to being given up."""
    twice = AnswersLost(pending)
    begun = begun_by(twice)
    assert (begun.losses, begun.deaths) == (0, 0)
    defer(twice, "s", begun, delay_ms=0, counts="deaths")
    begun = begun_by(pending)
    assert (begun.losses, begun.deaths) == (0, 1)


def test_a_worker_that_lost_its_lease_does_not_release_the_new_one(pending: Redis):
    """A worker suspended for half a minute would let a third one begin the segment that the second works on."""
    stopped = begun_by(pending)
    pending.hdel(f"lw:tries:{member('s', RECORD.key)}", "leased_until_ms")  # the lease runs out
    begun_by(pending)
    defer(pending, "s", stopped, delay_ms=0)
    assert begin(pending, "s", RECORD.key) is None


def test_overdue_segments_are_resent_less_and_less_often(pending: Redis):
    """A lost message would never be replaced, or a long queue would grow without bound."""
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
    """The reconciler's list would grow with every settled segment."""
    redis.zadd(OVERDUE, {"s gone": 0})
    assert take_overdue(redis, 10) == []
    assert redis.zcard(OVERDUE) == 0
