"""The head of the audit log, as operators get it."""

import json

from redis import Redis

from worker.audit.chainer import link_waiting
from worker.audit.entries import Act, append_entry, audit_entry
from worker.audit.published_heads import EVENT, publish_head, published_heads
from worker.audit.redis_log import read_head
from worker.events.operations import OPERATIONS


def act(redis: Redis) -> None:
    append_entry(redis, audit_entry(Act.VIEW, by="kim", verified=False, subject="5a"))
    link_waiting(redis)


def test_the_head_is_published_once_an_hour_by_all_workers(redis: Redis):
    """A cut-off end would be seen by nobody, or operators' events be crowded out by it."""
    assert not publish_head(redis, deployment="test")
    act(redis)
    assert publish_head(redis, deployment="test")
    act(redis)
    assert not publish_head(redis, deployment="test")
    ((_, fields),) = redis.xrange(OPERATIONS)
    event = json.loads(fields["event"])
    assert event["type"] == EVENT
    assert event["data"]["n"] == 2
    assert [(one.n, one.chain) for one in published_heads(redis)] == [(2, read_head(redis).chain)]


def test_the_head_is_published_after_a_copy(redis: Redis):
    """What was just purged from Redis would be provable only from the next hour on."""
    act(redis)
    assert publish_head(redis, deployment="test")
    assert publish_head(redis, deployment="test", copied=True)
    assert not publish_head(redis, deployment="test", copied=True)


def test_damaged_and_foreign_events_are_skipped(redis: Redis):
    """One odd event would end the verification."""
    act(redis)
    publish_head(redis, deployment="test")
    for text in (EVENT, f'{{"type": "{EVENT}"}}', f'["{EVENT}"]', "{}"):
        redis.xadd(OPERATIONS, {"event": text})
    redis.xadd(OPERATIONS, {"other": "x"})
    assert [one.n for one in published_heads(redis)] == [2]
