"""Decisions in a real Valkey."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis import Redis
from scene import Scene

from config.facts import Hit, ListMatch, SampleFacts, Severity, StreamFacts
from worker.errors import QueueError
from worker.incidents.keys import incident_key
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.outcomes import Outcome
from worker.store.redis_client import connect, once_key

KEYS = tuple(f"lw:escalations:{severity}" for severity in Severity)


def unacknowledged(redis: Redis) -> int:
    return sum(int(redis.xpending(key, "moderators")["pending"]) for key in KEYS if redis.exists(key))


def test_decision_is_recorded_and_published(scene: Scene) -> None:
    """A platform would not learn of a decision, or would apply it to the wrong stream."""
    incident = scene.raise_incident("cam-1", purpose="drill")
    take(scene.redis, "ann")
    decision = decide_incident(scene.redis, incident, "csea_apparent", by="ann", note="seen twice", deployment="test")
    (event,) = scene.decisions()
    assert json.loads(decision.event) == event
    assert event["type"] == "livewarden.decision.made.v1"
    assert event["subject"] == "cam-1"
    published = {
        name: event["data"][name] for name in ("incident_id", "outcome", "decided_by", "note", "drill", "rule")
    }
    assert published == {
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
    """Entries of a decided incident would be given to moderators again, or stay for good."""
    incident = scene.raise_incident("cam-1", Severity.REVIEW)
    take(scene.redis, "ann")
    scene.rise("cam-1", Severity.HIGH)
    take(scene.redis, "ann")
    scene.rise("cam-1", Severity.CRITICAL)
    take(scene.redis, "ann")
    decide_incident(scene.redis, incident, "harmless", by="ann", note="seen", deployment="test")
    assert take(scene.redis, "bob") is None
    assert unacknowledged(scene.redis) == 0


def test_other_readers_learn_that_the_incident_is_closed(scene: Scene) -> None:
    """A platform's own review tool would go on showing a decided incident."""
    incident = scene.raise_incident("cam-1")
    decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")
    raised, closed = scene.published("lw:escalations:critical")
    assert closed["type"] == "livewarden.escalation.closed.v1"
    assert closed["id"] != raised["id"]
    assert (closed["data"]["incident_id"], closed["data"]["outcome"]) == (incident, "adult_tos")


def test_a_decided_incident_is_no_longer_open(scene: Scene) -> None:
    """The next incident on the stream would be added to the decided one."""
    first = scene.raise_incident("cam-1", capture_ms=1000)
    decide_incident(scene.redis, first, "harmless", by="ann", note="seen", deployment="test")
    assert scene.settle("cam-1", scene.hits([2000], lists=["known"])).events == ()
    # Redis's clock is far beyond these captures; what is captured a day from now is news.
    later_ms = (int(scene.redis.time()[0]) + 86_400) * 1000
    (event,) = scene.settle("cam-1", scene.hits([later_ms], lists=["known"])).events
    assert event.incident_id != first


def contents(redis: Redis) -> dict[str, object]:
    """All keys with their contents, except the answers kept for repeated scripts, which expire within seconds."""
    read = {
        "hash": redis.hgetall,
        "zset": lambda key: redis.zrange(key, 0, -1),
        "set": redis.smembers,
        "stream": redis.xrange,
        "string": redis.get,
    }
    kept: dict[str, object] = {}
    for key in redis.scan_iter("lw:*"):
        if key.startswith(once_key("")):
            continue
        kind = redis.type(key)
        kept[key] = read[kind](key) if kind in read else redis.lrange(key, 0, -1)
    return kept


def refused(scene: Scene, incident: str, outcome: str = "harmless", *, by: str = "bob", note: str = "") -> str:
    """The text that a user gets; fails if anything was written."""
    before = contents(scene.redis)
    with pytest.raises(QueueError) as caught:
        decide_incident(scene.redis, incident, outcome, by=by, note=note, deployment="test")
    assert contents(scene.redis) == before
    assert "\n" not in str(caught.value)
    return str(caught.value)


class TestRefusals:
    def test_unknown_incident(self, scene: Scene) -> None:
        """A typo would record a decision on nothing."""
        assert "incident 'x' is not known" in refused(scene, "x")

    def test_unknown_outcome(self, scene: Scene) -> None:
        """A platform would receive an outcome that it has no rule for."""
        text = refused(scene, scene.raise_incident("cam-1"), "harmles")
        assert "'harmles': expected one of csea_apparent, csea_suspected, child_at_risk, adult_tos" in text

    def test_decided_already(self, scene: Scene) -> None:
        """The second of two moderators would believe that their decision counts."""
        incident = scene.raise_incident("cam-1")
        decide_incident(scene.redis, incident, "csea_suspected", by="ann", deployment="test")
        assert refused(scene, incident) == f"incident {incident} was decided already: csea_suspected, by ann"
        assert "by ann" in refused(scene, incident, "csea_suspected", by="ann")

    def test_held_by_another(self, scene: Scene) -> None:
        """A moderator would decide an incident that another is reviewing."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        assert "is held by ann for another 600 s" in refused(scene, incident)

    def test_name_and_note(self, scene: Scene) -> None:
        """A decision could not be published, or would fill Redis."""
        incident = scene.raise_incident("cam-1")
        assert "--by: " in refused(scene, incident, by="")
        assert "--note: 2001 characters: expected at most 2000" in refused(scene, incident, note="x" * 2001)
        assert "--note: character 2: expected UTF-8 text" in refused(scene, incident, note="x\udcff")


def matched(scene: Scene, listed: str, distance: int, *, at: int = 1000) -> tuple[Hit, ...]:
    """Hits of a picture at these distances from listed entries, "list/entry"."""
    name, _, entry = listed.partition("/")
    sample = SampleFacts(
        capture_ms=at,
        pts_seconds=0.0,
        reason="keyframe",
        pdq_quality=90,
        matches=(ListMatch(list=name, entry=entry, distance=distance), ListMatch(list="known", entry="7", distance=20)),
    )
    return scene.policy.evaluate(StreamFacts(stream_id="any"), sample).hits


WORSE = [("known/7", 0, "a nearer match"), ("known/8", 25, "a match on another entry"), ("else/1", 25, "another entry")]


class TestShown:
    """An incident is never closed over evidence that nobody was shown."""

    @pytest.mark.parametrize(("listed", "distance", "problem"), WORSE)
    def test_a_worse_match_is_published_immediately_and_bars_the_decision(
        self, scene: Scene, listed: str, distance: int, problem: str
    ) -> None:
        """An exact match would be closed as harmless together with a weak one from half a minute before."""
        (weak,) = scene.settle("cam-1", matched(scene, "known/7", 20)).events
        take(scene.redis, "ann")
        (worse,) = scene.settle("cam-1", matched(scene, listed, distance, at=2000)).events
        assert (worse.incident_id, worse.type) == (weak.incident_id, "livewarden.escalation.updated.v1")
        assert json.loads(worse.text)["data"]["sample"]["captured"] == "1970-01-01T00:00:02.000Z"
        text = refused(scene, weak.incident_id, by="ann")
        assert problem in text
        assert text.endswith("came since: take it again")
        taken = take(scene.redis, "ann")
        assert taken is not None
        assert json.loads(taken.event)["id"] == json.loads(worse.text)["id"]
        decide_incident(scene.redis, weak.incident_id, "csea_apparent", by="ann", deployment="test")
        assert "shown" not in scene.redis.hgetall(incident_key(weak.incident_id))

    def test_a_higher_severity_bars_the_decision(self, scene: Scene) -> None:
        """A critical incident would be closed by a review of what it was before."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        take(scene.redis, "ann")
        scene.rise("cam-1", Severity.HIGH)
        assert "a higher severity came since: take it again" in refused(scene, incident, by="ann")

    def test_the_holder_is_named_first(self, scene: Scene) -> None:
        """A moderator would be asked to take an incident that another holds."""
        (weak,) = scene.settle("cam-1", matched(scene, "known/7", 20)).events
        take(scene.redis, "ann")
        scene.settle("cam-1", matched(scene, "known/7", 0))
        assert "is held by ann" in refused(scene, weak.incident_id, by="bob")

    def test_more_matches_of_the_same_kind_do_not_bar_the_decision(self, scene: Scene) -> None:
        """An incident on a stream that goes on could never be decided."""
        (weak,) = scene.settle("cam-1", matched(scene, "known/8", 10)).events
        take(scene.redis, "ann")
        for at, distance in ((2000, 10), (3000, 31), (500, 12)):
            assert scene.settle("cam-1", matched(scene, "known/8", distance, at=at)).events == ()
        decide_incident(scene.redis, weak.incident_id, "harmless", by="ann", note="seen", deployment="test")

    @pytest.mark.parametrize(("listed", "distance", "problem"), WORSE)
    @pytest.mark.parametrize("at", [10, 2000], ids=["captured before", "captured after"])
    def test_a_worse_match_after_the_decision_is_another_incident(
        self, scene: Scene, listed: str, distance: int, problem: str, at: int
    ) -> None:
        """A decision on a weak match would silence an exact one for the length of the cooldown."""
        (weak,) = scene.settle("cam-1", matched(scene, "known/7", 20)).events
        take(scene.redis, "ann")
        decide_incident(scene.redis, weak.incident_id, "harmless", by="ann", note="seen", deployment="test")
        assert scene.settle("cam-1", matched(scene, "known/7", 20, at=at)).events == ()
        (worse,) = scene.settle("cam-1", matched(scene, listed, distance, at=at)).events
        assert worse.incident_id != weak.incident_id
        assert worse.type == "livewarden.escalation.raised.v1"
        assert scene.settle("cam-1", matched(scene, listed, distance, at=at + 1)).events == ()
        taken = take(scene.redis, "ann")
        assert taken is not None
        assert taken.incident_id == worse.incident_id

    def test_two_alternating_matches_raise_nothing_after_their_decisions(self, scene: Scene) -> None:
        """A moderator would decide on the same two pictures for as long as the stream shows them."""
        raised = []
        for number, listed in enumerate(("known/8", "known/9") * 3):
            events = scene.settle("cam-1", matched(scene, listed, 5, at=1000 + number)).events
            for event in events:
                decide_incident(scene.redis, event.incident_id, "harmless", by="ann", note="seen", deployment="test")
            raised.append(len(events))
        assert raised == [1, 1, 0, 0, 0, 0]

    def test_a_worse_match_after_the_decision_needs_no_second_sample(self, scene: Scene) -> None:
        """A single exact match after a decision would wait for two more that never come."""
        score = scene.hits([1000, 2000, 3000], score=0.6)
        (weak,) = scene.settle("cam-1", score).events
        decide_incident(scene.redis, weak.incident_id, "harmless", by="ann", note="seen", deployment="test")
        assert scene.settle("cam-1", scene.hits([4000], score=0.6)).events == ()
        seen = tuple(hit for hit in scene.hits([4000], score=0.6, lists=["known"]) if hit.rule == "nude")
        assert len(scene.settle("cam-1", seen).events) == 1


def test_an_expired_lease_does_not_bar_others(scene: Scene) -> None:
    """An incident taken by someone who went home could not be decided."""
    incident = scene.raise_incident("cam-1")
    take(scene.redis, "ann", lease_seconds=0)
    assert decide_incident(scene.redis, incident, "harmless", by="bob", note="seen", deployment="test").by == "bob"


@pytest.mark.parametrize("note", ["", "x" * 2000, "\"}'", "\n\r\x00\x1b[31m", "{{1}} %s \u2028 \U0001f600"])
def test_any_note_is_stored_verbatim(scene: Scene, note: str) -> None:
    """A note could break the event that carries it."""
    decide_incident(scene.redis, scene.raise_incident("cam-1"), "adult_tos", by="ann", note=note, deployment="test")
    (event,) = scene.decisions()
    assert event["data"]["note"] == note


@pytest.mark.parametrize("outcome", Outcome)
def test_each_outcome_can_be_recorded(scene: Scene, outcome: Outcome) -> None:
    """A moderator could not record a finding."""
    decide_incident(scene.redis, scene.raise_incident("cam-1"), outcome, by="ann", note="seen", deployment="test")
    (event,) = scene.decisions()
    assert event["data"]["outcome"] == outcome


def test_of_two_simultaneous_decisions_one_counts(scene: Scene, redis_url: str) -> None:
    """Two contradictory decisions on one incident would reach the platform."""
    incident = scene.raise_incident("cam-1")

    def one(number: int) -> str:
        with connect(redis_url) as redis:
            try:
                outcome = list(Outcome)[number % 7]
                decide_incident(redis, incident, outcome, by=f"moderator-{number}", note="seen", deployment="test")
            except QueueError as error:
                return str(error)
            return ""

    with ThreadPoolExecutor(8) as pool:
        refusals = [text for text in pool.map(one, range(8)) if text]
    (event,) = scene.decisions()
    refusal = f"incident {incident} was decided already: {event['data']['outcome']}, by {event['data']['decided_by']}"
    assert refusals == [refusal] * 7


def test_deciding_while_segments_end(scene: Scene, redis_url: str) -> None:
    """A hit that arrives during the decision would reopen the incident, or be lost."""
    incident = scene.raise_incident("cam-1")
    hits = [scene.hits([2000 + number], lists=["known"]) for number in range(40)]

    def end_segments() -> None:
        with connect(redis_url) as redis:
            mine = Scene(redis=redis, policy=scene.policy, settled=100)
            for found in hits:
                mine.settle("cam-1", found)

    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(end_segments)
        decide_incident(scene.redis, incident, "harmless", by="ann", note="seen", deployment="test")
        ending.result()
    assert [event["type"] for event in scene.published("lw:escalations:critical")] == [
        "livewarden.escalation.raised.v1",
        "livewarden.escalation.closed.v1",
    ]
    assert scene.redis.zcard("lw:open:critical") == 0
