"""A person takes a case: related incidents of one stream, together."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from people_made import Roster
from redis import Redis
from scene import Scene

from config.facts import Severity
from worker.queue.claims import Claim, take
from worker.queue.decisions import decide_incident
from worker.queue.leases import extend, release
from worker.queue.open_incidents import open_incidents
from worker.queue.record import describe_incident
from worker.store.redis_client import connect
from worker.store.redis_keys import AUDIT_UNLINKED


class Case:
    """Incidents of three rules on one stream, and one on another."""

    def __init__(self, scene: Scene) -> None:
        self.redis = scene.redis
        self.review = scene.raise_incident("cam-1", Severity.REVIEW)
        self.critical = scene.raise_incident("cam-1")
        self.high = scene.raise_incident("cam-1", Severity.HIGH)
        self.elsewhere = scene.raise_incident("cam-2", Severity.HIGH)
        self.all = {self.review, self.critical, self.high}

    def holders(self) -> dict[str, str | None]:
        return {one.incident_id: one.holder for one in open_incidents(self.redis)}

    def held_by(self, person: str) -> set[str]:
        return {incident for incident, holder in self.holders().items() if holder == person}


@pytest.fixture
def case(scene: Scene) -> Case:
    return Case(scene)


def took(redis: Redis, by: Any, **options: Any) -> Claim:
    claim = take(redis, by, **options)
    assert claim is not None
    return claim


def test_all_open_incidents_of_a_case_are_taken_together(case: Case) -> None:
    """Three people would be shown the same minute of one stream, each without what the others know."""
    claim = took(case.redis, "kim")
    assert claim.incident_id == case.critical, "the worst is shown first"
    assert [one.incident_id for one in claim.in_case] == [case.high, case.review]
    assert [json.loads(one.event)["data"]["severity"] for one in claim.in_case] == ["high", "review"]
    assert set(claim.others) == {case.high, case.review}
    data = json.loads(claim.event)["data"]
    assert data["others"] == [case.high, case.review]
    assert {describe_incident(case.redis, one)["case_id"] for one in case.all} == {data["case_id"]}
    assert case.held_by("kim") == case.all
    assert took(case.redis, "bob").incident_id == case.elsewhere
    assert take(case.redis, "cyd") is None


def test_the_audit_log_names_all_that_were_taken(case: Case) -> None:
    """Who was shown an incident could be denied, for another of its case was taken."""
    took(case.redis, "kim")
    ((_, fields),) = case.redis.xrange(AUDIT_UNLINKED.name)
    entry = json.loads(fields["entry"])
    assert entry["subject"] == case.critical
    assert entry["details"]["others"].split() == [case.high, case.review]


def test_what_another_person_holds_stays_theirs(case: Case) -> None:
    """A case that is taken would take an incident out of another person's hands."""
    case.redis.hset(f"lw:incident:{case.high}", mapping={"holder": "ann", "lease_until_ms": "99999999999999"})
    claim = took(case.redis, "kim")
    assert [one.incident_id for one in claim.in_case] == [case.review]
    assert case.held_by("ann") == {case.high}


def test_decided_incidents_of_a_case_are_not_taken_again(case: Case) -> None:
    """A decided incident would be held, and be decided on a second time."""
    decide_incident(case.redis, case.high, "adult_tos", by="ann", deployment="test")
    assert [one.incident_id for one in took(case.redis, "kim").in_case] == [case.review]


def test_one_that_came_later_joins_at_the_next_take(scene: Scene, case: Case) -> None:
    """A person who holds a case would not be given what was raised in it since."""
    release(case.redis, case.review, took(case.redis, "kim").incident_id and "kim")
    case.redis.hset(f"lw:incident:{case.critical}", mapping={"holder": "kim", "lease_until_ms": "99999999999999"})
    case.redis.sadd("lw:held:kim", case.critical)
    claim = took(case.redis, "kim")
    assert (claim.incident_id, claim.again) == (case.critical, True)
    assert case.held_by("kim") == case.all


def test_a_lead_s_incident_of_a_case_is_left_to_a_lead(case: Case, redis: Redis) -> None:
    """A moderator would be given what the policy keeps for a lead, as one of a case."""
    roster = Roster(redis)
    case.redis.hset(f"lw:incident:{case.high}", "needs_role", "lead")
    kim = roster.add("kim")
    assert [one.incident_id for one in took(redis, kim).in_case] == [case.review]
    assert took(redis, roster.lead).incident_id in {case.high, case.elsewhere}


def test_a_case_is_given_back_together(case: Case) -> None:
    """Incidents of a case that was given back would wait for the end of a lease."""
    took(case.redis, "kim")
    given = release(case.redis, case.review, "kim")
    assert set(given.others) == {case.critical, case.high}
    assert case.held_by("kim") == set()
    assert [one.incident_id for one in took(case.redis, "bob").in_case] == [case.high, case.review]


def test_a_lease_is_extended_for_the_case(case: Case) -> None:
    """While a person works on one incident of a case, the others would go to other people."""
    took(case.redis, "kim", lease_seconds=5)
    lease = extend(case.redis, case.critical, "kim")
    assert set(lease.others) == {case.high, case.review}
    assert all(one.lease_seconds > 60 for one in open_incidents(case.redis) if one.incident_id in case.all)


def test_each_incident_of_a_case_is_decided_on_its_own(case: Case) -> None:
    """A decision on one rule's finding would count for another's."""
    took(case.redis, "kim")
    decide_incident(case.redis, case.critical, "csea_apparent", by="kim", deployment="test")
    assert case.held_by("kim") == {case.high, case.review}
    assert took(case.redis, "kim").incident_id == case.high, "a case in hand comes before another stream"
    assert took(case.redis, "bob").incident_id == case.elsewhere


def test_what_came_since_the_case_was_taken_is_not_decided_unseen(scene: Scene, case: Case) -> None:
    """A decision would cover worse evidence that came after the person had taken the case."""
    took(case.redis, "kim")
    scene.rise("cam-1", Severity.CRITICAL)
    with pytest.raises(Exception, match="came since: take it again"):
        decide_incident(case.redis, case.review, "adult_tos", by="kim", deployment="test")
    assert took(case.redis, "kim").incident_id == case.review


@pytest.mark.parametrize("damage", ["none", "string", "unknown incidents", "damaged incident"])
def test_a_damaged_case_costs_no_incident(case: Case, damage: str) -> None:
    """A damaged key would keep an escalation from every person."""
    key = f"lw:case:{case.redis.hget(f'lw:incident:{case.critical}', 'case')}"
    if damage == "unknown incidents":
        case.redis.zadd(key, {"0" * 24: 1, "of another kind": 2})
    elif damage == "damaged incident":
        case.redis.delete(f"lw:incident:{case.high}")
        case.redis.set(f"lw:incident:{case.high}", "x")
    else:
        case.redis.delete(key)
        if damage == "string":
            case.redis.set(key, "x")
    claim = took(case.redis, "kim")
    assert claim.incident_id == case.critical
    extend(case.redis, case.critical, "kim")
    decide_incident(case.redis, case.critical, "adult_tos", by="kim", deployment="test")
    took(case.redis, "kim")
    release(case.redis, case.review, "kim") if damage == "unknown incidents" else None


def test_a_canary_s_incidents_are_no_person_s(scene: Scene) -> None:
    """A moderator would be called for a test of the way to them."""
    canary = scene.raise_incident("cam-1", purpose="canary")
    assert scene.redis.hget(f"lw:incident:{canary}", "outcome") is None
    assert take(scene.redis, "kim") is None
    live = scene.raise_incident("cam-1", capture_ms=2000)
    scene.redis.zadd(f"lw:case:{scene.redis.hget(f'lw:incident:{live}', 'case')}", {canary: 0})
    assert took(scene.redis, "kim").in_case == ()


def test_a_case_that_is_given_again_is_held_as_long_as_its_first(case: Case) -> None:
    """A terminal that was lost would get back one incident, and the others of its case would go to other people."""
    took(case.redis, "kim", lease_seconds=5)
    claim = took(case.redis, "kim")
    assert (claim.again, {one.incident_id for one in claim.in_case}) == (True, {case.high, case.review})
    assert all(one.lease_seconds > 60 for one in open_incidents(case.redis) if one.incident_id in case.all)


def test_of_two_who_take_at_once_each_gets_a_whole_case(scene: Scene, redis_url: str) -> None:
    """Two people would each hold half of what belongs together."""
    cases = [
        {scene.raise_incident(f"cam-{number}", severity) for severity in (Severity.CRITICAL, Severity.REVIEW)}
        for number in range(8)
    ]

    def one(number: int) -> frozenset[str]:
        with connect(redis_url) as redis:
            claim = took(redis, f"moderator-{number}")
            return frozenset({claim.incident_id, *(other.incident_id for other in claim.in_case)})

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(8))) == set(map(frozenset, cases))
