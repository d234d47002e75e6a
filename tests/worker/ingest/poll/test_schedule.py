"""Ticks: how often playlists are read, whichever process ticks."""

from redis import Redis

from worker.ingest.pending.segments import OVERDUE, pending_key
from worker.ingest.poll.due import offer
from worker.ingest.poll.poll import BATCH_STREAMS
from worker.ingest.poll.schedule import RECONCILED, TICK, polls_needed, reconcile, tick, tick_is_late
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, watch


def test_two_beats_send_no_poll_twice(redis: Redis):
    """A second beat, started by mistake, would double the load on origins."""
    watch(redis, register("s", "https://cdn.example/a", url_template="", legal_basis=""))
    sent: list[str] = []
    assert tick_is_late(redis)
    assert tick(redis, waiting_polls=0, send=sent.append) == 1
    assert not tick_is_late(redis)
    assert tick(redis, waiting_polls=0, send=sent.append) == 0
    assert sent == ["reconcile", "poll"]


def test_waiting_polls_are_not_sent_again(redis: Redis):
    """While workers are behind, ticks would pile up messages."""
    redis.zadd(DUE, {f"s{i}": 0 for i in range(3 * BATCH_STREAMS)})
    sent: list[str] = []
    tick(redis, waiting_polls=2, send=sent.append)
    assert sent.count("poll") == 1
    assert polls_needed(3 * BATCH_STREAMS + 1) == 4
    assert polls_needed(-1) == 0


def test_a_waiting_poll_takes_due_streams(redis: Redis):
    """Slow origins would take one process after another from the segments, each for its own batch."""
    redis.zadd(DUE, {f"s{i}": 0 for i in range(40)})
    offer(redis, 40, within_seconds=60)
    sent: list[str] = []
    assert tick(redis, waiting_polls=0, send=sent.append) == 0
    redis.delete(TICK)
    offer(redis, 39, within_seconds=60)
    assert tick(redis, waiting_polls=0, send=sent.append) == 1
    redis.delete(TICK)
    offer(redis, 0)
    assert tick(redis, waiting_polls=0, send=sent.append) == 1


def test_a_late_tick_is_detected_by_redis_time(redis: Redis):
    """Workers whose clocks are wrong would not notice that beat died."""
    redis.set(TICK, 0)
    assert tick_is_late(redis)
    assert redis.get(RECONCILED) is None


def test_a_damaged_record_does_not_block_other_streams(redis: Redis):
    """One stream would keep the lost messages of all others from being sent again."""
    redis.hset("lw:stream:a", "risk_prior", "much")
    for name in ("a", "b"):
        redis.hset(pending_key(name), "k", "{}")
        redis.zadd(OVERDUE, {f"{name} k": 0})
    sent: list[tuple[str, str, float]] = []
    reconcile(redis, lambda *args: sent.append(args))
    assert sent == [("a", "k", 0.0), ("b", "k", 0.0)]


def test_a_lost_message_is_sent_again(redis: Redis):
    """A segment whose message the broker lost would never be moderated."""
    redis.hset("lw:stream:s", "risk_prior", "0.9")
    redis.hset(pending_key("s"), "k", "{}")
    redis.zadd(OVERDUE, {"s k": 0})
    sent: list[tuple[str, str, float]] = []
    assert reconcile(redis, lambda *args: sent.append(args)) == 1
    assert sent == [("s", "k", 0.9)]
