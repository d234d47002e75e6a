"""Acts on several incidents that a person gives again, in a real Valkey."""

import json

import pytest
from redis import Redis

from worker.audit.entries import Act, append_once, audit_entry
from worker.store.redis_keys import AUDIT_UNLINKED


def decide(redis: Redis, *incidents: str, note: str = "a logo") -> None:
    entry = audit_entry(Act.DECISION, by="lea", verified=False, subject="f", duplicates=list(incidents))
    append_once(redis, entry, act=["f", "lea", note], on=incidents)


def recorded(redis: Redis) -> list[list[str]]:
    return [json.loads(fields["entry"])["details"]["duplicates"] for _, fields in redis.xrange(AUDIT_UNLINKED.name)]


@pytest.mark.parametrize("left", [("a", "b"), ("b",)])
def test_an_act_is_recorded_once_also_for_what_is_left_of_it(redis: Redis, left: tuple[str, ...]) -> None:
    """The audit log would have a lead decide the same incidents twice, since Redis went away in the middle."""
    decide(redis, "a", "b")
    decide(redis, *left)
    assert recorded(redis) == [["a", "b"]]


def test_an_act_on_more_is_recorded(redis: Redis) -> None:
    """A decision on incidents that came since would be on no record."""
    decide(redis, "a", "b")
    decide(redis, "b", "c")
    assert recorded(redis) == [["a", "b"], ["b", "c"]]


def test_another_act_on_the_same_is_recorded(redis: Redis) -> None:
    """The reason for which incidents were decided would be that of a try before."""
    decide(redis, "a")
    decide(redis, "a", note="no logo")
    assert recorded(redis) == [["a"], ["a"]]


def test_an_act_is_forgotten_in_time(redis: Redis) -> None:
    """An act that a lead means to do anew would be on no record; or Redis would fill with those of years."""
    decide(redis, "a")
    (key,) = redis.scan_iter("lw:once:*", count=1000)
    assert 0 < redis.ttl(key) <= 120
