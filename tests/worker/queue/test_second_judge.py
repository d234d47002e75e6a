"""A second person judges blind, in a real Valkey."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import ListMatch, Severity
from config.policy.policy import Policy
from config.policy.rules import Flood
from config.settings import LONGEST_WAIT_SECONDS
from worker.errors import PeopleError, QueueError
from worker.incidents.due_ends import end_incidents
from worker.incidents.keys import incident_key
from worker.people.actor import Actor, Role
from worker.people.changes import remove_person
from worker.queue.answers import Decision, Judgement
from worker.queue.case_order import LongestWaits
from worker.queue.claims import anything_free, take, take_case
from worker.queue.decisions import decide_incident
from worker.queue.leases import extend
from worker.queue.open_cases import read_open_cases
from worker.queue.open_incidents import open_incidents
from worker.queue.record import describe_incident
from worker.queue.revisions import revise
from worker.queue.second_judge import JudgingState, extent_digest
from worker.store.redis_client import connect
from worker.store.redis_keys import AUDIT_UNLINKED

TWO = """
version: two
second_person: [csea_apparent, csea_suspected]
rules:
  - {name: known, when: 'matched("known")', severity: critical, cooldown_seconds: 60}
  - {name: nude, when: 'score("m/nsfw") > 0.5', severity: review, persistence: {hits: 3, within_seconds: 10}}
  - {name: likely, when: 'score("m/nsfw") > 0.9', severity: high, second_person: [adult_tos]}
"""


@pytest.fixture
def policy(policy_of: Callable[[str], Policy]) -> Policy:
    return policy_of(TWO)


def judge(
    scene: Scene, incident: str, outcome: str, by: str | Actor, note: str = "seen", **said: Any
) -> Decision | Judgement:
    return decide_incident(scene.redis, incident, outcome, by=by, note=note, deployment="test", **said)


def waiting(scene: Scene, outcome: str = "csea_apparent", by: str | Actor = "ann", **said: Any) -> str:
    """An incident that one person has taken and judged."""
    incident = scene.raise_incident("cam-1")
    assert taken(scene.redis, by) == incident
    answer = judge(scene, incident, outcome, by, **said)
    assert isinstance(answer, Judgement)
    return incident


def taken(redis: Redis, by: str | Actor) -> str | None:
    claim = take(redis, by)
    return None if claim is None else claim.incident_id


def wait_is_over(redis: Redis, incident: str) -> None:
    redis.hset(incident_key(incident), "judged_until_ms", "1")


def nearer(scene: Scene) -> None:
    """Worse evidence on the stream: a nearer match."""
    (hit,) = scene.hits([2000], lists=["known"])
    scene.settle("cam-1", (replace(hit, matches=(ListMatch(list="known", entry="7", distance=0),)),))


class TestFirst:
    def test_waits_and_is_published_nowhere(self, scene: Scene) -> None:
        """A platform would act on what one person judged, though the policy asks for two."""
        incident = waiting(scene, "csea_suspected", category="A1")
        assert scene.published("lw:decisions") == []
        assert [one.incident_id for one in open_incidents(scene.redis)] == [incident]
        (case,), _ = read_open_cases(scene.redis)
        assert case.holder is None
        assert scene.redis.xpending("lw:escalations:critical", "moderators")["pending"] == 1, "it is not acknowledged"

    def test_lets_its_judge_go_who_is_not_given_it_again(self, scene: Scene) -> None:
        """The first judge would confirm their own judgement, or hold the incident while nobody else may judge."""
        incident = waiting(scene)
        assert not anything_free(scene.redis, "ann")
        assert taken(scene.redis, "ann") is None
        assert taken(scene.redis, "ANN") is None
        with pytest.raises(QueueError, match="is held by nobody"):
            extend(scene.redis, incident, "ann")
        with pytest.raises(QueueError, match="ann judged it: a second person judges now"):
            judge(scene, incident, "harmless", "ann")
        with pytest.raises(QueueError, match="Ann judged it"):
            judge(scene, incident, "csea_apparent", "Ann")
        with pytest.raises(QueueError, match=r"ann has judged case .*: a second person judges now"):
            take_case(scene.redis, "ann", describe_incident(scene.redis, incident)["case_id"])
        assert anything_free(scene.redis, "bob")
        assert taken(scene.redis, "bob") == incident

    def test_stays_hidden_from_everybody_but_its_judge(self, scene: Scene) -> None:
        """A second judgement would not be blind: it would follow the first."""
        scene.policy = scene.policy.model_copy(update={"second_person": ("csea_apparent",)})
        said = {"category": "B2", "note": "a very telling note", "interrupt": True, "second": True}
        incident = waiting(scene, "csea_suspected", **said)
        claim = take(scene.redis, "bob")
        assert claim is not None
        bob = Actor.named("bob")
        told = [
            claim.event,
            json.dumps(describe_incident(scene.redis, incident)),
            json.dumps(describe_incident(scene.redis, incident, viewer=bob)),
            repr(open_incidents(scene.redis)),
            repr(read_open_cases(scene.redis)),
            json.dumps(
                [one for key in ("critical", "high", "review") for one in scene.published(f"lw:escalations:{key}")]
            ),
            json.dumps(scene.published("lw:decisions")),
        ]
        for text in told:
            assert "csea_suspected" not in text
            assert "telling" not in text
            assert "B2" not in text
        record = describe_incident(scene.redis, incident, viewer=bob)
        assert record["judgement"]["waits"] is True
        assert "by" not in record["judgement"]
        own = describe_incident(scene.redis, incident, viewer=Actor.named("Ann"))["judgement"]
        assert (own["waits"], own["by"], own["outcome"], own["category"]) == (True, "ann", "csea_suspected", "B2")

    def test_is_in_the_audit_log(self, scene: Scene) -> None:
        """Nobody could prove later who judged first, and what."""
        incident = waiting(scene, category="A2")
        entries = [json.loads(fields["entry"]) for _, fields in scene.redis.xrange(AUDIT_UNLINKED.name)]
        (entry,) = [one for one in entries if one["act"] == "judgement"]
        assert (entry["by"], entry["subject"]) == ("ann", incident)
        assert entry["details"]["outcome"] == "csea_apparent"
        assert entry["details"]["category"] == "A2"

    def test_may_be_asked_for_by_a_person(self, scene: Scene) -> None:
        """Somebody in doubt would have to decide alone."""
        incident = scene.raise_incident("cam-1")
        assert isinstance(judge(scene, incident, "harmless", "ann", second=True), Judgement)
        assert isinstance(judge(scene, incident, "harmless", "bob"), Decision)

    def test_is_the_decision_where_no_second_person_is_asked_for(self, scene: Scene) -> None:
        """Every decision would take two people."""
        assert isinstance(judge(scene, scene.raise_incident("cam-1"), "harmless", "ann"), Decision)
        assert "judgements" not in scene.decisions()[0]["data"]

    def test_a_rule_has_outcomes_of_its_own(self, scene: Scene) -> None:
        """A rule that often errs would need a second person for nothing, or for everything."""
        incident = scene.raise_incident("cam-1", Severity.HIGH)
        assert isinstance(judge(scene, incident, "csea_suspected", "ann"), Decision)
        other = scene.raise_incident("cam-2", Severity.HIGH)
        assert isinstance(judge(scene, other, "adult_tos", "ann"), Judgement)

    def test_of_an_older_version_s_incident_decides(self, scene: Scene) -> None:
        """After an upgrade incidents that wait could not be decided."""
        incident = scene.raise_incident("cam-1")
        scene.redis.hdel(incident_key(incident), "second_person", "interrupt_on_first")
        assert isinstance(judge(scene, incident, "csea_apparent", "ann"), Decision)

    def test_of_two_at_once_only_one_is_first(self, scene: Scene, redis_url: str) -> None:
        """Two persons who judge at the same time would each be told to wait for the other, or one be lost."""
        incident = scene.raise_incident("cam-1")

        def one(number: int) -> Decision | Judgement:
            with connect(redis_url) as redis:
                by = f"moderator-{number}"
                return decide_incident(redis, incident, "csea_apparent", by=by, deployment="test")

        with ThreadPoolExecutor(2) as pool:
            first, second = sorted(pool.map(one, range(2)), key=lambda answer: isinstance(answer, Decision))
        assert isinstance(first, Judgement)
        assert isinstance(second, Decision)
        (event,) = scene.decisions()
        assert [one["by"] for one in event["data"]["judgements"]] == [first.by, second.by]


class TestSecond:
    def test_who_agrees_makes_the_decision(self, scene: Scene) -> None:
        """A platform would not learn that two people judged, or would learn it twice."""
        incident = waiting(scene, note="clearly", category="A1", ask=["suspend"])
        taken(scene.redis, "bob")
        done = judge(scene, incident, "csea_apparent", "bob", note="yes", category="A2", ask=["safeguard"])
        assert isinstance(done, Decision)
        assert (done.by, done.judges) == ("bob", 2)
        (event,) = scene.decisions()
        data = event["data"]
        assert (data["decided_by"], data["category"], data["note"]) == ("bob", "A2", "yes")
        assert data["actions"] == ["suspend", "safeguard"], "what one of them asks"
        first, second = data["judgements"]
        assert (first["by"], first["outcome"], first["note"], first["category"]) == (
            "ann",
            "csea_apparent",
            "clearly",
            "A1",
        )
        assert (second["by"], second["note"], second["category"]) == ("bob", "yes", "A2")
        assert first["judged"] <= second["judged"] == data["times"]["decided"]
        record = describe_incident(scene.redis, incident)
        assert (record["state"], record["category"], record["judgement"]) == ("decided", "A2", None)
        assert record["decisions"][0]["judgements"] == data["judgements"]
        assert open_incidents(scene.redis) == []
        assert not [name for name in scene.redis.hkeys(incident_key(incident)) if str(name).startswith("judge")]

    def test_who_disagrees_leaves_it_to_a_lead(self, scene: Scene, redis: Redis) -> None:
        """Of two contrary judgements the later one would win."""
        roster = Roster(redis)
        ann, bob = roster.add("ann"), roster.add("bob")
        incident = waiting(scene, by=ann)
        taken(redis, bob)
        answer = judge(scene, incident, "harmless", bob, note="a doll")
        assert isinstance(answer, Judgement)
        assert answer.disagreed
        assert scene.decisions() == []
        (shown,) = open_incidents(redis)
        assert (shown.needs_role, shown.holder) == ("lead", None)
        assert taken(redis, ann) is None
        assert taken(redis, bob) is None
        with pytest.raises(PeopleError, match="bob is moderator: only a lead may"):
            judge(scene, incident, "harmless", bob)
        assert "judgements" not in describe_incident(redis, incident)
        assert "judgements" not in describe_incident(redis, incident, viewer=ann)
        seen = describe_incident(redis, incident, viewer=roster.lead)["judgements"]
        assert [(one["by"], one["outcome"]) for one in seen] == [("ann", "csea_apparent"), ("bob", "harmless")]
        assert taken(redis, roster.lead) == incident
        assert isinstance(judge(scene, incident, "csea_suspected", roster.lead), Decision)
        (event,) = scene.decisions()
        assert (event["data"]["decided_by"], event["data"]["needs_role"]) == ("lea", "lead")
        assert [one["outcome"] for one in event["data"]["judgements"]] == ["csea_apparent", "harmless"]

    def test_a_lead_s_stays_a_lead_s_after_further_hits(self, scene: Scene) -> None:
        """A disagreement would be forgotten with the next picture that matches."""
        incident = waiting(scene)
        judge(scene, incident, "adult_tos", "bob")
        scene.settle("cam-1", scene.hits([3000], lists=["known"]))
        assert scene.redis.hget(incident_key(incident), "needs_role") == "lead"
        assert len(json.loads(scene.redis.hget(incident_key(incident), "judgements") or "")) == 2

    def test_of_an_incident_that_ended_too(self, scene: Scene) -> None:
        """Once a stream is over, its incidents could not be judged by two."""
        incident = waiting(scene)
        scene.redis.hset("lw:stream:cam-1", "state", "ended")
        scene.redis.delete("lw:pending:cam-1")
        scene.redis.zadd("lw:ends", {"cam-1": 0})
        end_incidents(scene.redis, deployment="test")
        assert describe_incident(scene.redis, incident)["ended"] is not None
        assert isinstance(judge(scene, incident, "harmless", "bob"), Judgement)
        assert describe_incident(scene.redis, incident)["needs_role"] == "lead"
        assert isinstance(judge(scene, incident, "harmless", "eve"), Decision)
        assert scene.decisions()[0]["data"]["needs_role"] == "lead"


def test_a_flood_is_judged_by_two(scene: Scene) -> None:
    """What one hash raised on many streams could not be judged by two, or a stream that joined be left out."""
    scene.policy = scene.policy.model_copy(update={"flood": Flood(streams=2)})
    for stream in ("a", "b"):
        scene.settle(stream, scene.hits([1000], lists=["known"]))
    (flood,) = [one.incident_id for one in open_incidents(scene.redis) if one.rule == "hash-flood"]
    assert isinstance(judge(scene, flood, "csea_suspected", "ann"), Judgement)
    scene.settle("c", scene.hits([1000], lists=["known"]))
    assert isinstance(judge(scene, flood, "harmless", "bob"), Judgement)
    scene.settle("d", scene.hits([1000], lists=["known"]))
    assert isinstance(judge(scene, flood, "csea_suspected", "lea"), Decision)
    (event,) = scene.decisions()
    assert event["data"]["streams"] == ["a", "b", "c", "d"]
    assert [one["by"] for one in event["data"]["judgements"]] == ["ann", "bob"]


class TestWorseEvidence:
    def test_sets_the_first_judgement_aside(self, scene: Scene) -> None:
        """Two people would seem to agree, though one of them has not seen the worse of it."""
        incident = waiting(scene)
        nearer(scene)
        assert describe_incident(scene.redis, incident)["judgement"] == {"waits": False, "set_aside": True}
        assert anything_free(scene.redis, "ann")
        assert taken(scene.redis, "bob") == incident
        answer = judge(scene, incident, "csea_apparent", "bob")
        assert isinstance(answer, Judgement)
        assert (answer.set_aside, answer.disagreed) == (True, False)
        assert scene.decisions() == []
        assert taken(scene.redis, "ann") == incident, "the first judge may judge the worse evidence"
        assert isinstance(judge(scene, incident, "csea_apparent", "ann"), Decision)
        assert [one["by"] for one in scene.decisions()[0]["data"]["judgements"]] == ["bob", "ann"]

    def test_that_the_second_was_not_shown_is_taken_again_first(self, scene: Scene) -> None:
        """The second judge would judge what they were not shown."""
        incident = waiting(scene)
        taken(scene.redis, "bob")
        nearer(scene)
        with pytest.raises(QueueError, match="came since: take it again"):
            judge(scene, incident, "csea_apparent", "bob")

    def test_more_of_the_same_sets_nothing_aside(self, scene: Scene) -> None:
        """A stream that goes on would never be decided by two."""
        incident = waiting(scene)
        scene.settle("cam-1", scene.hits([2000, 40_000], lists=["known"]))
        assert isinstance(judge(scene, incident, "csea_apparent", "bob"), Decision)

    def test_is_the_same_to_scripts(self, scene: Scene) -> None:
        """The first judge would be given the incident again at once, or never again."""
        incident = waiting(scene)
        key = incident_key(incident)
        event = json.loads(scene.redis.hget(key, "event") or "")
        event["data"]["matches"] = [
            {"list": "é \u2028", "entry": "a\nb", "distance": 0},
            {"list": "x" * 200, "entry": "7", "distance": 31},
        ]
        scene.redis.hset(key, mapping={"event": json.dumps(event), "judged_on": extent_digest(json.dumps(event))})
        assert not anything_free(scene.redis, "ann")


class TestAlone:
    def test_a_lead_decides_after_the_wait(self, scene: Scene, redis: Redis) -> None:
        """An incident would wait for ever where one person is on duty."""
        roster = Roster(redis)
        incident = waiting(scene, by=roster.lead, waits=LongestWaits(critical=300))
        assert describe_incident(redis, incident)["judgement"]["alone"] is False
        assert taken(redis, roster.lead) is None
        wait_is_over(redis, incident)
        assert describe_incident(redis, incident)["judgement"]["alone"] is True
        assert anything_free(redis, roster.lead)
        assert taken(redis, roster.lead) == incident
        done = judge(scene, incident, "csea_suspected", roster.lead)
        assert isinstance(done, Decision)
        (event,) = scene.decisions()
        assert [one["outcome"] for one in event["data"]["judgements"]] == ["csea_apparent"]

    def test_nobody_decides_before_the_longest_wait_that_settings_may_state(self, scene: Scene, redis: Redis) -> None:
        """A team that gives second judges the weekend would have one person decide alone at once."""
        roster = Roster(redis)
        waits = LongestWaits(critical=LONGEST_WAIT_SECONDS)
        incident = waiting(scene, by=roster.lead, waits=waits)
        assert describe_incident(redis, incident)["judgement"]["alone"] is False
        assert not anything_free(redis, roster.lead)
        assert taken(redis, roster.lead) is None
        with pytest.raises(QueueError, match="lea judged it: a second person judges now"):
            judge(scene, incident, "csea_apparent", roster.lead, waits=waits)
        assert isinstance(judge(scene, incident, "harmless", roster.add("leo", Role.LEAD), note="a doll"), Judgement)

    def test_another_lead_s_judgement_decides_after_the_wait(self, scene: Scene, redis: Redis) -> None:
        """A second lead, who may be the only one on duty, would have to judge the same incident twice."""
        roster = Roster(redis)
        incident = waiting(scene, by=roster.add("ann"))
        wait_is_over(redis, incident)
        assert isinstance(judge(scene, incident, "harmless", roster.lead, note="a doll"), Decision)
        assert [one["by"] for one in scene.decisions()[0]["data"]["judgements"]] == ["ann", "lea"]

    def test_a_moderator_does_not(self, scene: Scene, redis: Redis) -> None:
        """The policy's second person would be left out by waiting."""
        roster = Roster(redis)
        ann = roster.add("ann")
        incident = waiting(scene, by=ann)
        wait_is_over(redis, incident)
        assert taken(redis, ann) is None
        with pytest.raises(QueueError, match="ann judged it"):
            judge(scene, incident, "csea_apparent", ann)

    def test_a_clock_that_went_back_keeps_nobody_waiting(self, scene: Scene) -> None:
        """After a correction of the clock nobody could decide for years."""
        incident = waiting(scene)
        scene.redis.hset(incident_key(incident), "judged_until_ms", str(2**50))
        assert anything_free(scene.redis, "ann")
        assert isinstance(judge(scene, incident, "csea_apparent", "ann"), Decision)


def test_the_judgement_of_a_removed_person_does_not_count(scene: Scene, redis: Redis) -> None:
    """Somebody who was removed for judging wrongly would still be one of two."""
    roster = Roster(redis)
    incident = waiting(scene, by=roster.add("ann"))
    remove_person(redis, "ann", by=roster.lead)
    answer = judge(scene, incident, "csea_apparent", roster.add("bob"))
    assert isinstance(answer, Judgement)
    assert answer.set_aside


def test_an_auditor_does_not_become_the_second(scene: Scene, redis: Redis) -> None:
    """Somebody without that role would decide."""
    roster = Roster(redis)
    incident = waiting(scene, by=roster.add("ann"))
    with pytest.raises(PeopleError, match="zoe is auditor"):
        judge(scene, incident, "csea_apparent", roster.add("zoe", Role.AUDITOR))
    assert scene.decisions() == []


def test_damaged_judgements_are_none(scene: Scene) -> None:
    """An incident with a damaged record could not be decided."""
    incident = waiting(scene)
    for text in ("{", "5", '{"outcome": "nope"}', "[[]]", "null"):
        scene.redis.hset(incident_key(incident), "judgement", text)
        assert describe_incident(scene.redis, incident)["judgement"] is None
        assert JudgingState.of({"judgements": text}).both == ()
    assert isinstance(judge(scene, incident, "harmless", "bob"), Decision)


class TestRevision:
    def test_says_what_it_revises(self, scene: Scene) -> None:
        """A platform would take a revision of one person for the judgement of two."""
        incident = waiting(scene, category="A1")
        judge(scene, incident, "csea_apparent", "bob", category="A1")
        revise(scene.redis, incident, "csea_suspected", by="lea", note="no", deployment="test", category="B1")
        made, revised = (one["data"] for one in scene.decisions())
        assert "judgements" not in revised
        assert revised["category"] == "B1"
        assert revised["previous"]["judgements"] == made["judgements"]
        assert revised["previous"]["category"] == "A1"

    def test_of_two_people_s_decision_is_a_lead_s(self, scene: Scene, redis: Redis) -> None:
        """One person alone would overrule two."""
        roster = Roster(redis)
        incident = waiting(scene, by=roster.add("ann"))
        bob = roster.add("bob")
        judge(scene, incident, "csea_apparent", bob)
        for _ in range(2):
            with pytest.raises(PeopleError, match="bob is moderator: only a lead may revise"):
                revise(redis, incident, "adult_tos", by=bob, note="no", deployment="test")
            if len(scene.decisions()) == 1:
                revise(redis, incident, "harmless", by=roster.lead, note="a doll", deployment="test")
        assert len(scene.decisions()) == 2
