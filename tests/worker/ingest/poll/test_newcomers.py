"""Thousands of registrations, by mistake or as an attack: watched streams keep their polls."""

from collections.abc import Iterator

import pytest
from hls_origin import LiveOrigin, serving
from redis import Redis

from worker.errors import RegistryError
from worker.ingest.coverage.ledger import coverage_key
from worker.ingest.http.fetch import Fetcher
from worker.ingest.http.origins import AllowedOrigins
from worker.ingest.poll.poll import poll_due
from worker.ingest.poll.schedule import TICK, tick
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import (
    DUE,
    DUE_NEW,
    KEPT_AFTER_END_SECONDS,
    NEVER_READ_KEPT_SECONDS,
    NEW_AT_ONCE,
    forget_gone,
    stream_ids,
    stream_key,
    unwatch,
    watch,
)
from worker.store.redis_client import now_ms

HONEST = [f"honest-{number}" for number in range(4)]
MANY = 4 * NEW_AT_ONCE


class Deployment:
    """Ticks and polls of a real origin, one after another."""

    def __init__(self, redis: Redis, origin: LiveOrigin) -> None:
        self.redis, self.origin = redis, origin
        self.fetcher = Fetcher(AllowedOrigins.parse([origin.host]))
        origin.add("0.ts", b"x")

    def watch(self, name: str, *, readable: bool = True) -> None:
        url = self.origin.url if readable else f"http://{self.origin.host}/nothing/{name}.m3u8"
        watch(self.redis, register(name, url, url_template="", legal_basis=""))

    def tick(self) -> int:
        """Ticks as if the last tick was a while ago; gives the number of polls sent."""
        self.redis.delete(TICK)
        return tick(self.redis, waiting_polls=0, send=lambda _: None)

    def poll(self) -> None:
        poll_due(self.redis, self.fetcher, height_pixels=360, send=lambda *_: None)

    def state(self, name: str) -> str | None:
        return self.redis.hget(stream_key(name), "state")


@pytest.fixture
def deployment(redis: Redis) -> Iterator[Deployment]:
    with serving(LiveOrigin()) as origin:
        made = Deployment(redis, origin)
        yield made
        made.fetcher.close()


def test_unreadable_streams_do_not_delay_the_polls_of_others(deployment: Deployment) -> None:
    """Thousands of streams registered with a wrong URL would end the watch of all others."""
    for name in HONEST:
        deployment.watch(name)
    deployment.poll()
    for number in range(MANY):
        deployment.watch(f"new-{number}", readable=False)
    for _ in range(MANY // NEW_AT_ONCE + 1):
        deployment.redis.zadd(DUE, dict.fromkeys(HONEST, now_ms(deployment.redis)))
        before = deployment.redis.hmget(stream_key(HONEST[0]), "poll_token")
        polls = deployment.tick()
        assert polls <= 2, "those that are new take one batch, or two at first"
        for _ in range(polls):
            deployment.poll()
        assert deployment.redis.hmget(stream_key(HONEST[0]), "poll_token") != before
    assert {deployment.state(f"new-{number}") for number in range(MANY)} == {"unreachable"}
    assert deployment.redis.zcard(DUE_NEW) >= MANY - NEW_AT_ONCE, "what failed waits in line again"
    assert {*deployment.redis.zrange(DUE, 0, -1)} >= {*HONEST}


def test_many_readable_streams_are_all_watched(deployment: Deployment) -> None:
    """A platform that registers all its streams together would have some of them never watched."""
    for number in range(MANY):
        deployment.watch(f"new-{number}")
    assert deployment.redis.zcard(DUE) == NEW_AT_ONCE, "these need not wait"
    for _ in range(MANY // NEW_AT_ONCE):
        deployment.tick()
        deployment.poll()
    assert {deployment.state(f"new-{number}") for number in range(MANY)} == {"live"}
    assert (deployment.redis.zcard(DUE), deployment.redis.zcard(DUE_NEW)) == (MANY, 0)


def test_a_stream_in_line_can_be_changed_and_removed(deployment: Deployment) -> None:
    """A stream removed while it waits in line would be polled, or a changed one would lose its place."""
    for number in range(NEW_AT_ONCE + 2):
        deployment.watch(f"new-{number}")
    last = f"new-{NEW_AT_ONCE + 1}"
    place = deployment.redis.zscore(DUE_NEW, last)
    deployment.watch(last, readable=False)
    assert deployment.redis.zscore(DUE_NEW, last) == place
    unwatch(deployment.redis, last)
    assert deployment.redis.zscore(DUE_NEW, last) is None


@pytest.mark.parametrize("reads", [False, True])
def test_a_record_is_kept_for_days_only_if_the_stream_was_read(deployment: Deployment, reads: bool) -> None:
    """The outcome of a watch would be lost; or registering and removing streams in a loop would fill Redis with empty
    records."""
    deployment.watch("s")
    if reads:
        deployment.poll()
    for readable in (False, True, False):
        deployment.watch("s", readable=readable)
    for again in (False, True):
        if again:
            deployment.watch("s")
        unwatch(deployment.redis, "s")
        ttl = deployment.redis.ttl(stream_key("s"))
        least, most = (NEVER_READ_KEPT_SECONDS, KEPT_AFTER_END_SECONDS) if reads else (0, NEVER_READ_KEPT_SECONDS)
        assert least < ttl <= most


def test_a_watched_stream_whose_url_changes_does_not_wait_in_line(deployment: Deployment) -> None:
    """A platform that re-signs a URL while others register many streams would have its stream unwatched."""
    deployment.watch("honest-0")
    deployment.poll()
    for number in range(2 * NEW_AT_ONCE):
        deployment.watch(f"new-{number}")
    deployment.watch("honest-0", readable=False)
    assert deployment.redis.zscore(DUE, "honest-0") <= now_ms(deployment.redis)
    assert deployment.redis.zscore(DUE_NEW, "honest-0") is None


def test_watched_streams_are_limited(redis: Redis) -> None:
    """Anyone who may register streams could fill Redis, and stop all watches."""
    for name in ("a", "b"):
        watch(redis, register(name, "https://cdn.example/a", url_template="", legal_basis=""), max_streams=2)
    with pytest.raises(RegistryError, match="2 streams are watched, as many as LIVEWARDEN_MAX_STREAMS allows"):
        watch(redis, register("c", "https://cdn.example/a", url_template="", legal_basis=""), max_streams=2)
    assert not redis.exists(stream_key("c"))
    changed = watch(redis, register("a", "https://cdn.example/b", url_template="", legal_basis=""), max_streams=2)
    unwatch(redis, "b")
    assert (
        watch(redis, register("c", "https://cdn.example/a", url_template="", legal_basis=""), max_streams=2) > changed
    )


def test_ledgers_of_streams_without_a_record_are_removed(redis: Redis) -> None:
    """`streams list` would take longer each month, and Redis would fill up."""
    gone = {f"gone-{number}" for number in range(200)}
    redis.zadd("lw:streams", dict.fromkeys(gone, 0))
    for name in gone:
        redis.hset(coverage_key(name), "elapsed", 2_000)
    for name in ("watched", "removed"):
        watch(redis, register(name, "https://cdn.example/a", url_template="", legal_basis=""))
        redis.hset(coverage_key(name), "elapsed", 2_000)
    unwatch(redis, "removed")
    forgotten = sum(forget_gone(redis) for _ in range(60))
    assert forgotten == 200
    assert sorted(stream_ids(redis)) == ["removed", "watched"]  # both may have been registered in one millisecond
    assert sorted(redis.keys("lw:coverage:*")) == [coverage_key("removed"), coverage_key("watched")]
