"""Revisions of decisions, in a real Valkey."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
from redis import Redis
from redis_between import before_the_script
from scene import Scene

from config.errors import SchemaError
from config.facts import Hit, ListMatch, Severity
from config.policy.policy import Policy
from config.schemas import check_event
from worker.errors import QueueError
from worker.incidents.keys import incident_key, incidents_key
from worker.ingest.coverage.totals import totals
from worker.queue.answers import Decision
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.open_incidents import open_incidents
from worker.queue.revisions import MAX_REVISIONS, revise
from worker.store.redis_client import now_ms
from worker.verdictlog.outcome_rows import outcome_row


def decided(scene: Scene, outcome: str, stream: str = "cam-1") -> str:
    incident = scene.raise_incident(stream)
    decide_incident(scene.redis, incident, outcome, by="ann", note="at first sight", deployment="test")
    return incident


def changed(redis: Redis, incident: str, outcome: str, *, by: str = "lea", was: str | None = None) -> Decision:
    return revise(redis, incident, outcome, by=by, note="looked again", deployment="test", was=was)


def asks(
    scene: Scene, incident: str, outcome: str, *, ask: Sequence[str] = (), interrupt: bool = False, by: str = "lea"
) -> Decision:
    """The decision as it is, with more that is asked of the platform."""
    return revise(scene.redis, incident, outcome, by=by, note="on top", deployment="test", ask=ask, interrupt=interrupt)


def seen_now(scene: Scene, *, after_ms: int = 0) -> tuple[Hit, ...]:
    """The same match as before, live now."""
    return scene.hits([now_ms(scene.redis) + after_ms], lists=["known"])


def nearest(scene: Scene, at_ms: int) -> tuple[Hit, ...]:
    """The listed picture itself: a nearer match than the one before."""
    (hit,) = scene.hits([at_ms], lists=["known"])
    return (replace(hit, matches=(ListMatch(list="known", entry="7", distance=0),)),)


def test_a_later_decision_does_not_restore_a_revoked_silence(scene: Scene) -> None:
    """A match that a person has just called apparent abuse would raise nothing, because another match was found
    harmless."""
    first = decided(scene, "harmless")
    (hit,) = seen_now(scene)
    other = replace(hit, matches=(ListMatch(list="known", entry="8", distance=4),))
    event = scene.settle("cam-1", (other,)).events[0]
    changed(scene.redis, first, "csea_apparent")
    decide_incident(scene.redis, event.incident_id, "harmless", by="ann", note="a puppet", deployment="test")
    assert scene.settle("cam-1", seen_now(scene)).events, "it raises another incident"


def test_a_revision_is_recorded_and_published(scene: Scene) -> None:
    """A platform would go on acting on a wrong decision, or not know who changed it and why."""
    incident = decided(scene, "harmless")
    decision = changed(scene.redis, incident, "csea_apparent")
    made, revised = scene.decisions()
    assert json.loads(decision.event) == revised
    assert revised["type"] == "livewarden.decision.revised.v1"
    assert revised["id"] != made["id"]
    data = revised["data"]
    new = ("outcome", "previous_outcome", "decided_by", "note", "revision", "previous", "times")
    assert {name: data[name] for name in new if name != "times"} == {
        "outcome": "csea_apparent",
        "previous_outcome": "harmless",
        "decided_by": "lea",
        "note": "looked again",
        "revision": 1,
        "previous": {
            "decided_by": "ann",
            "note": "at first sight",
            "decided": made["data"]["times"]["decided"],
            "verified": False,
        },
    }
    assert data["times"]["first_decided"] == made["data"]["times"]["decided"] <= data["times"]["decided"]
    assert {name: value for name, value in data.items() if name not in new} == {
        name: value for name, value in made["data"].items() if name not in new
    }
    record = scene.redis.hgetall(incident_key(incident))
    assert (record["outcome"], record["decided_by"], record["note"]) == ("csea_apparent", "lea", "looked again")
    assert [json.loads(text) for text in record["decisions"].splitlines()] == [made, revised]
    scene.redis.expire(incident_key(incident), 60)
    again = json.loads(changed(scene.redis, incident, "harmless", by="ann").event)["data"]
    assert (again["revision"], again["previous"]["decided_by"]) == (2, "lea")
    assert again["times"]["first_decided"] == data["times"]["first_decided"]
    assert scene.redis.ttl(incident_key(incident)) > 60


class TestRefusals:
    def test_invalid_texts(self, scene: Scene) -> None:
        """A decision would be changed by a typo, without a reason, or behind somebody's back."""
        incident = scene.raise_incident("cam-1")
        with pytest.raises(QueueError, match="is not decided yet: there is nothing to revise"):
            changed(scene.redis, incident, "harmless")
        decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")
        for note in ("", " \n"):
            with pytest.raises(QueueError, match="--note: a revision needs a reason"):
                revise(scene.redis, incident, "harmless", by="lea", note=note, deployment="test")
        with pytest.raises(QueueError, match="was decided as adult_tos already, by ann"):
            changed(scene.redis, incident, "adult_tos")
        with pytest.raises(QueueError, match="is not harmless: it was decided as adult_tos, by ann"):
            changed(scene.redis, incident, "csea_apparent", was="harmless")
        with pytest.raises(QueueError, match="is not known"):
            changed(scene.redis, "0" * 24, "harmless")
        assert scene.redis.xlen("lw:decisions") == 1

    def test_revisions_are_bounded(self, scene: Scene) -> None:
        """Two people who overrule each other by a script would fill Redis."""
        incident = decided(scene, "harmless")
        for number in range(MAX_REVISIONS):
            changed(scene.redis, incident, ("csea_apparent", "harmless")[number % 2])
        with pytest.raises(QueueError, match=f"was revised {MAX_REVISIONS} times"):
            changed(scene.redis, incident, "csea_apparent")


def test_one_of_two_concurrent_revisions_counts(scene: Scene, redis_url: str) -> None:
    """The second moderator would overrule the first without having seen the first one's outcome."""
    incident = decided(scene, "harmless")
    with (
        before_the_script(redis_url, lambda: changed(scene.redis, incident, "adult_tos", by="bob")) as redis,
        pytest.raises(QueueError, match="was revised meanwhile: adult_tos, by bob"),
    ):
        changed(redis, incident, "csea_apparent")
    assert len(scene.decisions()) == 2


def test_a_segment_that_ends_during_a_revision_is_not_lost(scene: Scene, redis_url: str) -> None:
    """A worse match that arrives with the change would be raised twice, or never be decided."""
    incident = decided(scene, "harmless")
    at_ms = now_ms(scene.redis) + 10_000
    worse = nearest(scene, at_ms)
    with before_the_script(redis_url, lambda: scene.settle("cam-1", worse)) as redis:
        changed(redis, incident, "csea_apparent")
    (raised,) = open_incidents(scene.redis)
    assert scene.settle("cam-1", worse).events == ()
    decide_incident(scene.redis, raised.incident_id, "csea_apparent", by="ann", deployment="test")


class TestSameOutcome:
    """A revision that leaves the outcome, and asks more of the platform."""

    def test_asks_more_of_the_platform(self, scene: Scene) -> None:
        """Who learns after the decision that an account must be suspended would have to name another outcome first; or
        would take back what a colleague asked for."""
        incident = scene.raise_incident("cam-1")
        decide_incident(scene.redis, incident, "csea_suspected", by="ann", deployment="test", category="B1")
        asks(scene, incident, "csea_suspected", ask=["suspend"], by="ann")
        asked = asks(scene, incident, "csea_suspected", ask=["safeguard"], by="lea")
        assert (asked.category, asked.actions) == ("B1", ("suspend", "safeguard"))
        data = scene.decisions()[-1]["data"]
        new = ("outcome", "previous_outcome", "category", "actions", "revision")
        assert [data[name] for name in new] == ["csea_suspected"] * 2 + ["B1", ["suspend", "safeguard"], 2]
        assert data["previous"]["actions"] == ["suspend"]

    def test_asks_for_an_interruption_once(self, scene: Scene) -> None:
        """A stream would stay on air since its danger was understood a minute after the decision."""
        incident = scene.raise_incident("cam-1")
        decide_incident(scene.redis, incident, "child_at_risk", by="ann", deployment="test")
        assert asks(scene, incident, "child_at_risk", interrupt=True).interrupted
        with pytest.raises(QueueError, match="was decided as child_at_risk already, by lea"):
            asks(scene, incident, "child_at_risk", interrupt=True)

    def test_is_refused_where_it_says_nothing_new(self, scene: Scene) -> None:
        """A second press would be a second revision, of which a record keeps 20."""
        incident = scene.raise_incident("cam-1")
        decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test", ask=["suspend"])
        for ask in ([], ["suspend"]):
            with pytest.raises(QueueError, match="was decided as adult_tos already, by ann"):
                asks(scene, incident, "adult_tos", ask=ask)
        with pytest.raises(QueueError, match="is not harmless"):
            revise(scene.redis, incident, "adult_tos", by="lea", note="n", deployment="test", was="harmless")

    def test_never_asks_to_punish_a_child(self, scene: Scene) -> None:
        """A child who streams alone would lose the account."""
        incident = scene.raise_incident("cam-1")
        decide_incident(scene.redis, incident, "child_at_risk", by="ann", deployment="test")
        with pytest.raises(QueueError, match="safeguarded, not punished"):
            asks(scene, incident, "child_at_risk", ask=["suspend"])

    def test_leaves_the_silence(self, scene: Scene) -> None:
        """Asking for a suspension would call moderators to the match that they have just decided."""
        incident = decided(scene, "csea_suspected")
        state = scene.redis.hgetall(incidents_key("cam-1"))
        asks(scene, incident, "csea_suspected", ask=["suspend"])
        assert scene.redis.hgetall(incidents_key("cam-1")) == state
        assert scene.settle("cam-1", seen_now(scene, after_ms=1000)).events == ()

    def test_is_no_changed_decision_in_reports_and_replays(self, scene: Scene) -> None:
        """Reports would count a request as a decision that was wrong, and a replay would end its silence."""
        incident = decided(scene, "csea_suspected")
        event = asks(scene, incident, "csea_suspected", ask=["suspend"]).event
        (day,) = totals(scene.redis, days=1)
        assert (day.counts["revised"], day.counts["revised-list"]) == ((), ())
        assert day.counts["decided"]
        assert outcome_row(event) is None


class TestSilence:
    """The cooldown after a decision depends on that decision."""

    def test_ends_when_the_outcome_is_no_longer_harmless(self, scene: Scene) -> None:
        """Abuse that was called harmless by mistake could be shown for minutes more without calling anybody."""
        incident = decided(scene, "harmless")
        before = seen_now(scene)
        assert scene.settle("cam-1", before).events == ()
        changed(scene.redis, incident, "csea_apparent")
        assert scene.settle("cam-1", before).events == (), "what was captured before belongs to what was revised"
        (event,) = scene.settle("cam-1", seen_now(scene, after_ms=1000)).events
        assert event.type == "livewarden.escalation.raised.v1"
        assert event.incident_id != incident

    def test_is_not_extended_when_the_outcome_becomes_harmless(self, scene: Scene) -> None:
        """A revision would hide what the stream shows now, which nobody has reviewed."""
        incident = decided(scene, "csea_apparent")
        state = scene.redis.hgetall(incidents_key("cam-1"))
        changed(scene.redis, incident, "harmless")
        assert scene.redis.hgetall(incidents_key("cam-1")) == state
        assert scene.settle("cam-1", seen_now(scene)).events == ()

    def test_a_later_decisions_silence_stays(self, scene: Scene) -> None:
        """Correcting a decision of last week would call moderators to a match that was decided a minute ago."""
        first = decided(scene, "harmless")
        later_ms = now_ms(scene.redis) + 86_400_000
        (event,) = scene.settle("cam-1", scene.hits([later_ms], lists=["known"])).events
        field = "rule:live:known"
        state = json.loads(str(scene.redis.hget(incidents_key("cam-1"), field)))
        state["decided"]["quiet_until_ms"] = 1  # that silence ended long ago
        scene.redis.hset(incidents_key("cam-1"), field, json.dumps(state))
        decide_incident(scene.redis, event.incident_id, "harmless", by="ann", note="seen", deployment="test")
        changed(scene.redis, first, "csea_apparent")
        assert scene.settle("cam-1", seen_now(scene, after_ms=1000)).events == ()

    def test_the_silence_of_consecutive_decisions_ends(self, scene: Scene) -> None:
        """The first of two consecutive decisions would go on to silence the match that it was wrong about."""
        first = decided(scene, "harmless")
        (second,) = scene.settle("cam-1", nearest(scene, now_ms(scene.redis))).events
        decide_incident(scene.redis, second.incident_id, "harmless", by="ann", note="seen", deployment="test")
        assert scene.settle("cam-1", seen_now(scene)).events == ()
        changed(scene.redis, first, "csea_apparent")
        assert len(scene.settle("cam-1", seen_now(scene, after_ms=1000)).events) == 1

    def test_an_open_incident_stays_open(self, scene: Scene) -> None:
        """Changing an old decision would close an incident that nobody has reviewed."""
        incident = decided(scene, "csea_apparent")
        scene.redis.hset(incidents_key("cam-1"), "rule:live:known", "{}")
        (event,) = scene.settle("cam-1", seen_now(scene)).events
        for outcome in ("harmless", "csea_suspected"):
            changed(scene.redis, incident, outcome)
        assert [one.incident_id for one in open_incidents(scene.redis)] == [event.incident_id]
        taken = take(scene.redis, "bob")
        assert taken is not None
        assert taken.incident_id == event.incident_id


def test_a_group_is_raised_again_and_its_streams_are_named(redis: Redis, policy_of: Callable[[str], Policy]) -> None:
    """A platform would correct one stream of many, and a lead would not learn what goes on in all of them."""
    flood = "flood: {streams: 2, within_seconds: 600}"
    scene = Scene(
        redis=redis,
        policy=policy_of(
            f"version: '1'\n{flood}\nrules: [{{name: known, when: matched(\"known\"), severity: critical}}]"
        ),
    )
    for stream in ("cam-1", "cam-2"):
        scene.settle(stream, seen_now(scene))
    (group,) = (one.incident_id for one in open_incidents(redis) if one.rule == "hash-flood")
    with pytest.raises(QueueError, match="it matches list known: `harmless` needs a note"):
        decide_incident(redis, group, "harmless", by="lea", deployment="test")
    decide_incident(redis, group, "harmless", by="lea", note="a title card", deployment="test")
    scene.settle("cam-2", seen_now(scene))
    assert not [one for one in open_incidents(redis) if one.rule == "hash-flood"]
    changed(redis, group, "csea_suspected")
    _, revised = scene.decisions()
    assert revised["data"]["streams"] == ["cam-1", "cam-2"]
    scene.settle("cam-2", seen_now(scene, after_ms=1000))
    (again,) = (one for one in open_incidents(redis) if one.rule == "hash-flood")
    assert again.incident_id != group


def test_a_forgotten_stream_stays_forgotten(scene: Scene) -> None:
    """A decision could not be corrected any more, or the correction would restore records of a forgotten stream."""
    incident = decided(scene, "harmless")
    scene.redis.delete(incidents_key("cam-1"))
    changed(scene.redis, incident, "csea_apparent")
    assert not scene.redis.exists(incidents_key("cam-1"))


def test_a_decision_of_an_older_version_can_be_changed(scene: Scene) -> None:
    """A wrong decision made before an upgrade could never be corrected."""
    incident = decided(scene, "harmless")
    (made,) = scene.decisions()
    scene.redis.hdel(incident_key(incident), "decisions")
    changed(scene.redis, incident, "csea_apparent")
    _, revised = scene.decisions()
    assert revised["data"]["previous"]["note"] == "at first sight"
    assert revised["data"]["times"]["first_decided"] == made["data"]["times"]["decided"]


class TestHarmless:
    """Outcome `harmless` on a picture that somebody has listed as known material."""

    @pytest.mark.parametrize("note", ["", "  \n\t"])
    def test_needs_a_note_where_a_list_is_matched(self, scene: Scene, note: str) -> None:
        """Known material would be dismissed without a recorded reason."""
        incident = scene.raise_incident("cam-1")
        with pytest.raises(
            QueueError, match=r"it matches list known: `harmless` needs a note that says why \(--note\)"
        ):
            decide_incident(scene.redis, incident, "harmless", by="ann", note=note, deployment="test")
        assert scene.redis.xlen("lw:decisions") == 0
        decide_incident(scene.redis, incident, "harmless", by="ann", note="a list's mistake", deployment="test")

    def test_needs_no_note_elsewhere(self, scene: Scene) -> None:
        """Moderators would have to type a reason for each picture of a beach."""
        incident = scene.raise_incident("cam-1", Severity.REVIEW)
        decide_incident(scene.redis, incident, "harmless", by="ann", deployment="test")
        decide_incident(scene.redis, scene.raise_incident("cam-2"), "csea_apparent", by="ann", deployment="test")

    def test_the_holder_is_named_first(self, scene: Scene) -> None:
        """A moderator would write a note for an incident that another holds."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        with pytest.raises(QueueError, match="is held by ann"):
            decide_incident(scene.redis, incident, "harmless", by="bob", deployment="test")


@pytest.mark.parametrize(
    "change",
    [
        {"note": ""},
        {"previous_outcome": None},
        {"revision": 0},
        {"previous": {"decided_by": "ann"}},
        {"type": "livewarden.decision.made.v1"},
    ],
)
def test_the_schema_is_strict_about_revisions(scene: Scene, change: dict[str, object]) -> None:
    """A platform would learn that a decision changed, but not how, why and by whom."""
    event = json.loads(changed(scene.redis, decided(scene, "harmless"), "csea_apparent").event)
    check_event(event)
    kind = change.get("type")
    event |= {"type": kind} if kind else {"data": event["data"] | change}
    with pytest.raises(SchemaError):
        check_event(event)
