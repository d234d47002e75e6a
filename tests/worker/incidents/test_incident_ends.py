"""Incidents that end without a decision: at the end of their stream, and by silence."""

import json
import os
import random
import signal
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis
from scene import Scene

from config.facts import Hit, ListMatch, Severity, StreamFacts
from config.policy.policy import Policy
from worker.incidents.due_ends import end_incidents
from worker.incidents.events import EventType
from worker.incidents.findings import Incident, IncidentEnd
from worker.incidents.incident_end import LONGEST_CHECK_MS, PurposeWatch, due_end, end, next_check_ms
from worker.incidents.incident_rules import advance
from worker.incidents.keys import ENDS, ESCALATION_KEYS, OPEN_KEYS, entries_key, incident_key, incidents_key
from worker.incidents.rule_state import RuleState, StreamIncidents, decode, encode
from worker.incidents.segment_context import SegmentContext, Versions
from worker.incidents.store import read_incidents
from worker.ingest.pending.segments import SegmentRecord, pending_key
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, DUE_NEW, stream_key, unwatch, watch
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.open_incidents import open_incidents
from worker.queue.record import describe_incident
from worker.store.redis_client import connect, now_ms

SILENCE_MS = 900_000
T0 = 1_800_000_000_000
WATCHED = PurposeWatch(goes_on=True)


def policy_with(**fields: object) -> Policy:
    rule = {"name": "rule", "when": "true", "severity": "high"} | fields
    return Policy.model_validate({"version": "1", "rules": [rule], "silence_seconds": SILENCE_MS / 1000})


POLICY = policy_with()


def context(segment_key: str) -> SegmentContext:
    return SegmentContext(
        stream=StreamFacts(stream_id="cam-1", purpose="live"),
        generation=1,
        segment_key=segment_key,
        deployment="test",
        versions=Versions(policy="1"),
    )


def hit(capture_ms: int, distance: int = 3) -> Hit:
    return Hit(
        rule="rule",
        severity=Severity.HIGH,
        capture_ms=capture_ms,
        pts_seconds=0.0,
        reason="keyframe",
        principles=(5,),
        matches=(ListMatch(list="known", entry="1", distance=distance),),
    )


class Broadcast:
    """A stream whose segments are listed, settled and checked for ends, without Redis."""

    def __init__(self) -> None:
        self.incidents = StreamIncidents()
        self.raised: list[str] = []
        self.ended: list[tuple[int, int | None, Incident]] = []
        """When each ended, and since when a segment waited then."""
        self.waiting: dict[int, Hit | None] = {}
        """Listed segments, by the time when they were listed."""
        self.listed: set[int] = set()
        self.hits = 0

    def add(self, listed_ms: int, found: Hit | None) -> None:
        """Lists a segment, once."""
        if listed_ms not in self.listed:
            self.listed.add(listed_ms)
            self.waiting[listed_ms] = found
            self.hits += found is not None

    @property
    def state(self) -> RuleState:
        return self.incidents.rules.get("rule", RuleState())

    def settle(self, listed_ms: int, now_ms: int) -> None:
        found = self.waiting.pop(listed_ms)
        hits = [] if found is None else [found]
        step = advance(self.incidents, context=context(f"s{listed_ms}"), hits=hits, now_ms=now_ms, policy=POLICY)
        self.incidents = replace(
            self.incidents,
            rules={**self.incidents.rules, **step.rules},
            case=self.incidents.case if step.case is None else step.case,
        )
        self.raised += [event.incident_id for event in step.events if event.type is EventType.RAISED]

    def check(self, now_ms: int, *, goes_on: bool = True) -> None:
        watch = PurposeWatch(goes_on=goes_on, waiting_since_ms=min(self.waiting, default=None))
        if self.state.incident is None:
            return
        reason = due_end(self.state.incident, watch, now_ms=now_ms)
        if reason is None:
            assert now_ms < next_check_ms(self.state.incident, watch, now_ms=now_ms) <= now_ms + LONGEST_CHECK_MS
            return
        after, ended = end(self.state, reason)
        self.incidents = replace(self.incidents, rules={"rule": decode(encode(after))})
        self.ended.append((now_ms, watch.waiting_since_ms, ended))

    def all(self) -> list[Incident]:
        opened = [] if self.state.incident is None else [self.state.incident]
        return [incident for _, _, incident in self.ended] + opened


drawn_ticks = st.lists(
    st.tuples(
        st.integers(1, 2_000_000),  # how much later, in ms
        st.lists(st.tuples(st.integers(0, 50_000), st.booleans(), st.integers(0, 31)), max_size=4),
        st.integers(0, 4),  # how many of the waiting segments are settled
    ),
    max_size=12,
)
Ticks = list[tuple[int, list[tuple[int, bool, int]], int]]


def run(ticks: Ticks, seed: int) -> Broadcast:
    """The stream after each tick listed segments, settled the first of those that wait in an order by `seed`, and
    checked for ends; at last all are settled."""
    broadcast, now, mixer = Broadcast(), T0, random.Random(seed)
    for later_ms, listed, settled in ticks:
        now += later_ms
        for before_ms, is_hit, distance in listed:
            broadcast.add(now - before_ms, hit(now - before_ms, distance) if is_hit else None)
        these = sorted(broadcast.waiting)[:settled]
        mixer.shuffle(these)
        for one in these:
            broadcast.settle(one, now)
        broadcast.check(now)
    rest = sorted(broadcast.waiting)
    mixer.shuffle(rest)
    for one in rest:
        broadcast.settle(one, now)
    broadcast.check(now, goes_on=False)
    return broadcast


@given(ticks=drawn_ticks, seeds=st.tuples(st.integers(), st.integers()))
def test_the_order_of_segments_changes_neither_incidents_nor_their_ends(ticks: Ticks, seeds: tuple[int, int]) -> None:
    """One slow worker would part an incident in two, or join two."""
    one, other = (run(ticks, seed) for seed in seeds)

    def shown(broadcast: Broadcast) -> list[tuple[object, ...]]:
        return [(each.finding, each.hit_ms, each.ended) for each in broadcast.all()]

    assert shown(one) == shown(other)


@given(ticks=drawn_ticks, seed=st.integers())
def test_each_hit_belongs_to_one_incident_and_none_is_withdrawn(ticks: Ticks, seed: int) -> None:
    """A finding would be lost, or be shown twice, because its incident ended at that time."""
    broadcast = run(ticks, seed)
    found = broadcast.all()
    assert sum(incident.finding.hits for incident in found) == broadcast.hits
    assert [incident.incident_id for incident in found] == broadcast.raised
    assert [incident.predecessor for incident in found] == ["", *broadcast.raised[:-1]][: len(found)]
    assert broadcast.state.incident is None, "the stream has ended"
    for at_ms, waiting_since_ms, incident in broadcast.ended:
        if incident.ended == IncidentEnd.SILENCE:
            assert incident.hit_ms + SILENCE_MS <= at_ms
            assert waiting_since_ms is None or waiting_since_ms >= incident.hit_ms + SILENCE_MS


@dataclass(frozen=True, kw_only=True)
class Boundary:
    """A case of `due_end`."""

    why: str
    after_ms: int
    watch: PurposeWatch
    ends: IncidentEnd | None


BOUNDARIES = (
    Boundary(why="just before", after_ms=SILENCE_MS - 1, watch=WATCHED, ends=None),
    Boundary(why="silence", after_ms=SILENCE_MS, watch=WATCHED, ends=IncidentEnd.SILENCE),
    Boundary(
        why="a segment of that time waits",
        after_ms=SILENCE_MS * 2,
        watch=PurposeWatch(goes_on=True, waiting_since_ms=T0 + SILENCE_MS - 1),
        ends=None,
    ),
    Boundary(
        why="later segments wait",
        after_ms=SILENCE_MS * 2,
        watch=PurposeWatch(goes_on=True, waiting_since_ms=T0 + SILENCE_MS),
        ends=IncidentEnd.SILENCE,
    ),
    Boundary(why="stream's end", after_ms=1, watch=PurposeWatch(goes_on=False), ends=IncidentEnd.STREAM_ENDED),
    Boundary(why="its last", after_ms=1, watch=PurposeWatch(goes_on=False, waiting_since_ms=T0), ends=None),
    Boundary(why="the clock went back", after_ms=-(10**9), watch=WATCHED, ends=None),
)


@pytest.mark.parametrize("boundary", BOUNDARIES, ids=lambda boundary: boundary.why)
def test_ends_at_the_stated_time(boundary: Boundary) -> None:
    """An incident would end while hits may still come, or never."""
    broadcast = Broadcast()
    broadcast.waiting[T0] = hit(T0)
    broadcast.settle(T0, T0)
    assert broadcast.state.incident is not None
    assert due_end(broadcast.state.incident, boundary.watch, now_ms=T0 + boundary.after_ms) is boundary.ends


def test_a_gap_in_coverage_knows_no_silence() -> None:
    """The incident of a stream that cannot be seen would end since nothing is seen of it."""
    broadcast = Broadcast()
    broadcast.waiting[T0] = hit(T0)
    broadcast.settle(T0, T0)
    assert broadcast.state.incident is not None
    gap = replace(broadcast.state.incident, silence_ms=0)
    assert due_end(gap, WATCHED, now_ms=T0 + 10**9) is None
    assert due_end(gap, PurposeWatch(goes_on=False), now_ms=T0 + 1) is IncidentEnd.STREAM_ENDED


# On a real Valkey


def watched(scene: Scene, stream_id: str = "cam-1", *, purpose: str = "live") -> None:
    """Registers a stream that is live."""
    url = "http://origin.example/live.m3u8"
    watch(scene.redis, register(stream_id, url, purpose=purpose, url_template="", legal_basis=""))
    scene.redis.hset(stream_key(stream_id), "state", "live")


def silent(redis: Redis, stream_id: str = "cam-1", rule: str = "known", *, ms: int = SILENCE_MS) -> None:
    """Lets time pass since the last hit."""
    field = f"rule:live:{rule}"
    state = decode(str(redis.hget(incidents_key(stream_id), field)))
    assert state.incident is not None
    incident = replace(state.incident, hit_ms=state.incident.hit_ms - ms)
    redis.hset(incidents_key(stream_id), field, encode(replace(state, incident=incident)))
    redis.zincrby(ENDS, -ms, stream_id)


def checked(redis: Redis) -> int:
    """The number of incidents that end when all streams are checked."""
    for stream_id in redis.zrange(ENDS, 0, -1):
        redis.zadd(ENDS, {stream_id: 0})
    return end_incidents(redis, deployment="test")


def events(scene: Scene) -> list[dict[str, Any]]:
    return [event for key in ESCALATION_KEYS for event in scene.published(key)]


def kinds(scene: Scene) -> list[str]:
    return [event["type"].split(".")[2] for event in events(scene)]


def later(scene: Scene) -> int:
    """A capture time that no decision of the test covers."""
    return now_ms(scene.redis) + 86_400_000


class TestStreamEnd:
    def test_the_incident_of_an_unwatched_stream_ends_and_waits_for_a_person(self, scene: Scene) -> None:
        """Incidents of broadcasts that are over would look as if they went on; or vanish before anybody decided."""
        watched(scene)
        incident = scene.raise_incident("cam-1")
        assert checked(scene.redis) == 0, "it is live"
        unwatch(scene.redis, "cam-1")
        assert end_incidents(scene.redis, deployment="test") == 1, "the unwatch put it first"
        raised, closed = events(scene)
        assert (closed["type"], closed["data"]["reason"]) == (EventType.CLOSED, "stream-ended")
        assert (closed["data"]["outcome"], closed["data"]["incident_id"]) == ("undecided", incident)
        assert closed["data"]["times"]["ended"] == closed["data"]["times"]["published"]
        assert closed["data"]["case_id"] == raised["data"]["case_id"]
        assert [one.incident_id for one in open_incidents(scene.redis)] == [incident]
        taken = take(scene.redis, "ann")
        assert taken is not None
        assert json.loads(taken.event)["type"] == EventType.RAISED, "a person judges the findings"
        assert scene.redis.hget(incident_key(incident), "ended") == "stream-ended"
        assert (checked(scene.redis), scene.redis.zcard(ENDS)) == (0, 0)
        record = describe_incident(scene.redis, incident)
        assert (record["end_reason"], record["ended"]) == ("stream-ended", closed["data"]["times"]["ended"])

    def test_a_decision_on_it_closes_it_for_good(self, scene: Scene) -> None:
        """Nobody could ever decide on a broadcast that ended before a moderator was free."""
        watched(scene)
        incident = scene.raise_incident("cam-1")
        unwatch(scene.redis, "cam-1")
        end_incidents(scene.redis, deployment="test")
        take(scene.redis, "ann")
        decide_incident(scene.redis, incident, "csea_apparent", by="ann", deployment="test")
        assert open_incidents(scene.redis) == []
        assert take(scene.redis, "bob") is None
        assert kinds(scene) == ["raised", "closed", "closed"]
        ids = [event["id"] for event in events(scene)]
        assert len(set(ids)) == 3
        assert (events(scene)[2]["data"]["reason"], events(scene)[2]["data"]["outcome"]) == (
            "decision",
            "csea_apparent",
        )
        (made,) = scene.decisions()
        assert made["data"]["case_id"] == events(scene)[0]["data"]["case_id"]
        assert scene.redis.exists(entries_key(incident)) == 0
        assert scene.redis.xpending(ESCALATION_KEYS[0], "moderators")["pending"] == 0

    def test_further_hits_are_a_new_incident_of_the_same_case(self, scene: Scene) -> None:
        """A broadcaster who comes back would be judged as if nothing had been before."""
        watched(scene)
        first = scene.raise_incident("cam-1")
        unwatch(scene.redis, "cam-1")
        end_incidents(scene.redis, deployment="test")
        watched(scene)
        (event,) = scene.settle("cam-1", scene.hits([1], lists=["known"])).events
        data = json.loads(event.text)["data"]
        assert (event.type, data["predecessor"]) == (EventType.RAISED, first)
        assert data["case_id"] == events(scene)[0]["data"]["case_id"]
        both = scene.redis.zrange(f"lw:case:{data['case_id']}", 0, -1)
        assert sorted(both) == sorted([first, event.incident_id])
        assert {one.incident_id for one in open_incidents(scene.redis)} == {first, event.incident_id}

    def test_a_decision_on_it_silences_its_rule_and_leaves_its_successor_open(self, scene: Scene) -> None:
        """A decision on yesterday's broadcast would close what is shown now, or call a person for the same again."""
        watched(scene)
        first = scene.raise_incident("cam-1")
        unwatch(scene.redis, "cam-1")
        end_incidents(scene.redis, deployment="test")
        decide_incident(scene.redis, first, "adult_tos", by="ann", deployment="test")
        watched(scene)
        soon_ms = now_ms(scene.redis) + 59_000  # the rule's cooldown is a minute
        assert scene.settle("cam-1", scene.hits([soon_ms], lists=["known"])).events == ()
        (event,) = scene.settle("cam-1", scene.hits([later(scene)], lists=["known"])).events
        assert json.loads(event.text)["data"]["predecessor"] == first
        second = event.incident_id
        unwatch(scene.redis, "cam-1")
        end_incidents(scene.redis, deployment="test")
        (event,) = scene.settle("cam-1", scene.hits([later(scene)], lists=["known"])).events
        decide_incident(scene.redis, second, "adult_tos", by="ann", deployment="test")
        assert [one.incident_id for one in open_incidents(scene.redis)] == [event.incident_id]

    def test_it_ends_once_its_last_segments_are_moderated(self, scene: Scene) -> None:
        """The last seconds of a broadcast would be an incident of their own."""
        watched(scene)
        incident = scene.raise_incident("cam-1")
        scene.redis.hset(pending_key("cam-1"), "1.0.sole.7.aa", pending("1.0.sole.7.aa", now_ms(scene.redis)))
        scene.redis.hset(pending_key("cam-1"), "1.0.sole.3.aa~0a1b", "{}")  # a find of a look-back
        unwatch(scene.redis, "cam-1")
        assert checked(scene.redis) == 0
        result = scene.settle_pending("cam-1", "1.0.sole.7.aa", scene.hits([5], lists=["known"]))
        assert {event.incident_id for event in result.events} <= {incident}
        assert checked(scene.redis) == 1
        state = read_incidents(scene.redis, "cam-1", "live").rules["known"]
        assert (state.incident, state.last_closed) == (None, incident)

    def test_a_playlist_that_ends_is_final_once_it_is_polled_no_more(self, scene: Scene) -> None:
        """A broadcaster who ends the playlist every ten seconds would fill the queue with incidents."""
        watched(scene)
        scene.raise_incident("cam-1")
        scene.redis.hset(stream_key("cam-1"), "state", "ended")
        assert checked(scene.redis) == 0, "the broadcaster may come back"
        scene.redis.zrem(DUE, "cam-1")
        scene.redis.zrem(DUE_NEW, "cam-1")
        assert checked(scene.redis) == 1

    def test_a_watch_for_another_purpose_is_another_stream(self, scene: Scene) -> None:
        """What a drill shows would go into the incident of the live broadcast before."""
        watched(scene)
        scene.raise_incident("cam-1")
        watched(scene, purpose="drill")
        assert end_incidents(scene.redis, deployment="test") == 1
        watched(scene, purpose="drill")
        scene.raise_incident("cam-1", purpose="drill")
        assert checked(scene.redis) == 0

    def test_a_canary_ends_too(self, scene: Scene) -> None:
        """The next canary would be an update of the last one, and prove nothing."""
        watched(scene, purpose="canary")
        scene.raise_incident("cam-1", purpose="canary")
        unwatch(scene.redis, "cam-1")
        assert end_incidents(scene.redis, deployment="test") == 1
        ours = [event for event in scene.published("lw:operations") if "escalation" in event["type"]]
        assert [event["type"] for event in ours] == [EventType.RAISED, EventType.CLOSED]
        assert events(scene) == []

    def test_an_incident_that_was_decided_meanwhile_does_not_end(self, scene: Scene) -> None:
        """Other review tools would show a decided incident as undecided."""
        watched(scene)
        incident = scene.raise_incident("cam-1")
        unwatch(scene.redis, "cam-1")
        decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")
        assert checked(scene.redis) == 0
        assert kinds(scene) == ["raised", "closed"]

    def test_a_damaged_record_costs_no_other_stream(self, scene: Scene) -> None:
        """One stream's damaged data would keep every incident open."""
        for stream_id in ("cam-1", "cam-2"):
            watched(scene, stream_id)
            scene.raise_incident(stream_id)
            unwatch(scene.redis, stream_id)
        scene.redis.hset(incidents_key("cam-1"), "version", "x")
        assert end_incidents(scene.redis, deployment="test") == 1
        assert scene.redis.zrange(ENDS, 0, -1) == ["cam-1"]
        assert int(scene.redis.zscore(ENDS, "cam-1")) > now_ms(scene.redis)


class TestSilence:
    def test_an_incident_without_hits_ends_and_the_next_hit_is_a_new_one(self, scene: Scene) -> None:
        """An hour-long incident would mix what was judged long ago with what is shown now."""
        watched(scene)
        first = scene.raise_incident("cam-1")
        assert end_incidents(scene.redis, deployment="test") == 0
        silent(scene.redis)
        assert end_incidents(scene.redis, deployment="test") == 1
        assert events(scene)[-1]["data"]["reason"] == "silence"
        (event,) = scene.settle("cam-1", scene.hits([2], lists=["known"])).events
        assert json.loads(event.text)["data"]["predecessor"] == first

    def test_other_rules_of_the_stream_go_on(self, scene: Scene) -> None:
        """An incident that still has hits would end with another one of its stream."""
        watched(scene)
        scene.raise_incident("cam-1")
        high = scene.raise_incident("cam-1", Severity.HIGH)
        silent(scene.redis)
        assert checked(scene.redis) == 1
        rules = read_incidents(scene.redis, "cam-1", "live").rules
        assert rules["known"].incident is None
        assert rules["likely"].incident is not None
        assert rules["likely"].incident.incident_id == high
        silent(scene.redis, rule="likely")
        assert checked(scene.redis) == 1

    def test_hits_put_it_off(self, scene: Scene) -> None:
        """An incident that goes on would end by the time of its first hit."""
        watched(scene)
        scene.raise_incident("cam-1")
        silent(scene.redis)
        scene.settle("cam-1", scene.hits([2], lists=["known"]))
        assert end_incidents(scene.redis, deployment="test") == 0
        assert int(scene.redis.zscore(ENDS, "cam-1")) > now_ms(scene.redis)

    def test_a_holder_is_not_disturbed(self, scene: Scene) -> None:
        """The person who judges it would be refused, or given it again as changed."""
        watched(scene)
        incident = scene.raise_incident("cam-1")
        taken = take(scene.redis, "ann")
        silent(scene.redis)
        assert end_incidents(scene.redis, deployment="test") == 1
        again = take(scene.redis, "ann")
        assert taken is not None
        assert again is not None
        assert json.loads(again.event)["data"]["hits"] == json.loads(taken.event)["data"]["hits"]
        decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")


OF_THIS_VERSION = ("case_id", "predecessor", "needs_role", "hit_ms", "silence_ms", "ended")


def test_an_older_versions_incident_gets_a_case_when_it_is_written(scene: Scene) -> None:
    """After an upgrade the open incidents could not be read, or would stay without a case."""
    watched(scene)
    incident = scene.raise_incident("cam-1", Severity.REVIEW)
    key, field = incidents_key("cam-1"), "rule:live:nude"
    state = json.loads(scene.redis.hget(key, field))
    for name in OF_THIS_VERSION:
        del state["incident"][name]
    del state["last_closed"]
    scene.redis.hset(key, field, json.dumps(state))
    scene.redis.hdel(key, "case:live")
    scene.redis.delete(ENDS)
    scene.rise("cam-1", Severity.HIGH)
    updated = events(scene)[0]
    assert (updated["data"]["incident_id"], updated["type"]) == (incident, EventType.UPDATED)
    case_id = updated["data"]["case_id"]
    assert scene.redis.hget(incident_key(incident), "case") == case_id
    assert scene.redis.zrange(f"lw:case:{case_id}", 0, -1) == [incident]
    unwatch(scene.redis, "cam-1")
    assert end_incidents(scene.redis, deployment="test") == 1
    decide_incident(scene.redis, incident, "adult_tos", by="ann", deployment="test")


def pending(key: str, admitted_ms: int) -> str:
    return SegmentRecord(
        key=key,
        generation=1,
        epoch=0,
        sequence=7,
        url="",
        duration_ms=4_000,
        capture_ms=admitted_ms,
        admitted_ms=admitted_ms,
        purpose="live",
    ).to_json()


KILLS = 25
STREAMS = 40


def test_each_end_is_published_once_whoever_is_killed(scene: Scene, redis_url: str) -> None:
    """A killed worker would leave an ended incident open for good, or publish its end twice."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    incidents = set()
    for number in range(STREAMS):
        watched(scene, f"cam-{number}")
        incidents.add(scene.raise_incident(f"cam-{number}"))
        unwatch(scene.redis, f"cam-{number}")
    for number in range(KILLS):
        command = [sys.executable, __file__, redis_url]
        enders = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) for _ in range(2)]
        for ender in enders:
            assert ender.stdout is not None
            ender.stdout.read(1 + number % 3)  # that many streams are done: in the middle of the next one
            ender.send_signal(signal.SIGKILL)
            ender.wait(60)
            ender.stdout.close()
        if scene.redis.zcard(ENDS) == 0:
            break
    while scene.redis.zcard(ENDS):
        checked(scene.redis)
    closed = [event["data"]["incident_id"] for event in events(scene) if event["type"] == EventType.CLOSED]
    assert sorted(closed) == sorted(incidents)
    assert all(scene.redis.hget(incident_key(one), "ended") == "stream-ended" for one in incidents)
    assert sum(scene.redis.zcard(key) for key in OPEN_KEYS) == STREAMS


def serve(url: str) -> None:
    """Main loop of an ender: checks streams one by one, and writes a letter after each."""
    with connect(url) as redis:
        for stream_id in redis.zrange(ENDS, 0, -1):
            redis.zadd(ENDS, {stream_id: 0}, xx=True)
            end_incidents(redis, deployment="test")
            sys.stdout.write(".")
            sys.stdout.flush()


if __name__ == "__main__":
    serve(sys.argv[1])
