"""Entries and records that nobody can be given: set aside, counted, and in nobody's way."""

import json

import pytest
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.incidents.keys import ESCALATION_KEYS, incident_key
from worker.queue.aside import AT_ONCE, aside_lines, entries_aside, unreadable_incidents
from worker.queue.claims import MAX_DRAINED, MOST_ASIDE, take
from worker.store.redis_keys import QUEUE_ASIDE, QUEUE_ASIDE_COUNTS

CRITICAL = ESCALATION_KEYS[0]


def event(incident_id: object = "0" * 24, kind: str = "livewarden.escalation.raised.v1", **more: object) -> str:
    return json.dumps({"type": kind, "data": {"incident_id": incident_id, **more}})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"x": "y"}, "malformed"),
        ({"event": "{"}, "malformed"),
        ({"event": "[]"}, "malformed"),
        ({"event": "[" * 5000}, "malformed"),
        ({"event": '{"data": 5}'}, "malformed"),
        ({"event": '{"data": {}}'}, "malformed"),
        ({"event": event(7)}, "malformed"),
        ({"event": b"\xff\x00"}, "malformed"),
        ({"event": event(kind="livewarden.escalation.raised.v2")}, "newer"),
        ({"event": event(text="x" * 1_048_576)}, "oversized"),
        ({"event": event()}, "unknown"),
        ({"event": event("../*\n")}, "unknown"),
    ],
)
def test_an_entry_is_set_aside_with_its_reason(scene: Scene, fields: dict[str, str], reason: str) -> None:
    """One foreign entry would block the queue, or vanish without a word."""
    entry_id = scene.redis.xadd(CRITICAL, fields)
    incident = scene.raise_incident("cam-1")
    claim = take(scene.redis, "ann")
    assert claim is not None
    assert claim.incident_id == incident
    aside = entries_aside(scene.redis)
    assert (dict(aside.counts), aside.total) == ({reason: 1}, 1)
    (only,) = aside.newest
    assert (only.stream_key, only.entry_id, only.reason) == (CRITICAL, entry_id, reason)
    assert only.size_bytes == sum(
        len(part.encode() if isinstance(part, str) else part) for part in (*fields, *fields.values())
    )
    (pending,) = scene.redis.xpending_range(CRITICAL, "moderators", "-", "+", 10)
    assert pending["consumer"] == "ann"


def test_an_update_before_its_incident_keeps_nothing_from_being_taken(scene: Scene) -> None:
    """Events that arrive in another order would lose the incident."""
    scene.redis.xadd(CRITICAL, {"event": event("5" * 24, kind="livewarden.escalation.updated.v1")})
    assert take(scene.redis, "ann") is None
    incident = scene.raise_incident("cam-1", Severity.REVIEW)
    scene.rise("cam-1", Severity.CRITICAL)
    claim = take(scene.redis, "ann")
    assert claim is not None
    assert claim.incident_id == incident
    assert dict(entries_aside(scene.redis).counts) == {"unknown": 1}


def test_places_are_bounded_and_counts_are_not(redis: Redis) -> None:
    """A writer who goes wrong would fill Redis; or a person would not see how much it is."""
    with redis.pipeline(transaction=False) as pipe:
        for _ in range(MOST_ASIDE + MAX_DRAINED):
            pipe.xadd(CRITICAL, {"event": "{"})
        pipe.execute()
    for _ in range(1 + MOST_ASIDE // MAX_DRAINED):
        assert take(redis, "ann") is None
    aside = entries_aside(redis)
    assert (aside.total, len(aside.newest)) == (MOST_ASIDE + MAX_DRAINED, MOST_ASIDE)
    assert aside.newest[0].entry_id == redis.xrevrange(CRITICAL, count=1)[0][0]


@pytest.mark.parametrize("key", [QUEUE_ASIDE.name, QUEUE_ASIDE_COUNTS.name])
def test_damaged_notes_keep_nothing_back(scene: Scene, key: str) -> None:
    """What is there to find faults would cause one."""
    scene.redis.set(key, "of another kind")
    scene.redis.xadd(CRITICAL, {"event": "{"})
    scene.raise_incident("cam-1")
    assert take(scene.redis, "ann") is not None
    assert entries_aside(scene.redis).newest == ()


def test_foreign_notes_are_left_out(redis: Redis) -> None:
    """A page would fail over a note that it cannot read."""
    redis.lpush(QUEUE_ASIDE.name, "{", "[]", '{"stream": 1}')
    redis.hset(QUEUE_ASIDE_COUNTS.name, mapping={"malformed": "many", "later": 2})
    aside = entries_aside(redis)
    assert (aside.newest, dict(aside.counts)) == ((), {"later": 2})
    assert aside_lines(aside, 0) == ["2 entries of the queue were set aside: later"]


def test_damaged_incidents_are_found(scene: Scene) -> None:
    """An escalation that nobody is given would be seen by nobody."""
    sound = scene.raise_incident("cam-0")
    damaged = [scene.raise_incident(f"cam-{number}", Severity.REVIEW) for number in range(1, 4)]
    scene.redis.hset(incident_key(damaged[0]), "event", "{")
    scene.redis.hdel(incident_key(damaged[1]), "event")
    scene.redis.delete(incident_key(damaged[2]))
    scene.redis.set(incident_key(damaged[2]), "x")
    assert sorted(unreadable_incidents(scene.redis)) == sorted(damaged)
    claim = take(scene.redis, "ann")
    assert claim is not None
    assert claim.incident_id == sound
    assert take(scene.redis, "bob") is None
    assert aside_lines(entries_aside(scene.redis), 3) == ["3 open incidents have damaged records: nobody is given them"]


def test_many_are_checked_in_parts(redis: Redis) -> None:
    """A check of a long queue would keep Redis from everybody."""
    ids = [f"{number:024x}" for number in range(AT_ONCE + 1)]
    redis.zadd("lw:open:high", dict.fromkeys(ids, 1))
    assert unreadable_incidents(redis) == ids
    assert redis.info("commandstats")["cmdstat_evalsha"]["calls"] >= 2
