"""Hashes that match many streams at the same time, and quarantined hashes, in a real Valkey."""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from redis import Redis
from scene import Scene

from config.facts import Hit, ListMatch, SampleFacts, StreamFacts
from config.policy.policy import Policy
from models.bank.bank import Bank
from models.bank.delta import BankChange, Delta
from models.bank.entries import Entry, HashKind
from worker.bank.allowance import allow_tags, evaluate
from worker.bank.quarantine import lift_quarantine, set_quarantine
from worker.errors import QueueError
from worker.incidents.commit import Settled, settle
from worker.incidents.hash_flood_groups import group_floods
from worker.incidents.hash_flood_record import publish_due
from worker.incidents.keys import entries_key, groups_owner, incident_key, incidents_key, named_key
from worker.ingest.coverage.totals import totals
from worker.people.actor import Actor, Role
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.queue.open_incidents import open_incidents
from worker.store.redis_client import connect, run_script

CRITICAL = "lw:escalations:critical"
RULES = """
version: "1"
update_seconds: 30
flood: {streams: 4, within_seconds: 600}
rules:
  - {name: known, when: 'matches.exists(m, m.list != "allow")', severity: critical}
  - {name: nude, when: 'score("m/nsfw") > 0.5', severity: high}
  - {name: stop, when: 'matched("stop")', severity: critical, action: interrupt, lists: [stop]}
  - {name: tried, when: 'matched("known")', severity: high, mode: shadow}
"""


class Town:
    """Streams on which listed pictures are shown."""

    def __init__(self, redis: Redis, policy: Policy) -> None:
        self.scene = Scene(redis=redis, policy=policy)
        self.redis = redis

    def hits(self, *entries: str, at: int, purpose: str = "live", score: float = 0.0) -> tuple[Hit, ...]:
        matches = tuple(
            ListMatch(list=name, entry=entry, distance=3 + place)
            for place, (name, _, entry) in enumerate(each.partition("/") for each in entries)
        )
        sample = SampleFacts(
            capture_ms=at, pts_seconds=0.0, reason="keyframe", pdq_quality=90, matches=matches, scores={"m/nsfw": score}
        )
        return self.scene.policy.evaluate(StreamFacts(stream_id="any", purpose=purpose), sample).hits

    def show(
        self, stream: str, *entries: str, at: int = 1000, purpose: str = "live", score: float = 0.0, segment: str = ""
    ) -> Settled:
        """Settles a segment of the stream in which these entries, "list/entry", were matched."""
        hits = self.hits(*entries, at=at, purpose=purpose, score=score)
        return self.scene.settle(stream, hits, purpose=purpose, segment_key=segment or None).outcome

    def events(self, key: str = CRITICAL) -> list[dict[str, Any]]:
        return [event | event["data"] for event in self.scene.published(key)]

    def groups(self) -> list[dict[str, Any]]:
        """Group incidents in the order in which they were raised."""
        return [
            event for event in self.events() if event["rule"] == "hash-flood" and event["type"].endswith("raised.v1")
        ]

    def publish(self) -> list[str]:
        """Publishes due updates; gives the streams named by the newest event of the newest group."""
        for member, _ in self.redis.zscan_iter("lw:floods:due"):
            self.redis.zadd("lw:floods:due", {member: 1})
        publish_due(self.redis, deployment="test", policy=self.scene.policy)
        newest = [event for event in self.events() if event["rule"] == "hash-flood"][-1]
        return list(newest["streams"])

    def take_all(self, by: str) -> dict[str, str]:
        """Takes all available incidents, changed ones that are held first; gives the events by incident."""
        given = {}
        taken = take(self.redis, by)
        while taken is not None:
            given[taken.incident_id] = taken.event
            taken = take(self.redis, by, another=True)
        return given

    def alone(self) -> list[str]:
        """Streams with an incident of their own."""
        return [each.stream_id for each in open_incidents(self.redis) if each.rule != "hash-flood"]

    def muted(self, stream: str, rule: str = "known") -> int:
        text = self.redis.hget(f"lw:incidents:{stream}", f"rule:live:{rule}")
        return 0 if text is None else int(json.loads(str(text))["muted_hits"])

    def quarantine(self, listed: str, until_ms: int = 2**52) -> None:
        note = {"until_ms": until_ms, "by": "lea", "reason": "a station's logo"}
        self.redis.hset("lw:bank:quarantine", listed, json.dumps(note))


@pytest.fixture
def town(redis: Redis, policy_of: Callable[[str], Policy]) -> Town:
    return Town(redis, policy_of(RULES))


def flood(town: Town, *entries: str, streams: int = 4, **more: Any) -> list[str]:
    names = [f"cam-{number}" for number in range(streams)]
    for name in names:
        assert town.show(name, *(entries or ("known/7",)), **more) is Settled.SETTLED
    return names


class TestGroup:
    def test_many_streams_become_one_incident_for_a_lead(self, town: Town) -> None:
        """A raid, or a bad list entry, would bury all other incidents under a thousand of its own."""
        names = flood(town, streams=9)
        (group,) = town.groups()
        assert (group["severity"], group["needs_role"]) == ("critical", "lead")
        assert group["streams"] == names[:4]
        assert group["stream_id"] == group["subject"] == "cam-3"
        assert [(match["list"], match["entry"]) for match in group["matches"]] == [("known", "7")]
        assert town.alone() == names[:3]
        assert town.publish() == names
        (shown,) = [each for each in open_incidents(town.redis) if each.rule == "hash-flood"]
        assert (shown.streams, shown.hits) == (9, 9)

    def test_earlier_incidents_of_single_streams_are_linked(self, town: Town) -> None:
        """A lead would decide on the group while moderators, unaware of it, review the same hash one stream at a
        time."""
        town.show("cam-0", "stop/9", "known/7")
        flood(town, streams=4)
        (group,) = town.groups()
        first = {each.incident_id for each in open_incidents(town.redis) if each.rule != "hash-flood"}
        by_known = {each["incident_id"] for each in town.events() if any(m["entry"] == "7" for m in each["matches"])}
        assert set(group["incidents"]) == (first & by_known) - {group["incident_id"]}
        assert len(group["incidents"]) >= 3
        town.publish()
        newest = [event for event in town.events() if event["rule"] == "hash-flood"][-1]
        assert newest["incidents"] == group["incidents"]

    def test_a_group_counts_once_in_the_daily_totals(self, town: Town) -> None:
        """A report would show twice as many critical incidents as there were."""
        flood(town, "a")
        (day,) = totals(town.redis, days=1)
        raised = [row for row in day.counts["raised"] if row["rule"] == "flood" or "flood" in str(row["rule"])]
        assert [row["count"] for row in raised] == [1]

    def test_operators_are_notified(self, town: Town) -> None:
        """Operators of lists would not learn that one of their lists is at fault."""
        flood(town)
        (copy,) = town.events("lw:operations")
        assert copy["id"] == town.groups()[0]["id"]

    def test_fewer_streams_have_their_own_incidents(self, town: Town) -> None:
        """Incidents of single streams would wait for a lead."""
        names = flood(town, streams=3)
        for name in names * 3:
            town.show(name, "known/7", at=2000)
        assert town.groups() == []
        assert sorted(town.alone()) == names

    def test_without_flood_settings_every_stream_has_its_own_incident(
        self, town: Town, policy_of: Callable[[str], Policy]
    ) -> None:
        """A policy without flood settings would have its incidents grouped."""
        town.scene.policy = policy_of(RULES.replace("flood: {streams: 4, within_seconds: 600}", ""))
        assert flood(town, streams=6) == sorted(town.alone())
        assert town.groups() == []

    def test_another_hash_on_the_same_stream_still_raises(self, town: Town) -> None:
        """Known material would hide behind a hash that floods."""
        flood(town)
        town.show("cam-9", "known/7", "known/8")
        (event,) = [event for event in town.events() if event["stream_id"] == "cam-9"]
        assert [match["entry"] for match in event["matches"]] == ["8"]
        assert "cam-9" in town.publish()

    def test_classifiers_still_raise(self, town: Town) -> None:
        """New material would hide behind a hash that floods."""
        flood(town)
        town.show("cam-9", "known/7", score=0.9)
        assert [event["stream_id"] for event in town.events("lw:escalations:high")] == ["cam-9"]

    def test_near_duplicates_in_a_list_are_one_group(self, town: Town) -> None:
        """One picture would raise as many group incidents as the lists have copies of it."""
        flood(town, "known/7", "known/8", "other/1")
        town.show("cam-8", "other/1")
        town.show("cam-9", "known/8", "known/9")
        (group,) = town.groups()
        assert {(match["list"], match["entry"]) for match in group["matches"]} == {
            ("known", "7"),
            ("known", "8"),
            ("other", "1"),
        }
        assert {"cam-8", "cam-9"} <= set(town.publish())

    def test_updates_are_bounded(self, town: Town) -> None:
        """A lead would get a thousand messages for a thousand streams."""
        flood(town, streams=20)
        assert len([event for event in town.events() if event["rule"] == "hash-flood"]) == 1
        assert len(town.publish()) == 20
        assert town.redis.zcard("lw:floods:due") == 0

    def test_a_flood_interrupts_nothing(self, town: Town) -> None:
        """One bad entry would interrupt every stream that shows a station's logo."""
        flood(town, "stop/1")
        for at in (2000, 3000, 4000):
            flood(town, "stop/1", at=at)
        requests = [event for event in town.events("lw:decisions") if event["type"].startswith("livewarden.interrupt")]
        assert requests == []

    def test_drills_are_counted_separately(self, town: Town) -> None:
        """A drill would turn a few real matches into a flood, or a real flood would be marked as a drill."""
        flood(town, streams=3)
        for number in range(3):
            town.show(f"drill-{number}", "known/7", purpose="drill")
        assert town.groups() == []
        town.show("drill-9", "known/7", purpose="drill")
        (group,) = town.groups()
        assert group["drill"] is True
        assert group["streams"] == ["drill-0", "drill-1", "drill-2", "drill-9"]

    @pytest.mark.parametrize(("listed", "purpose"), [("selftest/1", "drill"), ("known/7", "canary")])
    def test_tests_make_no_flood(self, town: Town, listed: str, purpose: str) -> None:
        """An exercise on many streams would be taken for a flood."""
        flood(town, listed, streams=8, purpose=purpose)
        assert town.groups() == []

    def test_allowed_entries_make_no_flood(self, town: Town) -> None:
        """A station's logo that a lead has allowed would still raise a critical incident."""
        tags = allow_tags("known", 2**52, "lea")
        matches = (
            ListMatch(list="known", entry="7", distance=4),
            ListMatch(list="allow", entry="1", distance=0, tags=tags),
        )
        sample = SampleFacts(capture_ms=1000, pts_seconds=0, reason="cut", pdq_quality=90, matches=matches)
        hits = evaluate(town.scene.policy, StreamFacts(stream_id="any"), sample, now_ms=0).hits
        for number in range(6):
            town.scene.settle(f"cam-{number}", hits)
        assert town.groups() == []
        assert len(town.events("lw:escalations:review")) == 6

    def test_a_damaged_group_does_not_block_others(self, town: Town) -> None:
        """One unreadable group would keep all groups from publishing which streams have joined."""
        flood(town, streams=4)
        ((incident, _),) = town.redis.zrange("lw:open:critical", 0, -1, withscores=True)[-1:]
        states = town.redis.hgetall(incidents_key(groups_owner("live")))
        of_none = {field: text.replace(str(incident), "5a" * 12) for field, text in states.items()}
        town.redis.hset(incidents_key(groups_owner("drill")), mapping=of_none)
        town.redis.zadd("lw:floods:due", {"drill known/7": 0})
        town.show("cam-9", "known/7")
        assert "cam-9" in town.publish()
        assert town.redis.zscore("lw:floods:due", "drill known/7") is None

    def test_shadow_rules_make_no_flood(self, town: Town, policy_of: Callable[[str], Policy]) -> None:
        """A list on trial would call a lead, though its rule calls nobody."""
        town.scene.policy = policy_of(RULES.replace("severity: critical}", "severity: critical, mode: shadow}", 1))
        flood(town, streams=6)
        assert town.events() == []

    def test_old_matches_do_not_count(self, town: Town) -> None:
        """A picture that appears once a day would become a flood after a while."""
        flood(town, streams=3)
        for name in ("cam-0", "cam-1"):
            town.redis.zincrby("lw:flood:live:known/7", -601_000, name)
        town.show("cam-9", "known/7")
        assert town.groups() == []

    def test_a_redelivered_segment_joins_once(self, town: Town) -> None:
        """A worker that dies between joining and settling would cause a second group incident, or count a stream
        twice."""
        flood(town, streams=3)
        for _ in range(2):
            town.show("cam-3", "known/7", segment="s")
        assert len(town.groups()) == 1
        assert town.publish() == ["cam-0", "cam-1", "cam-2", "cam-3"]

    def test_death_between_joining_and_settling(self, town: Town) -> None:
        """A segment whose worker dies there would join the group again and be counted twice, or never be settled."""
        flood(town, streams=3)
        for _ in range(2):
            group_floods(
                town.redis,
                context=town.scene.context("cam-3", "s"),
                hits=town.hits("known/7", at=1000),
                policy=town.scene.policy,
            )
        assert town.show("cam-3", "known/7", segment="s") is Settled.SETTLED
        assert len(town.groups()) == 1
        assert town.publish() == ["cam-0", "cam-1", "cam-2", "cam-3"]
        assert town.muted("cam-3") == 1

    def test_streams_that_join_concurrently(self, town: Town, redis_url: str) -> None:
        """Workers that detect the flood at the same moment would each raise an incident, or lose a stream."""

        def show(number: int) -> None:
            with connect(redis_url) as redis:
                mine = Town(redis, town.scene.policy)
                mine.show(f"cam-{number:02}", "known/7", segment=f"s{number}")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(show, range(40)))
        assert len(town.groups()) == 1
        named = set(town.publish())
        everyone = {f"cam-{number:02}" for number in range(40)}
        assert everyone - named == set()
        assert len(town.alone()) <= 3 + 8  # those that had begun before it was a flood


class TestDecision:
    def test_applies_to_every_stream(self, town: Town) -> None:
        """A platform would act on one stream of many."""
        names = flood(town, streams=6)
        group = town.groups()[0]["incident_id"]
        decide_incident(town.redis, group, "csea_apparent", by="lea", deployment="test")
        request, made = town.events("lw:decisions")
        assert made["streams"] == names
        assert (request["type"], request["streams"]) == ("livewarden.interrupt.requested.v1", names)
        closed = town.events()[-1]
        assert (closed["type"], closed["streams"]) == ("livewarden.escalation.closed.v1", names)
        with pytest.raises(QueueError, match="decided already"):
            decide_incident(town.redis, group, "harmless", by="ann", note="seen", deployment="test")
        assert take(town.redis, "lea") is not None  # the first three had incidents of their own
        assert [each.rule for each in open_incidents(town.redis)] == ["known"] * 3

    def test_covers_its_streams_and_no_others(self, town: Town) -> None:
        """A lead would be called again for decided streams, or never for an undecided one."""
        flood(town)
        decide_incident(
            town.redis, town.groups()[0]["incident_id"], "harmless", by="lea", note="seen", deployment="test"
        )
        flood(town, at=2000)
        assert len(town.groups()) == 1
        town.show("cam-9", "known/7")
        assert [group["streams"] for group in town.groups()] == [["cam-0", "cam-1", "cam-2", "cam-3"], ["cam-9"]]

    def test_holds_while_another_hash_floods(self, town: Town) -> None:
        """Whenever another hash floods, a lead would be called again for what was decided minutes ago."""
        flood(town)
        (first,) = town.groups()
        decide_incident(town.redis, first["incident_id"], "harmless", by="lea", note="seen", deployment="test")
        flood(town, "known/8")
        assert len(town.groups()) == 2
        town.show("cam-0", "known/7", at=2000)
        assert len(town.groups()) == 2

    def test_a_stream_that_joined_after_the_group_was_shown_is_not_decided(self, town: Town) -> None:
        """A lead's decision would cover a stream that was never shown to them."""
        names = flood(town)
        group = town.groups()[0]["incident_id"]
        assert group in town.take_all("lea")
        town.show("cam-8", "known/7")
        town.show("cam-9", "known/7")
        decide_incident(town.redis, group, "harmless", by="lea", note="seen", deployment="test")
        (made,) = town.events("lw:decisions")
        assert (made["streams"], made["streams_total"]) == (names, 4)
        later = town.groups()[-1]
        assert (later["streams"], later["hits"], later["stream_id"]) == (["cam-8", "cam-9"], 2, "cam-8")
        again = take(town.redis, "lea", another=True)
        assert again is not None
        assert (again.incident_id, json.loads(again.event)["data"]["streams"]) == (
            later["incident_id"],
            later["streams"],
        )
        # Decided streams stay decided, and open ones go on.
        flood(town, at=2000)
        town.show("cam-7", "known/7")
        assert town.publish() == ["cam-8", "cam-9", "cam-7"]
        assert len(town.groups()) == 2
        decide_incident(town.redis, later["incident_id"], "harmless", by="lea", note="seen", deployment="test")
        assert town.groups()[-1]["streams"] == ["cam-7"]
        decide_incident(
            town.redis, town.groups()[-1]["incident_id"], "harmless", by="lea", note="seen", deployment="test"
        )
        for name in (*names, "cam-8", "cam-7"):
            town.show(name, "known/7", at=3000)
        assert len(town.groups()) == 3

    def test_a_nearer_match_is_published_immediately_and_bars_the_decision(self, town: Town) -> None:
        """A lead would close an exact match together with the weak ones that were shown."""
        flood(town, "other/1", "known/7")  # known/7 at distance 4
        group = town.groups()[0]["incident_id"]
        town.take_all("lea")
        town.show("cam-2", "known/7")  # at distance 3
        newest = town.events()[-1]
        assert (newest["incident_id"], newest["type"]) == (group, "livewarden.escalation.updated.v1")
        assert {match["entry"]: match["distance"] for match in newest["matches"]} == {"1": 3, "7": 3}
        with pytest.raises(QueueError, match="a nearer match came since: take it again"):
            decide_incident(town.redis, group, "harmless", by="lea", note="seen", deployment="test")
        assert group in town.take_all("lea")
        decide_incident(town.redis, group, "harmless", by="lea", note="seen", deployment="test")
        town.show("cam-2", "known/7", at=2000)
        assert len(town.groups()) == 1

    def test_a_nearer_match_after_the_decision_is_another_incident(self, town: Town) -> None:
        """A decision on weak matches would silence an exact one."""
        flood(town, "other/1", "known/7")
        decide_incident(
            town.redis, town.groups()[0]["incident_id"], "harmless", by="lea", note="seen", deployment="test"
        )
        town.show("cam-2", "known/7")
        assert [group["streams"] for group in town.groups()][1:] == [["cam-2"]]

    def test_the_script_decides_on_no_stream_that_joins_meanwhile(self, town: Town) -> None:
        """A stream that joins between read and write would be decided unseen."""
        flood(town)
        group = town.groups()[0]["incident_id"]
        kept = incidents_key(groups_owner("live"))
        version = str(town.redis.hget(kept, "version"))

        def attempt(streams: int) -> list[str]:
            keys = [incident_key(group), entries_key(group), kept, "lw:decisions", named_key(group)]
            given = [
                group,
                "lea",
                "harmless",
                "",
                5,
                version,
                "rule:known/7",
                "{}",
                "made",
                CRITICAL,
                "closed",
                "a",
                60,
            ]
            return list(run_script(town.redis, "decide", keys=keys, args=[*given, "", 0, "", "", "", "", "", streams]))

        before = attempt(3)
        town.show("cam-9", "known/7")  # joining alone changes no version
        assert str(town.redis.hget(kept, "version")) == version
        assert (before, attempt(4), town.redis.xlen("lw:decisions")) == (["clash"], ["clash"], 0)
        assert attempt(5) == ["decided", 0]

    def test_look_back_findings_are_not_covered(self, town: Town) -> None:
        """A past match of a new hash would count as decided."""
        flood(town)
        decide_incident(
            town.redis, town.groups()[0]["incident_id"], "harmless", by="lea", note="seen", deployment="test"
        )
        town.redis.hset("lw:pending:cam-0", "back", "{}")
        settle(
            town.redis,
            context=replace(town.scene.context("cam-0", "back"), looks_back=True),
            hits=town.hits("known/7", at=500),
            policy=town.scene.policy,
            coverage_increments={},
            stream_fields={},
        )
        assert [group["streams"] for group in town.groups()][1:] == [["cam-0"]]

    def test_while_streams_join(self, town: Town, redis_url: str) -> None:
        """A stream that joins during the decision would be decided unseen, or lost."""
        flood(town)
        group = town.groups()[0]["incident_id"]

        def show(number: int) -> None:
            with connect(redis_url) as redis:
                Town(redis, town.scene.policy).show(f"cam-{number}", "known/7", segment=f"s{number}")

        with ThreadPoolExecutor(4) as pool:
            joining = [pool.submit(show, number) for number in range(10, 50)]
            decide_incident(town.redis, group, "harmless", by="lea", note="seen", deployment="test")
            for each in joining:
                each.result()
        decided = set(town.events("lw:decisions")[0]["streams"])
        later = set(town.publish()) if len(town.groups()) > 1 else set()
        assert decided | later >= {f"cam-{number}" for number in range(10, 50)}
        assert decided & later == set()


class TestQuarantine:
    def test_raises_nothing_and_is_recorded(self, town: Town) -> None:
        """A quarantined hash would go on calling moderators, or its matches would leave no trace."""
        town.quarantine("known/7")
        flood(town, streams=6)
        assert town.events() == []
        assert [town.muted(f"cam-{number}") for number in range(6)] == [1] * 6
        assert town.redis.zcard("lw:flood:live:known/7") == 6

    def test_as_a_lead_sets_and_lifts_it(self, town: Town) -> None:
        """Workers would read another format than the one in which leads write."""
        added = Entry(entry="7/a b", kind=HashKind.PDQ, value=bytes(32))
        bank = Bank(delta=Delta().applied(BankChange.add("known", added, at_ms=1)))
        lead = Actor(name="lea", role=Role.LEAD)
        set_quarantine(town.redis, bank, "known", "7/a b", hours=1, reason="a logo", actor=lead)
        town.show("cam-1", "known/7/a b")
        assert town.events() == []
        lift_quarantine(town.redis, "known", "7/a b", actor=lead)
        town.show("cam-1", "known/7/a b", at=2000)
        assert len(town.events()) == 1

    def test_other_hashes_raise(self, town: Town) -> None:
        """A quarantined hash would hide other matches of the same picture."""
        town.quarantine("known/7")
        town.show("cam-1", "known/7", "known/8")
        (event,) = town.events()
        assert [match["entry"] for match in event["matches"]] == ["8"]

    def test_does_not_count_as_a_frame_of_a_listed_video(self, town: Town, policy_of: Callable[[str], Policy]) -> None:
        """A wall in a listed film, quarantined by a lead, would turn any matching picture into a run of the film."""
        town.scene.policy = policy_of(
            "version: '1'\nrules: [{name: film, when: 'matched(\"known\")', severity: critical,"
            " persistence: {video_frames: 2, within_seconds: 60}}]"
        )
        town.quarantine("known/wall")

        def show(at: int, *entries: str) -> None:
            matches = tuple(ListMatch(list="known", entry=entry, distance=3, video="v") for entry in entries)
            sample = SampleFacts(
                capture_ms=at, pts_seconds=0.0, reason="keyframe", pdq_quality=90, matches=matches, scores={}
            )
            town.scene.settle("cam-1", town.scene.policy.evaluate(StreamFacts(stream_id="cam-1"), sample).hits)

        show(1000, "wall", "1")
        show(2000, "wall", "1")
        assert town.events() == []
        show(3000, "2")
        (event,) = town.events()
        assert {match["entry"] for match in event["matches"]} == {"1", "2"}

    def test_interrupts_nothing(self, town: Town) -> None:
        """A stream would be interrupted because of a hash that a lead has found to be wrong."""
        town.quarantine("stop/1")
        for at in (1000, 2000, 3000):
            town.show("cam-1", "stop/1", "known/8", at=at)
        assert town.events("lw:decisions") == []
        assert [event["rule"] for event in town.events()] == ["known"]

    def test_expires(self, town: Town) -> None:
        """A hash would stay silent because somebody forgot to lift the quarantine."""
        town.quarantine("known/7", until_ms=1)
        town.show("cam-1", "known/7")
        assert len(town.events()) == 1

    def test_works_without_flood_settings(self, town: Town, policy_of: Callable[[str], Policy]) -> None:
        """A policy without flood settings could not quarantine."""
        town.scene.policy = policy_of(RULES.replace("flood: {streams: 4, within_seconds: 600}", ""))
        town.quarantine("known/7")
        town.show("cam-1", "known/7")
        assert town.events() == []

    def test_shadow_rules_go_on_counting(self, town: Town) -> None:
        """A rule on trial would look quieter than it is."""
        town.quarantine("known/7")
        town.show("cam-1", "known/7")
        state = json.loads(str(town.redis.hget("lw:incidents:cam-1", "rule:live:tried")))
        assert state["shadow_hits"] == 1
