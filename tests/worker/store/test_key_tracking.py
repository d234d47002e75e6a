"""Changes of keys, as a real Valkey tells them."""

import threading
import time

import pytest
from redis import Redis
from redis_between import redis_between

from worker.errors import StoreError
from worker.store.key_tracking import KeyTracking, track_keys
from worker.store.redis_client import connect

SOON_SECONDS = 5.0
TRIES = 20


def changed_until(tracking: KeyTracking, key: str) -> set[str]:
    """Changed keys, up to the one that was written last."""
    found: set[str] = set()
    while key not in found:
        more = tracking.changed(SOON_SECONDS)
        assert more, f"{key} did not change"
        found |= more
    return found


def follow(tracking: KeyTracking) -> None:
    for _ in range(TRIES):
        tracking.changed(SOON_SECONDS / TRIES)
        tracking.check()


def test_keys_that_change_are_told_and_others_are_not(redis: Redis) -> None:
    """A moderator would not see a case that came, or every write of a worker would wake the desk."""
    with track_keys(redis, ["lw:incident:", "lw:open:"]) as tracking:
        assert tracking.changed(0.0) == set()
        redis.hset("lw:incident:a", "hits", "1")
        redis.hset("lw:other", "hits", "1")
        redis.eval("redis.call('HSET', 'lw:incident:b', 'hits', '1') redis.call('ZADD', 'lw:open:high', 1, 'b')", 0)
        assert changed_until(tracking, "lw:open:high") == {"lw:incident:a", "lw:incident:b", "lw:open:high"}
        tracking.check()


def test_the_answer_to_a_check_hides_no_change(redis: Redis) -> None:
    """A page that is opened in that moment would lack the case that its moderator was called for."""
    with track_keys(redis, ["lw:incident:"]) as tracking:
        assert tracking.changed(0.0) == set()
        tracking.check()
        redis.hset("lw:incident:a", "hits", "1")
        redis.time()  # what was told before this answer has arrived
        assert tracking.changed(0.0) == {"lw:incident:a"}


def test_a_key_that_expires_has_changed(redis: Redis) -> None:
    """A case whose retention ended would stay on the page."""
    redis.hset("lw:incident:a", "hits", "1")
    with track_keys(redis, ["lw:incident:"]) as tracking:
        redis.pexpire("lw:incident:a", 1)
        assert changed_until(tracking, "lw:incident:a") == {"lw:incident:a"}


def test_after_a_flush_any_may_have_changed(redis: Redis) -> None:
    """The page would go on showing what Redis lost."""
    with track_keys(redis, ["lw:incident:"]) as tracking:
        redis.flushdb()
        assert tracking.changed(SOON_SECONDS) is None


@pytest.mark.parametrize(("field", "value"), [("sub", "1"), ("cmd", "client|trackinginfo")])
def test_a_lost_connection_is_an_error(field: str, value: str, redis: Redis) -> None:
    """Changes would be lost between, and the page be wrong until it is loaded again."""
    # Redis may not know yet that a test before this one has closed its connections.
    others = {one["id"] for one in redis.client_list()}
    with track_keys(redis, ["lw:incident:"]) as tracking:
        tracking.check()
        (client,) = [one for one in redis.client_list() if one[field] == value and one["id"] not in others]
        redis.client_kill_filter(_id=client["id"])
        with pytest.raises(StoreError):
            follow(tracking)


def test_a_connection_that_brings_nothing_more_is_an_error(redis_url: str) -> None:
    """A firewall may forget one connection and tell neither end: cases that come would be missing for minutes, also on
    a page that is opened, while Redis answers everything else."""
    silent = threading.Event()
    with (
        redis_between(redis_url, lambda _, send: send(), silent=silent) as url,
        connect(url) as redis,
        track_keys(redis, ["lw:incident:"]) as tracking,
    ):
        follow(tracking)
        silent.set()
        with pytest.raises(StoreError, match="does not answer"):
            follow(tracking)


def test_nothing_is_followed_afterwards(redis: Redis) -> None:
    """Each reconnect of the desk would leave a connection to which Redis sends for ever."""
    before = {one["id"] for one in redis.client_list()}
    with track_keys(redis, ["lw:incident:"]):
        assert len({one["id"] for one in redis.client_list()} - before) == 2
    # Redis learns of a closed connection a moment later.
    until = time.monotonic() + 60
    while not {one["id"] for one in redis.client_list()} <= before:
        assert time.monotonic() < until
