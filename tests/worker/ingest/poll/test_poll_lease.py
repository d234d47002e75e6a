"""The lease of a poll: short, so that a lost process costs its streams no segment, and renewed while the poll runs."""

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from full_redis import fill, server_to_fill
from hls_origin import Gate, LiveOrigin, eventually
from live_stack import celery
from redis import Redis
from redis.exceptions import OutOfMemoryError

from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.poll.due import ENDS_ITS_PROCESS, POLL_LEASE_MS, release, renew, take_due
from worker.ingest.poll.poll import poll_due
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, DUE_SLOW, stream_key, watch
from worker.store.redis_client import connect, now_ms

WINDOW_MS = 6_000
"""Three segments of two seconds, the shortest window that RFC 8216 allows."""


@pytest.fixture
def held(origin: LiveOrigin) -> Iterator[Gate]:
    """Holds the requests for the playlist until the test ends."""
    origin.add("0.ts", b"x")
    gate = origin.hold("index.m3u8")
    yield gate
    gate.opened.set()


def due_in_ms(redis: Redis) -> float:
    """Time until the stream may be taken for a poll."""
    return (redis.zscore(DUE, "s") or 0) - now_ms(redis)


def test_a_killed_poll_leaves_its_streams_for_less_than_a_window(
    redis: Redis, redis_url: str, origin: LiveOrigin, held: Gate, tmp_path: Path
):
    """Segments would leave the origin's window unseen, of each of up to 50 streams, because one process was killed."""
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    environment = {"LIVEWARDEN_REDIS_URL": redis_url, "LIVEWARDEN_ALLOWED_ORIGINS": origin.host}
    with celery("worker", environment, tmp_path, "--concurrency=1") as worker, celery("beat", environment, tmp_path):
        eventually(held.reached.is_set, within_seconds=60, what=worker.text)
        os.kill(worker.children()[0], signal.SIGKILL)
        assert due_in_ms(redis) < WINDOW_MS / 2
        token = redis.hget(stream_key("s"), "poll_token")
        eventually(lambda: redis.hget(stream_key("s"), "poll_token") != token, within_seconds=60, what=worker.text)
        held.opened.set()
        eventually(lambda: redis.hget(stream_key("s"), "state") == "live", within_seconds=60, what=worker.text)


def test_a_poll_that_runs_is_not_overtaken(redis: Redis, origin: LiveOrigin, held: Gate):
    """A stream whose playlist takes longer than the lease would be polled twice at once, and its first poll be lost."""
    watch(redis, register("s", origin.url, url_template="", legal_basis=""))
    redis.zrem(DUE, "s")
    redis.zadd(DUE_SLOW, {"s": 0})
    fetcher = Fetcher(AllowedOrigins.parse([origin.host]))
    sent: list[str] = []
    poll = threading.Thread(
        target=poll_due,
        args=(redis, fetcher),
        kwargs={"height_pixels": 360, "send": lambda _, key, __: sent.append(key), "slow": True},
    )
    poll.start()
    try:
        assert held.reached.wait(60)
        first = redis.zscore(DUE_SLOW, "s") or 0
        eventually(lambda: redis.zscore(DUE_SLOW, "s") > first, within_seconds=60, what="the lease is not renewed")
        assert take_due(redis, 50, due=DUE_SLOW) == []
    finally:
        held.opened.set()
        poll.join()
        fetcher.close()
    assert len(sent) == 1
    assert redis.hget(stream_key("s"), "state") == "live"


def test_slow_sends_of_one_stream_do_not_end_the_leases_of_others(redis: Redis, origin: LiveOrigin, held: Gate):
    """Where Redis's disk is slow, 64 messages of one stream's first poll would cost the other 49 their polls."""
    for index in range(64):
        origin.add(f"long-{index}.ts", b"x", window=64)
    origin.bodies["/live/long.m3u8"] = origin.playlist_text()
    for name, url in (("s", origin.url), ("long", origin.url.replace("index", "long"))):
        watch(redis, register(name, url, url_template="", legal_basis=""))
        redis.zrem(DUE, name)
        redis.zadd(DUE_SLOW, {name: 0})
    fetcher = Fetcher(AllowedOrigins.parse([origin.host]))
    disk, left_ms = threading.Event(), list[float]()
    before = int(redis.hget(stream_key("s"), "poll_token") or 0)

    def send(stream_id: str, _: str, __: float) -> None:
        if stream_id == "long":
            disk.wait(1.3 * POLL_LEASE_MS / 1000 / 64)
            left_ms.append((redis.zscore(DUE_SLOW, "s") or 0) - now_ms(redis))
            if len(left_ms) == 64:
                held.opened.set()

    poll_due(redis, fetcher, height_pixels=360, send=send, slow=True)
    fetcher.close()
    assert len(left_ms) == 64
    assert min(left_ms) > 0
    assert redis.hget(stream_key("s"), "poll_token") == str(before + 1)


def test_a_renewal_leaves_what_is_not_the_poll_s(redis: Redis):
    """A renewal that comes late would take a stream's next poll away, or bring an unwatched stream back."""
    for name in ("mine", "overtaken", "ended"):
        watch(redis, register(name, "http://o.example/live.m3u8", url_template="", legal_basis=""))
    taken = take_due(redis, 50)
    redis.hincrby(stream_key("overtaken"), "poll_token", 1)
    redis.zadd(DUE, {"mine": 0, "overtaken": 0})
    redis.zrem(DUE, "ended")
    renew(redis, taken)
    assert POLL_LEASE_MS - 1_000 < redis.zscore(DUE, "mine") - now_ms(redis) <= POLL_LEASE_MS
    assert redis.zscore(DUE, "overtaken") == 0
    assert redis.zscore(DUE, "ended") is None
    redis.hset(stream_key("mine"), "polled_token", redis.hget(stream_key("mine"), "poll_token") or "")
    redis.zadd(DUE, {"mine": 7})
    renew(redis, taken)
    assert redis.zscore(DUE, "mine") == 7, "the delay that the poll's outcome asked for"


def test_a_stream_whose_polls_end_their_process_is_taken_less_often(redis: Redis):
    """A hostile playlist would end a process every three seconds."""
    watch(redis, register("s", "http://o.example/live.m3u8", url_template="", legal_basis=""))
    redis.hset(stream_key("s"), "polls_begun", ENDS_ITS_PROCESS)
    taken = take_due(redis, 50)
    renew(redis, taken)
    assert due_in_ms(redis) > 3 * POLL_LEASE_MS


def test_polls_that_redis_refuses_do_not_count_as_lost(origin: LiveOrigin, held: Gate, tmp_path: Path):
    """After some seconds of a full Redis all streams would be polled one at a time, and reported as hostile."""
    with server_to_fill(tmp_path) as server, connect(f"{server.connection_url}/0") as redis:
        watch(redis, register("s", origin.url, url_template="", legal_basis=""))
        fetcher = Fetcher(AllowedOrigins.parse([origin.host]))

        def fill_redis() -> None:
            held.reached.wait(60)
            fill(redis)
            held.opened.set()

        filling = threading.Thread(target=fill_redis)
        filling.start()
        try:
            with pytest.raises(OutOfMemoryError):
                poll_due(redis, fetcher, height_pixels=360, send=lambda *_: None)
        finally:
            held.opened.set()
            filling.join()
            fetcher.close()
        assert redis.hget(stream_key("s"), "polls_begun") == "0"
        assert due_in_ms(redis) <= 0


def test_a_damaged_record_keeps_no_lease_from_others(redis: Redis):
    """One stream's damaged key would end the polls of its whole batch."""
    for name in ("damaged", "s"):
        watch(redis, register(name, "http://o.example/live.m3u8", url_template="", legal_basis=""))
    taken = take_due(redis, 50)
    redis.delete(stream_key("damaged"))
    redis.lpush(stream_key("damaged"), "x")
    redis.zadd(DUE, {"s": 0})
    renew(redis, taken)
    assert redis.zscore(DUE, "s") > now_ms(redis)
    release(redis, taken)
    assert redis.zscore(DUE, "s") <= now_ms(redis)
