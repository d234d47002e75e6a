"""Duplicates in a flood of one hash, in a real Valkey."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis
from scene import Scene

from config.facts import ListMatch, SampleFacts, StreamFacts
from config.policy.policy import Policy
from worker.errors import BankRequestError, QueueError
from worker.incidents.keys import incident_key
from worker.people.actor import Actor, Role
from worker.queue.claims import take_case
from worker.queue.decisions import decide_incident
from worker.queue.duplicates import DuplicatesDecided, decide_duplicates, find_duplicates
from worker.queue.open_incidents import open_incidents
from worker.queue.record import describe_incident
from worker.store.redis_keys import AUDIT_UNLINKED

RULES = """
version: "1"
flood: {streams: 4, within_seconds: 600}
rules:
  - {name: known, when: 'matches.exists(m, m.list != "allow")', severity: critical, SECOND}
  - {name: both, when: 'matched("known") || score("m/nsfw") > 0.5', severity: high}
"""
LEAD = Actor(name="lea", role=Role.LEAD)


class Flood:
    """One hash on four streams, of which three had an incident of their own before."""

    def __init__(self, redis: Redis, policy: Policy) -> None:
        self.redis, self.scene = redis, Scene(redis=redis, policy=policy)

    def show(self, stream: str, *matches: tuple[str, str, int], rules: tuple[str, ...] = ("known",)) -> None:
        found = tuple(ListMatch(list=name, entry=entry, distance=distance) for name, entry, distance in matches)
        sample = SampleFacts(
            capture_ms=1000, pts_seconds=0.0, reason="keyframe", pdq_quality=90, matches=found, scores={}
        )
        hits = self.scene.policy.evaluate(StreamFacts(stream_id="any", purpose="live"), sample).hits
        self.scene.settle(stream, tuple(hit for hit in hits if hit.rule in rules))

    def begin(self) -> str:
        """Returns the incident of the flood."""
        for stream in ("a", "b", "c", "d"):
            self.show(stream, ("known", "7", 4))
        (flood,) = [one.incident_id for one in open_incidents(self.redis) if one.rule == "hash-flood"]
        return flood

    def streams(self) -> list[str]:
        """Streams whose own incident is open."""
        return sorted(one.stream_id for one in open_incidents(self.redis) if one.rule != "hash-flood")

    def of(self, stream: str, rule: str = "known") -> str:
        (found,) = [
            one.incident_id for one in open_incidents(self.redis) if (one.stream_id, one.rule) == (stream, rule)
        ]
        return found

    def decide(self, flood: str, outcome: str = "harmless", **said: Any) -> DuplicatesDecided:
        given = {"by": LEAD, "note": "a station's logo", "deployment": "test"} | said
        return decide_duplicates(self.redis, flood, outcome, **given)


@pytest.fixture
def flood(redis: Redis, policy_of: Callable[[str], Policy]) -> Flood:
    return Flood(redis, policy_of(RULES.replace(", SECOND", "")))


def test_they_are_decided_with_one_note_and_one_entry(flood: Flood) -> None:
    """A lead would open the same picture on a hundred streams, or nobody could prove what was decided together."""
    of_flood = flood.begin()
    alone = {stream: flood.of(stream) for stream in ("a", "b", "c")}
    assert set(find_duplicates(flood.redis, of_flood).alike) == set(alone.values())
    done = flood.decide(of_flood)
    assert {one.incident_id for one in done.decisions} == set(alone.values())
    assert (dict(done.left), done.more) == ({}, False)
    assert flood.streams() == []
    assert [one["data"]["note"] for one in flood.scene.decisions()] == ["a station's logo"] * 3
    assert {one["data"]["outcome"] for one in flood.scene.decisions()} == {"harmless"}
    entries = [json.loads(fields["entry"]) for _, fields in flood.redis.xrange(AUDIT_UNLINKED.name)]
    (entry,) = [one for one in entries if one["act"] == "decision"]
    assert (entry["by"], entry["subject"]) == ("lea", of_flood)
    assert set(entry["details"]["duplicates"]) == set(alone.values())
    assert describe_incident(flood.redis, of_flood)["state"] == "open", "the flood itself is decided on its own"


def test_each_that_is_apparent_asks_for_an_interruption(flood: Flood) -> None:
    """Known abuse would stay on air on all streams but one."""
    of_flood = flood.begin()
    flood.decide(of_flood, "csea_apparent", category="A1")
    assert sorted(one["subject"] for one in flood.scene.requests()) == ["a", "b", "c"]
    assert {one["data"]["category"] for one in flood.scene.decisions()} == {"A1"}


def test_after_the_flood_was_decided_too(flood: Flood) -> None:
    """Whoever decides the flood first could not decide what it left."""
    of_flood = flood.begin()
    decide_incident(flood.redis, of_flood, "harmless", by=LEAD, note="a logo", deployment="test")
    assert len(flood.decide(of_flood).decisions) == 3


class TestLeft:
    @pytest.mark.parametrize(
        ("more", "reason"),
        [
            ((("known", "7", 4), ("other", "1", 9)), "it matches other entries too"),
            ((("known", "7", 4), ("known", "8", 9)), "it matches other entries too"),
        ],
    )
    def test_with_another_match(self, flood: Flood, more: Any, reason: str) -> None:
        """A picture that nobody looked at would be decided with a harmless one."""
        flood.show("x", *more)
        of_flood = flood.begin()
        other = flood.of("x")
        assert find_duplicates(flood.redis, of_flood).left == {other: reason}
        assert flood.decide(of_flood).left == {other: reason}
        assert flood.streams() == ["x"]

    def test_with_a_farther_match(self, flood: Flood) -> None:
        """A picture that is only similar would be decided with the one that floods."""
        flood.show("x", ("known", "7", 20))
        of_flood = flood.begin()
        assert flood.decide(of_flood).left == {flood.of("x"): "its match is farther than the flood's"}

    def test_by_a_rule_that_scores_may_meet(self, flood: Flood) -> None:
        """What a classifier found would be decided by the hash beside it."""
        flood.show("x", ("known", "7", 4), rules=("both",))
        of_flood = flood.begin()
        assert flood.decide(of_flood).left == {flood.of("x", "both"): "its rule holds by more than matches"}

    def test_with_another_hash(self, flood: Flood) -> None:
        """Other known material would be decided unseen."""
        flood.show("x", ("known", "9", 0))
        done = flood.decide(flood.begin())
        assert done.left == {}
        assert flood.streams() == ["x"]

    def test_in_somebody_s_hands(self, flood: Flood) -> None:
        """A moderator's incident would vanish while they judge it."""
        of_flood = flood.begin()
        held = flood.of("b")
        take_case(flood.redis, "ann", describe_incident(flood.redis, held)["case_id"])
        assert flood.decide(of_flood).left == {held: "ann holds it"}

    def test_where_one_person_has_judged(self, flood: Flood) -> None:
        """A blind second judgement would be replaced by a lead's in bulk."""
        of_flood = flood.begin()
        judged = flood.of("b")
        decide_incident(flood.redis, judged, "harmless", by="ann", note="?", deployment="test", second=True)
        assert list(flood.decide(of_flood).left) == [judged]
        assert flood.streams() == ["b"]

    def test_of_another_purpose(self, flood: Flood) -> None:
        """A drill would be decided with real streams."""
        of_flood = flood.begin()
        drill = flood.of("b")
        flood.redis.hset(incident_key(drill), "purpose", "drill")
        done = flood.decide(of_flood)
        assert drill not in {one.incident_id for one in done.decisions}


def test_an_outcome_for_two_people_is_judged_one_by_one(redis: Redis, policy_of: Callable[[str], Policy]) -> None:
    """What the policy wants two people for would be decided a hundredfold by one."""
    flood = Flood(redis, policy_of(RULES.replace("SECOND", "second_person: [csea_apparent]")))
    of_flood = flood.begin()
    done = flood.decide(of_flood, "csea_apparent")
    assert done.decisions == ()
    assert len(done.left) == 3
    assert flood.scene.published("lw:decisions") == []


class TestRefused:
    def test_to_everybody_but_leads(self, flood: Flood) -> None:
        """A moderator could close a hundred incidents by one slip."""
        of_flood = flood.begin()
        with pytest.raises(BankRequestError, match="only a lead may decide duplicates together"):
            flood.decide(of_flood, by=Actor(name="mo", role=Role.MODERATOR))
        assert flood.streams() == ["a", "b", "c"]

    def test_without_a_note(self, flood: Flood) -> None:
        """Nobody could say later why they were closed."""
        with pytest.raises(QueueError, match="--note: duplicates that are decided together need a reason"):
            flood.decide(flood.begin(), note=" ")

    def test_without_a_flood(self, flood: Flood) -> None:
        """List matches in general could be decided in bulk."""
        flood.show("a", ("known", "7", 4))
        with pytest.raises(QueueError, match="is no flood"):
            flood.decide(flood.of("a"))
