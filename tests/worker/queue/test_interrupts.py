"""Requests to interrupt that people make, and how far readers have come with them, in a real Valkey."""

from collections.abc import Callable
from typing import Any

import pytest
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import Severity
from config.policy.policy import Policy
from worker.errors import QueueError
from worker.incidents.due_ends import end_incidents
from worker.incidents.keys import incident_key
from worker.queue.answers import Decision, Judgement
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.interrupts import InterruptState, interrupt_state
from worker.queue.revisions import revise

LATER = """
version: later
second_person: [csea_apparent]
interrupt_on_first: false
rules:
  - {name: known, when: 'matched("known")', severity: critical}
"""
AT_ONCE = LATER.replace("interrupt_on_first: false\n", "")


def decide(scene: Scene, incident: str, outcome: str, by: str = "ann", **said: Any) -> Decision | Judgement:
    return decide_incident(scene.redis, incident, outcome, by=by, note="seen", deployment="test", **said)


def under(scene: Scene, policy: Policy) -> Scene:
    return Scene(redis=scene.redis, policy=policy)


class TestRequest:
    def test_comes_before_the_decision_and_once(self, scene: Scene) -> None:
        """A platform would leave a stream on air until it has worked through decisions, or interrupt it twice."""
        incident = scene.raise_incident("cam-1")
        done = decide(scene, incident, "csea_apparent")
        assert isinstance(done, Decision)
        assert done.interrupted
        request, made = scene.published("lw:decisions")
        assert request["type"] == "livewarden.interrupt.requested.v1"
        assert made["type"] == "livewarden.decision.made.v1"
        data = request["data"]
        assert (data["incident_id"], data["asked_by"], data["person"], data["verified"]) == (
            incident,
            "person",
            "ann",
            False,
        )
        assert (data["stream_id"], data["generation"], data["drill"]) == ("cam-1", 1, False)
        assert data["metadata"] == {"room": "blue"}
        assert [match["list"] for match in data["matches"]] == ["known"]
        revise(scene.redis, incident, "harmless", by="lea", note="a doll", deployment="test")
        again = revise(scene.redis, incident, "csea_apparent", by="ann", note="no doll", deployment="test")
        assert not again.interrupted
        assert len(scene.requests()) == 1

    def test_of_a_drill_is_marked(self, scene: Scene) -> None:
        """A platform would interrupt a real stream for a drill, or a drill would not try the way to the platform."""
        decide(scene, scene.raise_incident("cam-1", purpose="drill"), "csea_apparent")
        (request,) = scene.requests()
        assert (request["data"]["drill"], request["data"]["purpose"]) == (True, "drill")

    def test_is_not_made_of_a_canary(self, scene: Scene) -> None:
        """A canary that somebody decides by hand would interrupt a stream."""
        incident = scene.raise_incident("cam-1", purpose="drill")
        scene.redis.hset(incident_key(incident), "purpose", "canary")
        state = scene.redis.hget("lw:incidents:cam-1", "rule:drill:known") or ""
        scene.redis.hset("lw:incidents:cam-1", "rule:canary:known", state.replace('"drill"', '"canary"'))
        decide(scene, incident, "csea_apparent")
        assert scene.requests() == []

    def test_is_not_made_of_a_stream_that_has_ended(self, scene: Scene) -> None:
        """Whoever broadcasts there next would be interrupted."""
        incident = scene.raise_incident("cam-1")
        scene.redis.hset("lw:stream:cam-1", "state", "ended")
        scene.redis.delete("lw:pending:cam-1")
        scene.redis.zadd("lw:ends", {"cam-1": 0})
        end_incidents(scene.redis, deployment="test")
        decide(scene, incident, "csea_apparent")
        assert scene.requests() == []

    @pytest.mark.parametrize("outcome", ["csea_suspected", "child_at_risk"])
    def test_is_a_person_s_choice_with_a_suspicion(self, scene: Scene, outcome: str) -> None:
        """Somebody who sees a child at risk could stop nothing, or every suspicion would stop a stream."""
        decide(scene, scene.raise_incident("cam-1"), outcome)
        assert scene.requests() == []
        decide(scene, scene.raise_incident("cam-2"), outcome, interrupt=True)
        assert [one["subject"] for one in scene.requests()] == ["cam-2"]

    @pytest.mark.parametrize("outcome", ["adult_tos", "other_harm", "harmless", "cannot_judge"])
    def test_is_refused_with_other_outcomes(self, scene: Scene, outcome: str) -> None:
        """A slip of the hand would stop a harmless stream."""
        incident = scene.raise_incident("cam-1")
        with pytest.raises(QueueError, match=f"--interrupt: {outcome} interrupts no stream"):
            decide(scene, incident, outcome, interrupt=True)
        assert scene.published("lw:decisions") == []

    def test_of_a_revision_is_made_too(self, scene: Scene) -> None:
        """A stream would stay on air because it was judged wrongly at first."""
        incident = scene.raise_incident("cam-1")
        decide(scene, incident, "harmless")
        changed = revise(scene.redis, incident, "csea_apparent", by="lea", note="no doll", deployment="test")
        assert changed.interrupted
        assert [one["type"].split(".")[1] for one in scene.published("lw:decisions")] == [
            "decision",
            "interrupt",
            "decision",
        ]

    def test_does_not_wait_for_the_second_judge(self, scene: Scene, policy_of: Callable[[str], Policy]) -> None:
        """A child would be abused on air while a second person is looked for."""
        scene = under(scene, policy_of(AT_ONCE))
        incident = scene.raise_incident("cam-1")
        first = decide(scene, incident, "csea_apparent")
        assert isinstance(first, Judgement)
        assert first.interrupted
        assert len(scene.requests()) == len(scene.published("lw:decisions")) == 1
        assert "outcome" not in scene.requests()[0]["data"]
        second = decide(scene, incident, "csea_apparent", by="bob")
        assert isinstance(second, Decision)
        assert not second.interrupted
        assert len(scene.requests()) == 1

    def test_waits_where_the_policy_says_so(self, scene: Scene, policy_of: Callable[[str], Policy]) -> None:
        """A platform that wants two people before it interrupts would be asked on the word of one."""
        scene = under(scene, policy_of(LATER))
        incident = scene.raise_incident("cam-1")
        decide(scene, incident, "csea_apparent")
        assert scene.requests() == []
        decide(scene, incident, "csea_apparent", by="bob")
        assert [one["data"]["person"] for one in scene.requests()] == ["bob"]

    def test_of_the_first_judge_stays_where_the_second_agrees(
        self, scene: Scene, policy_of: Callable[[str], Policy]
    ) -> None:
        """What one of two people asked for would be forgotten, because the other did not think of it."""
        scene = under(scene, policy_of(LATER))
        incident = scene.raise_incident("cam-1")
        decide(scene, incident, "child_at_risk", second=True, interrupt=True)
        assert scene.requests() == []
        decide(scene, incident, "child_at_risk", by="bob")
        assert len(scene.requests()) == 1

    def test_of_a_second_judge_who_disagrees_does_not_wait(
        self, scene: Scene, policy_of: Callable[[str], Policy]
    ) -> None:
        """Whoever sees the abuse that the first judge missed could not stop it."""
        scene = under(scene, policy_of(AT_ONCE))
        incident = scene.raise_incident("cam-1")
        decide(scene, incident, "harmless", second=True)
        assert scene.requests() == []
        assert isinstance(decide(scene, incident, "csea_apparent", by="bob"), Judgement)
        assert [one["data"]["person"] for one in scene.requests()] == ["bob"]

    def test_is_not_made_by_somebody_who_may_not_decide(self, scene: Scene, redis: Redis) -> None:
        """Anybody could stop any stream."""
        Roster(redis).add("kim")
        incident = scene.raise_incident("cam-1")
        with pytest.raises(Exception, match="kim needs a token"):
            decide(scene, incident, "csea_apparent", by="kim")
        assert scene.published("lw:decisions") == []


class TestState:
    def test_follows_the_readers(self, scene: Scene) -> None:
        """A moderator would not know whether anybody has acted, and would telephone for nothing, or not at all."""
        redis = scene.redis
        redis.xgroup_create("lw:decisions", "platform", id="0", mkstream=True)
        redis.xgroup_create("lw:decisions", "archive", id="0")
        incident = scene.raise_incident("cam-1")
        assert interrupt_state(redis, incident) == InterruptState()
        decide(scene, incident, "csea_apparent")
        asked = interrupt_state(redis, incident)
        assert (asked.by, asked.read_by, asked.acknowledged_by) == ("ann", (), ())
        assert asked.groups == ("archive", "platform")
        assert asked.requested_ms is not None
        ((_, ((entry, _),)),) = redis.xreadgroup("platform", "p1", {"lw:decisions": ">"}, count=1)
        assert interrupt_state(redis, incident).read_by == ("platform",)
        assert interrupt_state(redis, incident).acknowledged_by == ()
        redis.xack("lw:decisions", "platform", entry)
        assert interrupt_state(redis, incident).acknowledged_by == ("platform",)

    def test_has_the_policy_s_request(self, scene: Scene) -> None:
        """A moderator would ask for what the policy has asked for already."""
        incident = scene.settle("cam-1", scene.hits([1000, 2000], lists=["stop"])).events[0].incident_id
        asked = interrupt_state(scene.redis, incident)
        assert (asked.requested_ms is not None, asked.by, asked.groups) == (True, "", ())
        assert scene.requests()[0]["data"]["asked_by"] == "policy"
        decide(scene, incident, "csea_apparent")
        assert interrupt_state(scene.redis, incident).by == "ann"
        assert len({one["id"] for one in scene.requests()}) == 2

    def test_gives_no_judgement_away(self, scene: Scene, policy_of: Callable[[str], Policy]) -> None:
        """The second judge would know what the first one judged by what the platform is asked."""
        scene = under(scene, policy_of(AT_ONCE))
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        decide(scene, incident, "csea_apparent")
        assert interrupt_state(scene.redis, incident) == InterruptState()
        assert interrupt_state(scene.redis, incident, viewer="bob") == InterruptState()
        assert interrupt_state(scene.redis, incident, viewer="ann").by == "ann"
        decide(scene, incident, "csea_apparent", by="bob")
        assert interrupt_state(scene.redis, incident).by == "ann"

    @pytest.mark.parametrize(
        ("state", "generation", "ended"),
        [("live", "1", False), ("ended", "1", True), ("removed", "1", True), ("live", "2", True), (None, None, True)],
    )
    def test_says_whether_the_stream_has_ended(
        self, scene: Scene, state: str | None, generation: str | None, ended: bool
    ) -> None:
        """A moderator would go on telephoning about a stream that is off air, or stop while it is on."""
        incident = scene.raise_incident("cam-1", Severity.CRITICAL)
        decide(scene, incident, "csea_apparent")
        scene.redis.delete("lw:stream:cam-1")
        if state is not None and generation is not None:
            scene.redis.hset("lw:stream:cam-1", mapping={"state": state, "generation": generation})
        assert interrupt_state(scene.redis, incident).stream_ended is ended

    def test_of_an_unknown_incident_is_refused(self, scene: Scene) -> None:
        """A page would show that nobody asked, where there is nothing to ask about."""
        with pytest.raises(QueueError, match="is not known"):
            interrupt_state(scene.redis, "0" * 24)
