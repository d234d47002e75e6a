"""Incidents of one stream that belong together share a case."""

import json
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis
from scene import Scene

from config.facts import Severity, StreamFacts
from config.policy.policy import parse_policy
from worker.incidents.cases import MOST_INCIDENTS, WITHIN_MS, StreamCase, case_for
from worker.incidents.commit import settle
from worker.incidents.findings import Finding, Incident
from worker.incidents.keys import case_key, incident_key, incidents_key
from worker.incidents.segment_context import SegmentContext, Versions
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.store.redis_client import now_ms

T0 = 1_800_000_000_000
CONTEXT = SegmentContext(
    stream=StreamFacts(stream_id="cam-1"),
    generation=1,
    segment_key="s1",
    deployment="test",
    versions=Versions(policy="1"),
)


def incident(case_id: str, raised_ms: int = T0) -> Incident:
    finding = Finding(hits=1, severity=Severity.HIGH, captured_first_ms=T0, captured_last_ms=T0, principles=(5,))
    return Incident(
        incident_id="a" * 24,
        generation=1,
        rule="rule",
        purpose="live",
        finding=finding,
        raised_ms=raised_ms,
        published_ms=T0,
        cooldown_ms=0,
        case_id=case_id,
    )


KNOWN = StreamCase(case_id="case-1", last_ms=T0, incidents=1)


@pytest.mark.parametrize(
    ("after_ms", "same"),
    [(0, True), (WITHIN_MS, True), (WITHIN_MS + 1, False), (-(10**9), True)],
    ids=["together", "within the hour", "another evening", "the clock went back"],
)
def test_an_incident_that_follows_soon_joins_the_case(after_ms: int, same: bool) -> None:
    """A person would judge a broadcaster who is back after a pause without what came before; or with last year."""
    case = case_for(KNOWN, [], CONTEXT, now_ms=T0 + after_ms)
    assert (case.case_id == "case-1") is same


def test_incidents_that_are_open_together_share_a_case_however_old() -> None:
    """Five rules on one stream would be five cases because one of them was raised long ago."""
    late_ms = T0 + 10 * WITHIN_MS
    assert case_for(KNOWN, [incident("case-1")], CONTEXT, now_ms=late_ms).case_id == "case-1"
    assert case_for(None, [incident("case-7"), incident("case-9", T0 + 1)], CONTEXT, now_ms=late_ms).case_id == "case-9"


def test_a_case_is_bounded() -> None:
    """A stream that raises something each hour would be one case that nobody can judge."""
    full = replace(KNOWN, incidents=MOST_INCIDENTS)
    assert case_for(full, [incident("case-1")], CONTEXT, now_ms=T0).case_id != "case-1"
    assert case_for(replace(full, incidents=MOST_INCIDENTS - 1), [], CONTEXT, now_ms=T0).case_id == "case-1"


def test_repeated_work_makes_the_same_case() -> None:
    """A segment that is moderated again would be a second case."""
    one, other = (case_for(None, [], CONTEXT, now_ms=now) for now in (T0, T0 + 5))
    assert one.case_id == other.case_id
    elsewhere = replace(CONTEXT, stream=StreamFacts(stream_id="cam-2"))
    assert case_for(None, [], elsewhere, now_ms=T0).case_id != one.case_id
    drill = replace(CONTEXT, stream=StreamFacts(stream_id="cam-1", purpose="drill"))
    assert case_for(None, [], drill, now_ms=T0).case_id != one.case_id


# On a real Valkey


def data_of(text: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(text)["data"]
    return data


def test_the_rules_of_one_stream_are_one_case(scene: Scene) -> None:
    """A person would be called five times for one scene."""
    first = scene.raise_incident("cam-1")
    other = scene.raise_incident("cam-2")
    second = scene.raise_incident("cam-1", Severity.HIGH)
    cases = [scene.redis.hget(incident_key(one), "case") for one in (first, second, other)]
    assert cases[0] == cases[1] != cases[2]
    assert scene.redis.zrange(case_key(cases[0]), 0, -1) == [first, second]
    assert scene.redis.ttl(case_key(cases[0])) > 0
    taken = take(scene.redis, "ann")
    assert taken is not None
    assert data_of(taken.event)["case_id"] == cases[0]


def test_a_decided_incident_is_the_predecessor_of_the_next(scene: Scene) -> None:
    """A moderator would not know that a colleague decided on the same an hour before."""
    first = scene.raise_incident("cam-1")
    decide_incident(scene.redis, first, "adult_tos", by="ann", deployment="test")
    later_ms = now_ms(scene.redis) + 86_400_000
    (event,) = scene.settle("cam-1", scene.hits([later_ms], lists=["known"])).events
    data = data_of(event.text)
    assert data["predecessor"] == first
    assert scene.redis.hget(incident_key(event.incident_id), "predecessor") == first
    assert "predecessor" not in scene.published("lw:escalations:critical")[0]["data"]


def test_the_incidents_of_a_look_back_belong_to_the_streams_case(scene: Scene) -> None:
    """What a new list finds in the last hour would be judged apart from what is shown now."""
    scene.raise_incident("cam-1", Severity.HIGH)
    context = replace(scene.context("cam-1", "s1~ab"), looks_back=True)
    scene.redis.hset("lw:pending:cam-1", "s1~ab", "{}")
    result = settle(
        scene.redis,
        context=context,
        hits=scene.hits([5], lists=["known"]),
        policy=scene.policy,
        coverage_increments={},
        stream_fields={},
    )
    (event,) = result.events
    (before,) = scene.published("lw:escalations:high")
    assert data_of(event.text)["case_id"] == before["data"]["case_id"]


def test_a_damaged_case_costs_no_incident(scene: Scene) -> None:
    """A finding would not be published because of a key that only groups it."""
    scene.redis.hset(incidents_key("cam-1"), "case:live", "x")
    first = scene.raise_incident("cam-1")
    case = str(scene.redis.hget(incident_key(first), "case"))
    scene.redis.delete(case_key(case))
    scene.redis.set(case_key(case), "x")
    scene.raise_incident("cam-1", Severity.HIGH)
    assert len(scene.published("lw:escalations:high")) == 1


LEAD = """
version: "1"
rules:
  - {name: known, when: 'matched("known")', severity: critical, needs_role: lead}
  - {name: nude, when: 'score("m/nsfw") > 0.5', severity: review, persistence: {hits: 3, within_seconds: 10}}
"""


def test_a_rule_may_need_a_lead(redis: Redis) -> None:
    """What only a lead may judge would be shown to every moderator."""
    scene = Scene(redis=redis, policy=parse_policy(LEAD.encode(), "policy.yaml"))
    for_lead = scene.raise_incident("cam-1")
    for_all = scene.raise_incident("cam-2", Severity.REVIEW)
    assert scene.published("lw:escalations:critical")[0]["data"]["needs_role"] == "lead"
    assert "needs_role" not in scene.published("lw:escalations:review")[0]["data"]
    roles = [redis.hget(incident_key(one), "needs_role") for one in (for_lead, for_all)]
    assert roles == ["lead", "moderator"]


def test_an_open_incident_needs_a_lead_once_its_rule_does(redis: Redis) -> None:
    """A stricter policy would not hold for what is in the queue already; or a laxer one would open it."""
    scene = Scene(redis=redis, policy=parse_policy(LEAD.replace(", needs_role: lead", "").encode(), "policy.yaml"))
    incident_id = scene.raise_incident("cam-1")
    for rules, wanted in ((LEAD, "lead"), (LEAD.replace("needs_role: lead", "needs_role: moderator"), "lead")):
        scene.policy = parse_policy(rules.encode(), "policy.yaml")
        scene.settle("cam-1", scene.hits([7], lists=["known"]))
        assert redis.hget(incident_key(incident_id), "needs_role") == wanted
