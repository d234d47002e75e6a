"""The feed of the queue, over a real Valkey: one reader, and pages that are woken."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest
from desk_server import RunningDesk
from redis import Redis
from scene import Scene

from desk.live.queue_feed import TICK_SECONDS, QueueFeed
from worker.errors import StoreError
from worker.queue.case_order import LongestWaits
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.store.redis_client import connect

SOON_SECONDS = 10.0


@pytest.fixture
def feed(redis: Redis) -> Iterator[QueueFeed]:
    feed = QueueFeed(redis, LongestWaits())
    yield feed
    feed.close()
    feed.join()


def streams(feed: QueueFeed) -> list[str]:
    return [case.stream_id for case in feed.current().cases]


@contextmanager
def coming(feed: QueueFeed) -> Iterator[threading.Event]:
    """Set when the feed wakes a page, and has a case."""
    come = threading.Event()

    def wake() -> None:
        with suppress(StoreError):
            if feed.newest().cases:
                come.set()

    with feed.woken(wake):
        yield come


def test_a_page_that_is_opened_has_all_that_was_written(feed: QueueFeed, scene: Scene) -> None:
    """A moderator would be led back to the queue after a decision, and see the case in it still."""
    assert streams(feed) == []
    incident = scene.raise_incident("cam-1")
    assert streams(feed) == ["cam-1"]
    take(scene.redis, "kim")
    assert [case.holder for case in feed.current().cases] == ["kim"]
    decide_incident(scene.redis, incident, "adult_tos", by="kim", deployment="test")
    assert streams(feed) == []


def test_an_open_page_is_woken_when_a_case_comes(feed: QueueFeed, scene: Scene) -> None:
    """A live incident would be seen when somebody happens to load the page again."""
    feed.current()
    with coming(feed) as come:
        scene.raise_incident("cam-1")
        assert come.wait(SOON_SECONDS)


def connections(redis: Redis) -> set[str]:
    """Identifiers of those that Redis has, of which some may be about to end."""
    return {client["id"] for client in redis.client_list()}


def test_pages_share_one_reader(feed: QueueFeed, redis: Redis) -> None:
    """Each page that is open would cost Redis two connections."""
    before = connections(redis)
    feed.current()
    own = connections(redis) - before
    assert own
    for _ in range(20):
        with feed.woken(lambda: None):
            feed.current()
    assert connections(redis) - before == own


def test_a_lost_connection_loses_nothing(feed: QueueFeed, scene: Scene) -> None:
    """What came while the connection was away would be missing until the next change."""
    feed.current()
    for client in scene.redis.client_list():
        if client["sub"] == "1" or client["cmd"] in ("client|trackinginfo", "time"):
            scene.redis.client_kill_filter(_id=client["id"], skipme=True)
    scene.raise_incident("cam-1")
    with coming(feed) as come:
        assert come.wait(SOON_SECONDS)


def test_redis_away_is_said(redis_url: str) -> None:
    """A page would show an empty queue while the desk cannot see it."""
    with connect("redis://127.0.0.1:1/0", retries=0) as away:
        feed = QueueFeed(away, LongestWaits())
        with pytest.raises(StoreError):
            feed.current()
        with pytest.raises(StoreError):
            feed.newest()
        assert feed.lost_at is not None
        feed.close()
        feed.join()


def test_redis_that_hangs_is_said(redis: Redis) -> None:
    """Pages would say "connected, updated 0 s ago" for a minute while nothing new can reach them."""
    feed, server = QueueFeed(redis, LongestWaits(), stale_seconds=2 * TICK_SECONDS), redis.info("server")["process_id"]
    try:
        feed.current()
        began = time.time()
        os.kill(server, signal.SIGSTOP)
        assert came(lambda: feed.lost_at is not None)
        assert abs((feed.lost_at or 0) - began) <= TICK_SECONDS + 1
        with pytest.raises(StoreError):
            feed.newest()
        os.kill(server, signal.SIGCONT)
        assert came(lambda: feed.lost_at is None)
        assert feed.current().age_seconds() <= TICK_SECONDS
    finally:
        os.kill(server, signal.SIGCONT)
        feed.close()
        feed.join()


def came(happened: Callable[[], bool]) -> bool:
    """Waits for something that nothing announces."""
    deadline = time.monotonic() + 2 * SOON_SECONDS
    while not happened() and time.monotonic() < deadline:
        time.sleep(0.05)
    return happened()


def test_a_closed_feed_answers_nobody(feed: QueueFeed) -> None:
    """A page would wait ten seconds for a desk that is ending."""
    feed.close()
    with pytest.raises(StoreError):
        feed.current()
    feed.close()


def test_a_desk_reads_the_queue_before_a_page_is_opened(running: RunningDesk, redis: Redis) -> None:
    """The first page after a restart would take a second with a long queue."""
    until = time.monotonic() + SOON_SECONDS
    while not any("t" in client["flags"] for client in redis.client_list()):  # its keys are followed
        assert time.monotonic() < until
