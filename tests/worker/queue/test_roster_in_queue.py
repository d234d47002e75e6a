"""The roster in the queue: whoever was removed, demoted or never there can do nothing, at the very step."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.errors import PeopleError, QueueError
from worker.people.actor import Actor, Role
from worker.people.changes import add_person, remove_person, renew_token
from worker.queue.claims import anything_free, take
from worker.queue.decisions import decide_incident
from worker.queue.leases import extend, release
from worker.queue.open_incidents import open_incidents
from worker.queue.record import describe_incident
from worker.queue.revisions import revise
from worker.store.redis_keys import AUDIT_UNLINKED


@pytest.fixture
def roster(redis: Redis) -> Roster:
    return Roster(redis)


def for_a_lead(scene: Scene, incident: str) -> str:
    scene.redis.hset(f"lw:incident:{incident}", "needs_role", "lead")
    return incident


def taken(redis: Redis, by: str | Actor) -> str | None:
    claim = take(redis, by)
    return None if claim is None else claim.incident_id


def acts(incident: str) -> dict[str, Callable[[Redis, str | Actor], object]]:
    """Each act of a person on an incident that they hold, or on a decided one."""
    return {
        "take": lambda redis, by: take(redis, by),
        "extend": lambda redis, by: extend(redis, incident, by),
        "release": lambda redis, by: release(redis, incident, by),
        "decide": lambda redis, by: decide_incident(
            redis, incident, "adult_tos", by=by, note="seen", deployment="test"
        ),
        "revise": lambda redis, by: revise(redis, incident, "other_harm", by=by, note="no", deployment="test"),
    }


def audited(redis: Redis) -> list[dict[str, Any]]:
    return [json.loads(fields["entry"]) for _, fields in redis.xrange(AUDIT_UNLINKED.name)]


def held(scene: Scene, act: str, by: str | Actor) -> str:
    """An incident on which the person could do this: held, or decided already."""
    incident = scene.raise_incident("cam-1")
    assert taken(scene.redis, by) == incident
    if act == "revise":
        decide_incident(scene.redis, incident, "harmless", by=by, note="seen", deployment="test")
    return incident


ACTS = sorted(acts(""))


class TestWhoActs:
    @pytest.mark.parametrize("act", ACTS)
    def test_a_person_of_the_roster_can_do_everything(self, scene: Scene, roster: Roster, act: str) -> None:
        """A roster would stop the work that it is for."""
        kim = roster.add("kim")
        incident = held(scene, act, kim)
        assert acts(incident)[act](scene.redis, kim) is not None

    @pytest.mark.parametrize("act", ACTS)
    @pytest.mark.parametrize("change", ["removed", "new token", "auditor"])
    def test_a_person_removed_or_demoted_a_moment_ago_can_do_nothing(
        self, scene: Scene, roster: Roster, act: str, change: str
    ) -> None:
        """Between the check of a token and the step, a person who has just lost their right would decide."""
        kim = roster.add("kim")
        incident = held(scene, act, kim)
        if change == "removed":
            remove_person(scene.redis, "kim", by=roster.lead)
        elif change == "new token":
            renew_token(scene.redis, "kim", by=roster.lead)
        else:
            add_person(scene.redis, "kim", "auditor", by=roster.lead)
        before = (scene.redis.hgetall(f"lw:incident:{incident}"), scene.redis.xlen("lw:decisions"))
        recorded = len(audited(scene.redis))
        if (act, change) == ("release", "auditor"):
            assert release(scene.redis, incident, kim).entries == 1, "to give back is no harm"
            return
        with pytest.raises(PeopleError, match=r"was removed from the roster, or has|kim is auditor: only a"):
            acts(incident)[act](scene.redis, kim)
        assert before == (scene.redis.hgetall(f"lw:incident:{incident}"), scene.redis.xlen("lw:decisions"))
        assert len(audited(scene.redis)) == recorded

    @pytest.mark.parametrize("act", ACTS)
    def test_a_name_alone_does_nothing_once_there_is_a_roster(self, scene: Scene, redis: Redis, act: str) -> None:
        """Whoever knows a name could act under it, as before there was a roster."""
        incident = held(scene, act, "kim")
        Roster(redis).add("kim")
        for guess in ("kim", Actor(name="kim", role=Role.LEAD, verified=True, proof="5a" * 32)):
            with pytest.raises(PeopleError, match=r"kim needs a token|kim was removed from the roster, or has a new"):
                acts(incident)[act](scene.redis, guess)

    @pytest.mark.parametrize("role", [Role.OPERATOR, Role.AUDITOR])
    def test_people_who_do_not_moderate_take_nothing(self, scene: Scene, roster: Roster, role: Role) -> None:
        """Somebody would be given what they need not see, and hold it."""
        zoe, incident = roster.add("zoe", role), scene.raise_incident("cam-1")
        with pytest.raises(PeopleError, match=f"zoe is {role}: only a moderator or a lead may take incidents"):
            take(scene.redis, zoe)
        with pytest.raises(PeopleError, match=f"zoe is {role}: only a moderator or a lead may hold or decide incident"):
            decide_incident(scene.redis, incident, "adult_tos", by=zoe, deployment="test")

    def test_what_a_removed_person_holds_is_free_at_once(self, scene: Scene, roster: Roster) -> None:
        """An escalation would wait for the end of a lease that nobody can use."""
        eve, kim = roster.add("eve"), roster.add("kim")
        incident = scene.raise_incident("cam-1")
        assert taken(scene.redis, eve) == incident
        assert not anything_free(scene.redis, kim)
        with pytest.raises(QueueError, match="is held by eve"):
            decide_incident(scene.redis, incident, "adult_tos", by=kim, deployment="test")
        remove_person(scene.redis, "eve", by=roster.lead)
        assert anything_free(scene.redis, kim)
        assert taken(scene.redis, kim) == incident

    def test_nobody_is_shown_as_the_holder_of_what_is_free(self, scene: Scene, roster: Roster) -> None:
        """A lead would see an incident in the hands of a person who is not there any more, and leave it to them."""
        kim, mo = roster.add("kim"), roster.add("mo")
        free, lead_s = scene.raise_incident("cam-1"), scene.raise_incident("cam-2", Severity.HIGH)
        assert (taken(scene.redis, kim), taken(scene.redis, mo)) == (free, lead_s)
        assert [one.holder for one in open_incidents(scene.redis)] == ["kim", "mo"]
        remove_person(scene.redis, "kim", by=roster.lead)
        for_a_lead(scene, lead_s)
        assert [(one.holder, one.lease_seconds) for one in open_incidents(scene.redis)] == [(None, 0)] * 2
        for incident in (free, lead_s):
            shown = describe_incident(scene.redis, incident)
            assert (shown["state"], shown["holder"], shown["lease_until"]) == ("open", None, None)

    def test_a_wait_ends_when_the_person_is_removed(self, scene: Scene, roster: Roster) -> None:
        """A terminal would wait for ever, and its user think that there is nothing to do."""
        kim = roster.add("kim")
        remove_person(scene.redis, "kim", by=roster.lead)
        assert anything_free(scene.redis, kim), "take refuses, and says why"

    def test_a_damaged_roster_keeps_nobody_from_the_queue(self, scene: Scene, redis: Redis) -> None:
        """A foreign key would keep every escalation from every person."""
        incident = scene.raise_incident("cam-1")
        redis.set("lw:people", "of another kind")
        assert taken(redis, "kim") == incident
        extend(redis, incident, "kim")
        decide_incident(redis, incident, "adult_tos", by="kim", deployment="test")


class TestIncidentsForALead:
    def test_a_moderator_is_given_the_next_one_instead(self, scene: Scene, roster: Roster) -> None:
        """A moderator would be shown what the policy keeps for a lead, or be given nothing."""
        kim = roster.add("kim")
        sensitive = for_a_lead(scene, scene.raise_incident("cam-1"))
        assert not anything_free(scene.redis, kim), "a wait would write to the disk each second"
        ordinary = scene.raise_incident("cam-2", Severity.REVIEW)
        assert taken(scene.redis, kim) == ordinary
        assert take(scene.redis, kim, another=True) is None
        assert anything_free(scene.redis, roster.lead)
        assert taken(scene.redis, roster.lead) == sensitive

    @pytest.mark.parametrize("act", ["extend", "decide"])
    def test_a_moderator_is_refused_by_name(self, scene: Scene, roster: Roster, act: str) -> None:
        """A moderator could decide what only a lead may, by its id."""
        kim = roster.add("kim")
        incident = held(scene, act, kim)
        for_a_lead(scene, incident)
        with pytest.raises(PeopleError, match=f"kim is moderator: only a lead may hold or decide incident {incident}"):
            acts(incident)[act](scene.redis, kim)

    def test_a_moderator_cannot_revise_a_lead_s_decision(self, scene: Scene, roster: Roster) -> None:
        """What a moderator may not decide, they could change a minute later."""
        kim = roster.add("kim")
        incident = for_a_lead(scene, scene.raise_incident("cam-1"))
        decide_incident(scene.redis, incident, "csea_apparent", by=roster.lead, deployment="test")
        with pytest.raises(PeopleError, match=f"only a lead may revise the decision on incident {incident}"):
            revise(scene.redis, incident, "harmless", by=kim, note="no", deployment="test")

    def test_a_moderator_who_holds_one_that_became_a_lead_s_keeps_nobody_from_it(
        self, scene: Scene, roster: Roster
    ) -> None:
        """An incident that became too much for its holder would wait ten minutes for a lead."""
        kim = roster.add("kim")
        incident = held(scene, "take", kim)
        for_a_lead(scene, incident)
        assert take(scene.redis, kim) is None
        assert taken(scene.redis, roster.lead) == incident
        decide_incident(scene.redis, incident, "adult_tos", by=roster.lead, deployment="test")

    def test_an_older_version_s_group_is_a_lead_s(self, scene: Scene, roster: Roster) -> None:
        """A group of streams that was raised before an update would be decided by a moderator after it."""
        kim, incident = roster.add("kim"), scene.raise_incident("cam-1")
        scene.redis.hdel(f"lw:incident:{incident}", "needs_role")
        scene.redis.hset(f"lw:incident:{incident}", "kept_under", "flood live")
        assert take(scene.redis, kim) is None
        (listed,) = open_incidents(scene.redis)
        assert listed.needs_role == "lead"
        assert taken(scene.redis, roster.lead) == incident

    def test_an_older_version_s_incident_is_anybody_s(self, scene: Scene, roster: Roster) -> None:
        """Incidents that were open at an update would wait for leads, or for ever."""
        kim, incident = roster.add("kim"), scene.raise_incident("cam-1")
        scene.redis.hdel(f"lw:incident:{incident}", "needs_role", "case")
        assert taken(scene.redis, kim) == incident
        decide_incident(scene.redis, incident, "adult_tos", by=kim, deployment="test")

    def test_without_a_roster_everybody_decides_everything(self, scene: Scene) -> None:
        """An update would take hash floods from a deployment that has no leads."""
        incident = for_a_lead(scene, scene.raise_incident("cam-1"))
        assert taken(scene.redis, "kim") == incident
        decide_incident(scene.redis, incident, "adult_tos", by="kim", deployment="test")


class TestTheRecord:
    def test_events_say_whether_the_person_was_verified(self, scene: Scene, roster: Roster) -> None:
        """A court or a platform could not tell a proved name from a stated one."""
        kim = roster.add("kim")
        incident = held(scene, "revise", kim)
        revise(scene.redis, incident, "adult_tos", by=roster.lead, note="no", deployment="test")
        made, revised = scene.published("lw:decisions")
        assert (made["data"]["verified"], revised["data"]["verified"]) == (True, True)
        assert revised["data"]["previous"]["verified"] is True
        assert [one["verified"] for one in describe_incident(scene.redis, incident)["decisions"]] == [True, True]

    def test_without_a_roster_nobody_is(self, scene: Scene) -> None:
        """A name that nobody checked would count as proved."""
        incident = held(scene, "revise", "kim")
        revise(scene.redis, incident, "adult_tos", by="lea", note="no", deployment="test")
        for event in scene.published("lw:decisions"):
            assert event["data"]["verified"] is False
        assert [one["verified"] for one in describe_incident(scene.redis, incident)["decisions"]] == [False, False]
        assert {(entry["act"], entry["verified"]) for entry in audited(scene.redis)} == {
            ("take", False),
            ("decision", False),
            ("revision", False),
        }

    def test_each_act_is_in_the_audit_log_in_its_own_step(self, scene: Scene, roster: Roster) -> None:
        """Who took and decided an incident could be denied."""
        kim = roster.add("kim")
        incident = held(scene, "revise", kim)
        revise(scene.redis, incident, "adult_tos", by=roster.lead, note="no", deployment="test")
        entries = [entry for entry in audited(scene.redis) if entry["act"] != "role"]
        assert [(entry["act"], entry["by"], entry["verified"], entry["subject"]) for entry in entries] == [
            ("take", "kim", True, incident),
            ("decision", "kim", True, incident),
            ("revision", "lea", True, incident),
        ]
        assert [entry["details"] for entry in entries] == [
            {"others": ""},
            {"outcome": "harmless"},
            {"outcome": "adult_tos", "was": "harmless", "revision": 1},
        ]

    def test_an_incident_that_is_only_shown_again_is_no_second_take(self, scene: Scene) -> None:
        """A desk that asks each second would bury what was done in its own questions."""
        scene.raise_incident("cam-1")
        assert take(scene.redis, "kim") is not None
        assert take(scene.redis, "kim") is not None
        assert take(scene.redis, "bob") is None
        assert [entry["act"] for entry in audited(scene.redis)] == ["take"]

    def test_an_audit_log_that_cannot_be_written_delays_nobody(self, scene: Scene) -> None:
        """A damaged key would keep every escalation from every person."""
        scene.redis.set(AUDIT_UNLINKED.name, "of another kind")
        incident = held(scene, "decide", "kim")
        decide_incident(scene.redis, incident, "adult_tos", by="kim", deployment="test")
        revise(scene.redis, incident, "harmless", by="kim", note="no", deployment="test")
        assert len(scene.published("lw:decisions")) == 2


class TestTimes:
    def test_a_decision_says_when_the_person_took_the_incident(self, scene: Scene) -> None:
        """Nobody could learn how long escalations wait for a person, and how long the person needs."""
        incident = scene.raise_incident("cam-1")
        first, again = take(scene.redis, "kim"), take(scene.redis, "kim")
        assert first is not None
        assert again is not None
        times = json.loads(again.event)["data"]["times"]
        assert first.taken_ms == again.taken_ms, "to be given it again is no other take"
        assert times["raised"] <= times["taken"]
        assert describe_incident(scene.redis, incident)["taken"] == times["taken"]
        decide_incident(scene.redis, incident, "adult_tos", by="kim", deployment="test")
        (made,) = scene.published("lw:decisions")
        assert made["data"]["times"]["taken"] == times["taken"] <= made["data"]["times"]["decided"]
        closed = scene.published("lw:escalations:critical")[-1]["data"]["times"]
        assert (closed["taken"], closed["decided"]) == (times["taken"], made["data"]["times"]["decided"])

    @pytest.mark.parametrize("how", ["never taken", "given back", "another's"])
    def test_a_person_who_did_not_take_it_has_no_such_time(self, scene: Scene, how: str) -> None:
        """The time of another person would count as the decider's."""
        incident = scene.raise_incident("cam-1")
        if how != "never taken":
            take(scene.redis, "ann")
        if how == "given back":
            release(scene.redis, incident, "ann")
        if how == "another's":
            scene.redis.hset(f"lw:incident:{incident}", "lease_until_ms", 1)
        decide_incident(scene.redis, incident, "adult_tos", by="kim", deployment="test")
        (made,) = scene.published("lw:decisions")
        assert "taken" not in made["data"]["times"]
        assert made["data"]["times"]["decided"]

    def test_the_next_holder_has_a_time_of_their_own(self, scene: Scene) -> None:
        """A person's time would begin with the one who held the incident before."""
        incident = scene.raise_incident("cam-1")
        take(scene.redis, "ann")
        scene.redis.hset(f"lw:incident:{incident}", mapping={"lease_until_ms": 1, "taken_ms": 5})
        claim = take(scene.redis, "kim")
        assert claim is not None
        assert claim.taken_ms > 5
