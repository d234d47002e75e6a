"""Scripts of the polls whose answers are lost, so that the client sends them again."""

from dataclasses import replace

import pytest
from redis import Redis

from worker.ingest.pending.segments import OVERDUE, SegmentRecord, pending_key, take_overdue
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.timeline import advance
from worker.ingest.poll.admission import admit
from worker.ingest.poll.due import DuePoll, DueStream, note_error, release, take_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, stream_key, watch
from worker.store.redis_client import now_ms

PLAYLIST = MediaPlaylist(
    url="http://o.example/live.m3u8",
    target_duration_seconds=2.0,
    segments=tuple(
        Segment(sequence=number, uri=f"http://o.example/{number}.ts", duration_ms=2_000) for number in range(3)
    ),
    ended=False,
)


@pytest.fixture
def taken(redis: Redis) -> DuePoll:
    """A stream taken for its first poll."""
    watch(redis, register("s", "http://o.example/live.m3u8", url_template="", legal_basis=""))
    (taken,) = take_due(redis, 50)
    return taken


def test_a_repeated_admission_counts_once(redis: Redis, taken: DuePoll):
    """A lost connection would count a stream's time twice, and its coverage equation would never hold again."""
    stream = DueStream.of(taken)
    step = advance(stream.cursor, PLAYLIST, now_ms=now_ms(redis))
    first, second = admit(redis, stream, step), admit(redis, stream, step)
    assert [record.key for record in first] == [record.key for record in second]
    assert redis.hget("lw:coverage:s", "elapsed") == "6000"
    assert redis.hlen(pending_key("s")) == 3
    overtaken = replace(stream, token="0")
    assert admit(redis, overtaken, step) == []


def test_a_repeated_request_takes_the_same_batch(redis: Redis):
    """A lost connection would leave a batch of streams unpolled until its lease expires."""
    for name in ("a", "b"):
        watch(redis, register(name, "http://o.example/live.m3u8", url_template="", legal_basis=""))
    first, second = (take_due(redis, 50, token="t") for _ in range(2))
    assert first == second
    assert [taken.stream_id for taken in first] == ["a", "b"]
    watch(redis, register("a", "http://o.example/other.m3u8", url_template="", legal_basis=""))
    third = take_due(redis, 50, token="t")
    assert [taken.stream_id for taken in third] == ["b"], "who was registered anew is not this batch's any more"


def test_a_repeated_error_counts_once(redis: Redis, taken: DuePoll):
    """A stream would be backed off twice as far as its errors require."""
    note_error(redis, taken)
    note_error(redis, taken)
    assert redis.hget(stream_key("s"), "poll_errors") == "1"
    assert redis.zscore(DUE, "s") - now_ms(redis) < 1_001
    release(redis, [taken])
    assert redis.zscore(DUE, "s") > now_ms(redis), "what failed is not due at once"


def test_a_release_does_not_touch_streams_taken_by_another(redis: Redis, taken: DuePoll):
    """A stream would be polled by two workers at once."""
    redis.zadd(DUE, {"s": 0})
    (again,) = take_due(redis, 50)
    release(redis, [taken])
    assert redis.zscore(DUE, "s") > now_ms(redis)
    release(redis, [again])
    assert redis.zscore(DUE, "s") <= now_ms(redis)
    redis.zrem(DUE, "s")
    release(redis, [again])
    assert redis.zscore(DUE, "s") is None, "a stream that was taken off comes back"


def test_streams_share_the_resending_of_overdue_segments(redis: Redis):
    """One stream with many overdue segments would keep the lost messages of all others waiting."""
    for name, count in (("a", 64), ("b", 64), ("c", 2)):
        for number in range(count):
            redis.hset(pending_key(name), f"k{number}", "{}")
            redis.zadd(OVERDUE, {f"{name} k{number}": 100 * (name == "c") + number})
    assert sorted(take_overdue(redis, 6)) == [
        ("a", "k0"),
        ("a", "k1"),
        ("b", "k0"),
        ("b", "k1"),
        ("c", "k0"),
        ("c", "k1"),
    ]
    assert len(take_overdue(redis, 200)) == 124


def test_records_of_another_version_are_read(redis: Redis, taken: DuePoll):
    """An upgrade or a downgrade would stop every stream."""
    cursor = Cursor(generation=1, rendition="sole", next_sequence=7).to_json()
    newer, older = cursor.replace("{", '{"new_field":[1],', 1), '{"generation":1,"rendition":"sole","next_sequence":7}'
    assert Cursor.from_json(newer) == Cursor.from_json(older) == Cursor.from_json(cursor)
    record = '{"key":"k","generation":1,"epoch":0,"sequence":7,"url":"u","duration_ms":2,"capture_ms":3,"admitted_ms":4'
    assert SegmentRecord.from_json(record + "}") == SegmentRecord.from_json(record + ',"new_field":{"a":1}}')
