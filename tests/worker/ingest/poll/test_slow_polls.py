"""Polls of real origins with slow playlists, next to an honest one."""

import time
from collections.abc import Iterator

import pytest
from hls_origin import LiveOrigin, serving
from redis import Redis
from slow_origin import DRIP, HEADERS, SILENT, SlowOrigin, serving_slowly

from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.poll.poll import poll_due
from worker.ingest.poll.schedule import TICK, tick
from worker.ingest.poll.stream_poll import PLAYLIST_TIMEOUT_SECONDS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, DUE_NEW, DUE_SLOW, unwatch, watch
from worker.ingest.registry.slow_streams import SlowPart, is_slow, note_slowness, slow_key
from worker.ingest.status import stream_status

WAYS = {"drip": DRIP, "silent": SILENT, "headers": HEADERS}


@pytest.fixture
def hostile() -> Iterator[SlowOrigin]:
    with serving_slowly(SlowOrigin(streams=WAYS, slow_playlists=True)) as served:
        yield served


@pytest.fixture
def honest() -> Iterator[LiveOrigin]:
    with serving(LiveOrigin()) as served:
        served.add("0.ts", b"x")
        yield served


class Poller:
    """Polls on demand, independent of the schedule."""

    def __init__(self, redis: Redis, *hosts: str) -> None:
        self.redis = redis
        self.fetcher = Fetcher(AllowedOrigins.parse(hosts))
        self.sent: list[str] = []

    def watch(self, stream_id: str, url: str) -> None:
        watch(self.redis, register(stream_id, url, purpose="drill", url_template="", legal_basis=""))

    def poll(self, *, slow: bool = False) -> int:
        return poll_due(
            self.redis,
            self.fetcher,
            height_pixels=360,
            send=lambda stream_id, _, __: self.sent.append(stream_id),
            slow=slow,
        )


@pytest.fixture
def poller(redis: Redis, hostile: SlowOrigin, honest: LiveOrigin) -> Iterator[Poller]:
    poller = Poller(redis, hostile.host, honest.host)
    yield poller
    poller.fetcher.close()


def test_slow_playlists_hold_an_ordinary_poll_only_briefly(poller: Poller, hostile: SlowOrigin, honest: LiveOrigin):
    """One slow playlist would delay every stream of its batch, and hold a process, for five seconds."""
    for way in WAYS:
        poller.watch(way, hostile.url(way))
    poller.watch("honest", honest.url)
    begin_seconds = time.monotonic()
    poller.poll()
    assert time.monotonic() - begin_seconds < PLAYLIST_TIMEOUT_SECONDS
    assert poller.sent == ["honest"]
    assert {*poller.redis.zrange(DUE_SLOW, 0, -1)} == {*WAYS}
    for way in WAYS:
        record = stream_status(poller.redis, way)
        assert (record["state"], record["reason"]) == ("waiting", ""), "no failed poll is counted"
        assert record["slow"] == ["playlist"]
    asked = len(hostile.requests)
    poller.redis.zadd(DUE, dict.fromkeys(WAYS, 0))
    poller.redis.zadd(DUE, {"honest": 0})
    assert poller.poll() == 1
    assert len(hostile.requests) == asked, "ordinary polls leave marked streams to slow ones"


def test_a_slow_poll_waits_the_full_time_and_then_counts_a_failure(poller: Poller, hostile: SlowOrigin):
    """An unreadable stream would be shown as waiting for ever, and its gap would be reported to nobody."""
    poller.watch("silent", hostile.url("silent"))
    poller.poll()
    assert poller.poll(slow=True) == 1
    record = stream_status(poller.redis, "silent")
    assert (record["state"], record["reason"]) == ("unreachable", "timeout")
    assert poller.redis.zrange(DUE, 0, -1) == []
    # It was never read: it reaches slow polls again through the line of new streams.
    assert poller.redis.zrange(DUE_NEW, 0, -1) == ["silent"]
    poller.redis.zadd(DUE_NEW, {"silent": 0})
    tick(poller.redis, waiting_polls=0, send=lambda _: None)
    assert poller.poll() == 0
    assert poller.redis.zrange(DUE_SLOW, 0, -1) == ["silent"], "polled again, by slow polls"


def test_a_slow_playlist_is_read_and_its_segments_are_admitted(poller: Poller, honest: LiveOrigin):
    """A stream whose origin takes two seconds for a playlist would not be watched."""
    note_slowness(poller.redis, SlowPart.PLAYLIST, "s", slow=True, held_seconds=3.0)
    poller.watch("s", honest.url)
    assert poller.poll() == 0
    assert poller.poll(slow=True) == 1
    assert poller.sent == ["s"]
    assert poller.redis.zrange(DUE_SLOW, 0, -1) == ["s"], "held for a while"


def test_a_playlist_that_is_quick_again_returns_to_ordinary_polls(poller: Poller, honest: LiveOrigin):
    """A stream with one bad second would be polled late for ever."""
    note_slowness(poller.redis, SlowPart.PLAYLIST, "s", slow=True, held_seconds=3.0)
    poller.redis.hset(slow_key(SlowPart.PLAYLIST, "s"), "until_ms", 0)
    poller.watch("s", honest.url)
    assert poller.poll() == 0
    assert poller.poll(slow=True) == 1
    assert not is_slow(poller.redis, SlowPart.PLAYLIST, "s")
    assert (poller.redis.zrange(DUE, 0, -1), poller.redis.zrange(DUE_SLOW, 0, -1)) == (["s"], [])


def test_a_removed_slow_stream_is_no_longer_polled(poller: Poller, hostile: SlowOrigin):
    """A removed stream would come back."""
    poller.watch("silent", hostile.url("silent"))
    poller.poll()
    unwatch(poller.redis, "silent")
    assert poller.poll(slow=True) == 0
    assert stream_status(poller.redis, "silent")["state"] == "removed"


def test_a_slow_stream_with_a_new_url_is_polled_once(poller: Poller, hostile: SlowOrigin, honest: LiveOrigin):
    """Two concurrent polls would read the same playlist."""
    poller.watch("silent", hostile.url("silent"))
    poller.poll()
    poller.watch("silent", honest.url)
    assert poller.poll() == 0
    assert poller.poll(slow=True) == 1
    assert poller.poll() == poller.poll(slow=True) == 0
    assert poller.sent == ["silent"]


def test_at_most_one_slow_poll_waits(redis: Redis):
    """While the slow share is busy, each second would leave another message behind."""
    redis.zadd(DUE_SLOW, {"s": 0})
    sent: list[str] = []
    for waiting in (0, 1):
        redis.delete(TICK)
        tick(redis, waiting_polls=0, waiting_slow_polls=waiting, send=sent.append)
    assert sent.count("slow_poll") == 1
    assert sent.count("poll") == 0
