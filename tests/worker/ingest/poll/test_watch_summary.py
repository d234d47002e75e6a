"""The watch of all streams in figures."""

from redis import Redis

from worker.ingest.poll.origin_gaps import PUBLISHED_AFTER_MS
from worker.ingest.poll.watch_summary import read_watch_summary
from worker.ingest.registry.watch_state import LATE_POLL_MS
from worker.store.redis_client import now_ms


def test_streams_that_are_not_polled_in_time_are_counted(redis: Redis) -> None:
    """An empty queue would look calm while no worker runs."""
    now = now_ms(redis)
    late_ms = now - LATE_POLL_MS - 60_000
    redis.zadd("lw:due", {"late": late_ms, "soon": now + 2_000, "just": now - 1_000})
    redis.zadd("lw:due.new", {"later": now - LATE_POLL_MS - 1_000})
    found = read_watch_summary(redis)
    assert (found.watched, found.late, found.late_since_ms) == (4, 2, late_ms)


def test_streams_that_cannot_be_read_are_counted_by_origin(redis: Redis) -> None:
    """A moderator would not learn that what an origin shows is seen by nobody."""
    now = now_ms(redis)
    gone_ms = now - PUBLISHED_AFTER_MS - 60_000
    redis.zadd(
        "lw:streams:missing",
        {
            "eu-3:443 unreachable a": gone_ms,
            "eu-3:443 stalled b": gone_ms + 1,
            "us-1:443 stalled c": gone_ms,
            "us-2:443 unreachable d": now,
            "foreign": gone_ms,
        },
    )
    found = read_watch_summary(redis)
    assert [(one.origin, one.streams, one.since_ms, one.stalled) for one in found.origins] == [
        ("eu-3:443", 2, gone_ms, False),
        ("us-1:443", 1, gone_ms, True),
    ]


def test_nothing_is_watched(redis: Redis) -> None:
    """A new deployment's first page would be an error."""
    found = read_watch_summary(redis)
    assert (found.watched, found.late, found.late_since_ms, found.origins) == (0, 0, None, ())
