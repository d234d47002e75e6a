"""Decisions in a real Valkey."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.decisions import Outcome, decide
from worker.errors import QueueError
from worker.queue.keys import entries_key, incident_key, incidents_key
from worker.queue.taking import take
from worker.redisdb import connect, run_script

KEYS = tuple(f"lw:escalations:{severity}" for severity in Severity)


def unacknowledged(redis: Redis) -> int:
    return sum(int(redis.xpending(key, "moderators")["pending"]) for key in KEYS if redis.exists(key))


def test_decision_is_recorded_and_told(scene: Scene) -> None:
    """A platform would not learn what a person found, or would learn it of the wrong stream."""
    incident = scene.raise_incident("cam-1", purpose="drill")
    take(scene.redis, "ann")
    decision = decide(scene.redis, incident, "csea_apparent", by="ann", note="seen twice", deployment="test")
    (event,) = scene.published("lw:decisions")
    assert json.loads(decision.event) == event
    assert event["type"] == "livewarden.decision.made.v1"
    assert event["subject"] == "cam-1"
    told = {name: event["data"][name] for name in ("incident_id", "outcome", "decided_by", "note", "drill", "rule")}
    assert told == {
        "incident_id": incident,
        "outcome": "csea_apparent",
        "decided_by": "ann",
        "note": "seen twice",
        "drill": True,
        "rule": "known",
    }
    record = scene.redis.hgetall(f"lw:incident:{incident}")
    assert (record["outcome"], record["decided_by"], record["note"]) == ("csea_apparent", "ann", "seen twice")


def test_every_entry_is_acknowledged(scene: Scene) -> None:
    """Entries of a decided incident would come back to moderators, or stay for ever."""
    incident = scene.raise_incident("cam-1", Severity.REVIEW)
    take(scene.redis, "ann")
    scene.rise("cam-1", Severity.HIGH)
    take(scene.redis, "ann")
    scene.rise("cam-1", Severity.CRITICAL)
    decide(scene.redis, incident, "harmless", by="ann", deployment="test")
    assert take(scene.redis, "bob") is None
    assert unacknowledged(scene.redis) == 0


def test_other_readers_learn_that_it_is_closed(scene: Scene) -> None:
    """A platform's own review tool would go on showing what is decided."""
    incident = scene.raise_incident("cam-1")
    decide(scene.redis, incident, "adult_tos", by="ann", deployment="test")
    raised, closed = scene.published("lw:escalations:critical")
    assert closed["type"] == "livewarden.escalation.closed.v1"
    assert closed["id"] != raised["id"]
    assert (closed["data"]["incident_id"], closed["data"]["outcome"]) == (incident, "adult_tos")


def test_decided_incident_is_open_no_more(scene: Scene) -> None:
    """The next incident on the stream would be taken for the old one."""
    first = scene.raise_incident("cam-1", capture_ms=1000)
    decide(scene.redis, first, "harmless", by="ann", deployment="test")
    assert scene.settle("cam-1", scene.hits([2000], lists=["known"])).events == ()
    # Redis's clock is far beyond these captures; what is captured a day from now is news.
    later_ms = (int(scene.redis.time()[0]) + 86_400) * 1000
    (event,) = scene.settle("cam-1", scene.hits([later_ms], lists=["known"])).events
    assert event.incident_id != first


def contents(redis: Redis) -> dict[str, object]:
    """All that is kept, by key."""
    read = {"hash": redis.hgetall, "zset": lambda key: redis.zrange(key, 0, -1), "stream": redis.xrange}
    kept: dict[str, object] = {}
    for key in redis.scan_iter("lw:*"):
        kind = redis.type(key)
        kept[key] = read[kind](key) if kind in read else redis.lrange(key, 0, -1)
    return kept


def refused(scene: Scene, incident: str, outcome: str = "harmless", *, by: str = "bob", note: str = "") -> str:
    """What a person is told; nothing may have been written."""
    before = contents(scene.redis)
    with pytest.raises(QueueError) as caught:
        decide(scene.redis, incident, outcome, by=by, note=note, deployment="test")
    assert contents(scene.redis) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestRefusals:
    def test_unknown_incident(self, scene: Scene) -> None:
        """A typing error would record a decision about nothing."""
        assert "incident 'x' is not known" in refused(scene, "x")

    def test_unknown_outcome(self, scene: Scene) -> None:
        """A platform would receive an outcome that it has no rule for."""
        text = refused(scene, scene.raise_incident("cam-1"), "harmles")
        assert "'harmles': expected one of csea_apparent, csea_suspected, child_at_risk, adult_tos" in text

    def test_decided_already(self, scene: Scene) -> None:
        """The second of two people would believe that his decision counts."""
        incident = scene.raise_incident("cam-1")
        decide(scene.redis, incident, "csea_suspected", by="ann", deployment="test")
        assert refused(scene, incident) == f"incident {incident} was decided already: csea_suspected, by ann"
        assert "by ann" in refused(scene, incident, "csea_suspected", by="ann")

    def test_held_by_another(self, scene: Scene) -> None:
        """Someone would decide what another is looking at."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        assert "is held by ann for another 600 s" in refused(scene, incident)

    def test_name_and_note(self, scene: Scene) -> None:
        """A decision could not be told to a platform, or would fill Redis."""
        incident = scene.raise_incident("cam-1")
        assert "--by: " in refused(scene, incident, by="")
        assert "--note: 2001 characters: expected at most 2000" in refused(scene, incident, note="x" * 2001)
        assert "--note: character 2: expected UTF-8 text" in refused(scene, incident, note="x\udcff")


def test_ended_lease_does_not_bar_others(scene: Scene) -> None:
    """An incident taken by someone who went home could not be decided."""
    incident = scene.raise_incident("cam-1")
    take(scene.redis, "ann", lease_seconds=0)
    assert decide(scene.redis, incident, "harmless", by="bob", deployment="test").by == "bob"


@pytest.mark.parametrize("note", ["", "x" * 2000, "\"}'", "\n\r\x00\x1b[31m", "{{1}} %s \u2028 \U0001f600"])
def test_any_note_is_kept_as_it_is(scene: Scene, note: str) -> None:
    """A note could break the event that carries it."""
    decide(scene.redis, scene.raise_incident("cam-1"), "harmless", by="ann", note=note, deployment="test")
    (event,) = scene.published("lw:decisions")
    assert event["data"]["note"] == note


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_can_be_told(scene: Scene, outcome: Outcome) -> None:
    """A person could not record what he found."""
    decide(scene.redis, scene.raise_incident("cam-1"), outcome, by="ann", deployment="test")
    (event,) = scene.published("lw:decisions")
    assert event["data"]["outcome"] == outcome


def test_two_decide_at_once(scene: Scene, redis_url: str) -> None:
    """Two decisions on one incident would reach the platform, and contradict each other."""
    incident = scene.raise_incident("cam-1")

    def one(number: int) -> str:
        with connect(redis_url) as redis:
            try:
                decide(redis, incident, list(Outcome)[number % 7], by=f"moderator-{number}", deployment="test")
            except QueueError as error:
                return str(error)
            return ""

    with ThreadPoolExecutor(8) as pool:
        refusals = [text for text in pool.map(one, range(8)) if text]
    (event,) = scene.published("lw:decisions")
    told = f"incident {incident} was decided already: {event['data']['outcome']}, by {event['data']['decided_by']}"
    assert refusals == [told] * 7


def test_lost_answer_is_no_refusal(scene: Scene) -> None:
    """A connection that breaks at the wrong moment would tell a person that his own decision was somebody else's."""
    incident = scene.raise_incident("cam-1")

    def attempt(version: int, token: str) -> list[str]:
        keys = [incident_key(incident), entries_key(incident), incidents_key("cam-1"), "lw:decisions"]
        args = [incident, "ann", "harmless", "", 5, version, "known", "{}", "made", KEYS[0], "closed", token, 60]
        return list(run_script(scene.redis, "decide", keys=keys, args=args))

    assert attempt(0, "a") == ["clash"]  # its stream has changed since it was read
    assert attempt(1, "a") == ["decided"]
    assert attempt(1, "a") == ["decided"]
    assert attempt(2, "b") == ["already", "harmless", "ann"]
    assert scene.redis.xlen("lw:decisions") == 1


def test_deciding_while_segments_end(scene: Scene, redis_url: str) -> None:
    """A hit that comes with the decision would reopen the incident, or be lost with it."""
    incident = scene.raise_incident("cam-1")
    hits = [scene.hits([2000 + number], lists=["known"]) for number in range(40)]

    def end_segments() -> None:
        with connect(redis_url) as redis:
            mine = Scene(redis=redis, policy=scene.policy, settled=100)
            for found in hits:
                mine.settle("cam-1", found)

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end_segments)
        decide(scene.redis, incident, "harmless", by="ann", deployment="test")
        ending.result()
    assert [event["type"] for event in scene.published("lw:escalations:critical")] == [
        "livewarden.escalation.raised.v1",
        "livewarden.escalation.closed.v1",
    ]
    assert scene.redis.zcard("lw:open:critical") == 0
