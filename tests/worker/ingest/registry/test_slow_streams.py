"""Marks of slow streams."""

import pytest
from redis import Redis

from worker.ingest.registry.slow_streams import (
    FIRST_HOLD_MS,
    LONGEST_HOLD_MS,
    MARK_KEPT_SECONDS,
    SlowPart,
    is_slow,
    note_slowness,
    slow_key,
)
from worker.store.redis_client import now_ms

KEY = slow_key(SlowPart.SEGMENTS, "s")


def note(redis: Redis, *, slow: bool, held_seconds: float = 1.0) -> bool:
    return note_slowness(redis, SlowPart.SEGMENTS, "s", slow=slow, held_seconds=held_seconds)


def let_hold_pass(redis: Redis) -> None:
    redis.hset(KEY, "until_ms", 0)


def hold_ms(redis: Redis) -> int:
    return int(redis.hget(KEY, "until_ms")) - now_ms(redis)


def test_a_quick_stream_leaves_nothing_behind(redis: Redis):
    """Each of thousands of quick streams would cost a key, and a write for every segment."""
    assert not note(redis, slow=False)
    assert not is_slow(redis, SlowPart.SEGMENTS, "s")
    assert redis.keys("lw:slow:*") == []


def test_a_stream_is_unmarked_when_it_is_quick_and_its_hold_is_over(redis: Redis):
    """A single delay of an origin would leave its stream with the slow ones for good."""
    assert note(redis, slow=True)
    assert note(redis, slow=False), "a single quick segment within the hold"
    assert is_slow(redis, SlowPart.SEGMENTS, "s")
    let_hold_pass(redis)
    assert note(redis, slow=True), "still slow: held anew"
    assert hold_ms(redis) == pytest.approx(FIRST_HOLD_MS, abs=1000)
    let_hold_pass(redis)
    assert not note(redis, slow=False)
    assert not is_slow(redis, SlowPart.SEGMENTS, "s")


def test_a_stream_that_relapses_is_held_longer_each_time(redis: Redis):
    """A hostile origin that alternates between quick and slow would hold a process of the others again and again."""
    holds = []
    for _ in range(8):
        note(redis, slow=True)
        holds.append(hold_ms(redis))
        let_hold_pass(redis)
        note(redis, slow=False)
    expected = [min(FIRST_HOLD_MS * 2**relapses, LONGEST_HOLD_MS) for relapses in range(8)]
    assert holds == [pytest.approx(hold, abs=1000) for hold in expected]


def test_a_script_sent_twice_counts_one_relapse(redis: Redis):
    """A lost answer would lengthen an honest stream's hold."""
    note(redis, slow=True)
    note(redis, slow=True)
    assert redis.hget(KEY, "times") == "1"


def test_the_mark_of_an_ended_stream_expires(redis: Redis):
    """Streams that end while they are slow would fill Redis within months."""
    note(redis, slow=True)
    assert 0 < redis.ttl(KEY) <= MARK_KEPT_SECONDS


def test_slow_segments_do_not_mark_the_playlist(redis: Redis):
    """A stream with slow segments would be polled late, and have gaps."""
    note(redis, slow=True)
    assert not is_slow(redis, SlowPart.PLAYLIST, "s")
