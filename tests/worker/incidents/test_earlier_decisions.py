"""Earlier decisions on a stream in its events, in a real Valkey."""

from scene import Scene

from config.facts import Severity
from config.policy.policy import Flood
from worker.incidents.keys import incident_key, incidents_key
from worker.incidents.rule_state import MAX_RECENT
from worker.queue.decisions import decide_incident

CRITICAL, HIGH = "lw:escalations:critical", "lw:escalations:high"


def later_ms(scene: Scene, days: int) -> int:
    """A time long after all decisions so far."""
    return (int(scene.redis.time()[0]) + 86_400 * days) * 1000


def named(scene: Scene, key: str = CRITICAL) -> list[tuple[str, str, str]]:
    """Rule, outcome and author of each earlier decision in the newest event."""
    decisions = scene.published(key)[-1]["data"]["earlier_decisions"]
    return [(one["rule"], one["outcome"], one["decided_by"]) for one in decisions]


def test_an_event_lists_earlier_decisions_on_its_stream(scene: Scene) -> None:
    """A moderator would decide the fifth time on a stream without knowing of colleagues' decisions."""
    first = scene.raise_incident("cam-1", Severity.HIGH)
    assert named(scene, HIGH) == []
    decide_incident(scene.redis, first, "adult_tos", by="ann", deployment="test")
    second = scene.raise_incident("cam-1")
    assert named(scene) == [("likely", "adult_tos", "ann")]
    decide_incident(scene.redis, second, "harmless", by="bob", note="a puppet", deployment="test")
    scene.settle("cam-1", scene.hits([later_ms(scene, 1)], lists=["known"]))
    assert named(scene) == [("known", "harmless", "bob"), ("likely", "adult_tos", "ann")]
    (newest, oldest) = scene.published(CRITICAL)[-1]["data"]["earlier_decisions"]
    assert (newest["incident_id"], oldest["incident_id"]) == (second, first)
    assert newest["decided"] == scene.published("lw:decisions")[-1]["data"]["times"]["decided"]


def test_decisions_of_other_streams_and_purposes_are_left_out(scene: Scene) -> None:
    """A drill's decision, or another stream's, would pass for one on this live stream."""
    for stream, purpose in (("cam-1", "drill"), ("cam-2", "live")):
        incident = scene.raise_incident(stream, purpose=purpose)
        decide_incident(scene.redis, incident, "harmless", by="ann", note="a puppet", deployment="test")
    scene.raise_incident("cam-1")
    assert named(scene) == []


def test_only_the_newest_decisions_are_listed(scene: Scene) -> None:
    """Events of a stream that runs for months would grow with each decision."""
    for number in range(MAX_RECENT + 2):
        (event,) = scene.settle("cam-1", scene.hits([later_ms(scene, number)], lists=["known"])).events
        decide_incident(
            scene.redis, event.incident_id, "harmless", by=f"moderator {number}", note="a puppet", deployment="test"
        )
    scene.settle("cam-1", scene.hits([later_ms(scene, 30)], lists=["known"]))
    assert [by for _, _, by in named(scene)] == [f"moderator {number}" for number in range(6, 1, -1)]


def test_a_revised_decision_is_shown_revised_and_a_damaged_one_left_out(scene: Scene) -> None:
    """A revised decision would be shown unrevised, or an unreadable one would block settlement."""
    incidents = [scene.raise_incident("cam-1", severity) for severity in (Severity.HIGH, Severity.REVIEW)]
    for incident in incidents:
        decide_incident(scene.redis, incident, "harmless", by="ann", note="a puppet", deployment="test")
    scene.redis.hset(incident_key(incidents[0]), mapping={"outcome": "csea_apparent", "decided_by": "lea"})
    scene.redis.hset(incident_key(incidents[1]), "decided_ms", "9" * 30)
    scene.raise_incident("cam-1")
    assert named(scene) == [("likely", "csea_apparent", "lea")]
    scene.redis.delete(incident_key(incidents[0]))
    scene.redis.set(incident_key(incidents[0]), "foreign")
    (event,) = scene.settle("cam-1", scene.hits([2000], lists=["stop"])).events
    assert event.incident_id
    assert named(scene) == []


def test_state_of_version_0_1_0_keeps_its_last_decision(scene: Scene) -> None:
    """After an upgrade, no event would show earlier decisions."""
    incident = scene.raise_incident("cam-1")
    decide_incident(scene.redis, incident, "harmless", by="ann", note="a puppet", deployment="test")
    field = "rule:live:known"
    state = str(scene.redis.hget(incidents_key("cam-1"), field))
    assert f'"recent":["{incident}"]' in state
    scene.redis.hset(incidents_key("cam-1"), field, state.replace(f',"recent":["{incident}"]', ""))
    scene.settle("cam-1", scene.hits([later_ms(scene, 1)], lists=["known"]))
    assert named(scene) == [("known", "harmless", "ann")]


def test_a_decision_on_a_group_counts_for_its_streams(scene: Scene) -> None:
    """A moderator would not know that a lead has decided on this stream as part of a group."""
    scene.policy = scene.policy.model_copy(update={"flood": Flood(streams=2)})
    scene.settle("cam-1", scene.hits([1000], lists=["known"]))
    scene.settle("cam-2", scene.hits([1000], lists=["known"]))
    (group,) = [one["data"] for one in scene.published(CRITICAL) if one["data"]["rule"] == "hash-flood"]
    assert group["condition"] == {"streams": 2, "within_seconds": 600.0}
    decide_incident(scene.redis, group["incident_id"], "csea_apparent", by="lea", deployment="test")
    for stream, expected in (("cam-2", [("hash-flood", "csea_apparent", "lea")]), ("cam-3", [])):
        scene.settle(stream, scene.hits([1000], score=0.95))
        assert named(scene, HIGH)[:1] == expected
