"""Rests that Redis's expiry ends: they last as long as was meant, also if Redis's clock goes back by an hour."""

from collections.abc import Callable

import pytest
from redis import Redis
from scene import Scene

from config.policy.policy import Policy
from worker.audit import copies
from worker.audit.chainer import link_waiting
from worker.audit.entries import Act, append_entry, audit_entry
from worker.evidence.sweep import SWEEP_SECONDS, sweep_is_due
from worker.people.actor import Actor, Role
from worker.queue.looks import LOOK_SECONDS, ask, looking_key
from worker.store.redis_keys import AUDIT_REST, EVIDENCE_SWEPT


def sweep_rests(redis: Redis, _: Policy) -> None:
    assert not sweep_is_due(redis)


def copy_rests(redis: Redis, _: Policy) -> None:
    append_entry(redis, audit_entry(Act.ROLE, by="lea", verified=True, subject="kim"))
    link_waiting(redis)
    assert not copies.is_due(redis)


def stream_rests(redis: Redis, policy: Policy) -> None:
    incident = Scene(redis=redis, policy=policy).raise_incident("cam-1")
    assert ask(redis, incident, Actor(name="kim", role=Role.MODERATOR))


@pytest.mark.parametrize(
    ("key", "seconds", "act"),
    [
        (EVIDENCE_SWEPT.name, SWEEP_SECONDS, sweep_rests),
        (AUDIT_REST.name, AUDIT_REST.seconds, copy_rests),
        (looking_key("cam-1"), LOOK_SECONDS, stream_rests),
    ],
)
def test_a_rest_from_before_the_clock_went_back_is_shortened(
    redis: Redis, policy: Policy, key: str, seconds: int, act: Callable[[Redis, Policy], None]
) -> None:
    """For an hour no evicted picture would leave the store, no entry be copied there, and nobody look at a stream."""
    redis.set(key, 1, ex=3600)
    act(redis, policy)
    assert 0 < redis.ttl(key) <= seconds
