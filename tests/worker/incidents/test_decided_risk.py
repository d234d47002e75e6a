"""Decisions, as they count for the risk of their streams."""

import pytest
from redis import Redis
from scene import Scene

from config.policy.outcome_names import OUTCOMES
from config.policy.risk_settings import DEFAULT_RISK
from worker.incidents.decided_risk import NEWEST_KEPT, NOTED, note_decisions
from worker.incidents.keys import DECISIONS
from worker.ingest.registry.kept_risk import decided_field, risk_key, risk_of
from worker.queue.decisions import decide_incident
from worker.queue.outcomes import Outcome
from worker.queue.revisions import revise


def decided(scene: Scene, outcome: str, stream: str = "cam-1", *, purpose: str = "live") -> str:
    incident = scene.raise_incident(stream, purpose=purpose)
    scene.redis.hset(f"lw:stream:{stream}", "purpose", purpose)
    decide_incident(scene.redis, incident, outcome, by="ann", note="why", deployment="test")
    return incident


def risk(redis: Redis, stream: str = "cam-1") -> float:
    return risk_of(redis, stream, DEFAULT_RISK)


def test_the_policy_knows_every_outcome() -> None:
    """An outcome that people choose could have no weight in a policy."""
    assert tuple(Outcome) == OUTCOMES


def test_a_decision_raises_the_risk_of_its_stream(scene: Scene) -> None:
    """A stream on which a person has just seen abuse would be watched like any other."""
    decided(scene, "csea_apparent")
    assert risk(scene.redis) == 0.0
    assert note_decisions(scene.redis) == 1
    assert risk(scene.redis) == pytest.approx(0.9, abs=0.001)
    assert note_decisions(scene.redis) == 0
    assert risk(scene.redis, "cam-2") == 0.0


def test_a_revision_counts_instead(scene: Scene) -> None:
    """A stream that was confused with another would stay suspect for months."""
    incident = decided(scene, "csea_apparent")
    revise(scene.redis, incident, "harmless", by="lea", note="a puppet", deployment="test")
    assert note_decisions(scene.redis) == 2
    assert risk(scene.redis) == 0.0
    scene.redis.delete(NOTED)  # as if a slow worker noted all of it again
    note_decisions(scene.redis)
    assert risk(scene.redis) == 0.0
    assert scene.redis.ttl(risk_key("cam-1")) > 80 * 24 * 3600


def test_an_older_decision_replaces_no_newer_one(scene: Scene) -> None:
    """Two workers that note at once would leave whichever is slower."""
    incident = decided(scene, "csea_apparent")
    newer = decided_field("live", incident)
    scene.redis.hset(risk_key("cam-1"), newer, "harmless 99999999999999")
    note_decisions(scene.redis)
    assert scene.redis.hget(risk_key("cam-1"), newer) == "harmless 99999999999999"


def test_a_drills_decision_is_nothing_to_the_live_stream(scene: Scene) -> None:
    """Each training would leave streams that look as if abuse had been found on them."""
    decided(scene, "csea_apparent", purpose="drill")
    note_decisions(scene.redis)
    assert risk(scene.redis) == pytest.approx(0.9, abs=0.001)
    scene.redis.hset("lw:stream:cam-1", "purpose", "live")
    assert risk(scene.redis) == 0.0


def test_many_harmless_decisions_displace_no_serious_one(scene: Scene) -> None:
    """A broadcaster could provoke false alarms until the decision about his abuse is forgotten."""
    key = risk_key("cam-1")
    incident = decided(scene, "csea_apparent")
    note_decisions(scene.redis)
    for _ in range(NEWEST_KEPT + 2):
        raised = scene.settle("cam-1", scene.hits([10**13], lists=["known"])).events[0].incident_id
        decide_incident(scene.redis, raised, "adult_tos", by="ann", deployment="test")
    note_decisions(scene.redis)
    assert scene.redis.hlen(key) == NEWEST_KEPT + 1
    assert scene.redis.hexists(key, decided_field("live", incident))


def test_foreign_entries_and_keys_stop_nothing(scene: Scene) -> None:
    """One foreign entry among the decisions would leave all later ones without effect."""
    for event in ("", "[]", "{}", '{"type": "livewarden.decision.made.v1", "data": {}}'):
        scene.redis.xadd(DECISIONS, {"event": event})
    scene.redis.xadd(DECISIONS, {"foreign": "x"})
    scene.redis.set(risk_key("cam-0"), "foreign")
    decided(scene, "csea_apparent", "cam-0")
    decided(scene, "csea_apparent")
    assert note_decisions(scene.redis) == 2
    assert risk(scene.redis) == pytest.approx(0.9, abs=0.001)


def test_a_position_beyond_the_end_begins_anew(scene: Scene) -> None:
    """After Redis came back with an older state, decisions would be passed over until its IDs catch up."""
    scene.redis.set(NOTED, "99999999999999-0")
    decided(scene, "csea_apparent")
    assert note_decisions(scene.redis) == 1
