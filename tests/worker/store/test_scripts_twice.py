"""Each of our Redis scripts, sent twice, as a client does when a connection breaks before the answer."""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.resources import files
from pathlib import Path

import pytest
from drafted_cases import a_case
from evidence_items import Pair, promote, sealed_item
from kept_evidence import LEAD
from redis import Redis
from redis_between import ScriptsTwice, SentTwice, redis_between
from scene import Scene

from config.policy.policy import load_policy
from config.policy.retention import Retention
from models.bank.delta import BankChange, ChangeOp
from models.bank.entries import Entry, HashKind
from models.pdq.pdq import PdqHash
from worker.audit.chainer import link_waiting
from worker.audit.copies import copy_log
from worker.audit.entries import Act, append_entry, append_once, audit_entry
from worker.bank.changelog import append_changes
from worker.bank.file_records import record_list_files
from worker.bank.keys import CHANGES, FILES_RECORDED, HISTORY, PROPOSED, QUARANTINE, REFRESHED, SNAPSHOT, WRITER
from worker.bank.own_lists import confirm, forget_past
from worker.drafts.agreements import agree, record_package
from worker.events.operations import OPERATIONS
from worker.evidence.item_states import note_place, replace_record
from worker.evidence.record import EvidenceRecord
from worker.health.presence import Presence, ProcessRole, give_sign, present
from worker.health.redis_epoch import EPOCH, EpochWatch, read_epoch
from worker.incidents.coverage_gaps import raise_coverage_gaps
from worker.incidents.decided_risk import note_decisions
from worker.incidents.due_ends import end_incidents
from worker.incidents.imminent_danger import raise_reported_dangers
from worker.incidents.keys import incident_key, incidents_key
from worker.incidents.order_store import read_in_order
from worker.ingest.coverage.ledger import coverage_key, pay_owed
from worker.ingest.messages.batches import Batch, claim, done, give_back
from worker.ingest.messages.keys import COUNTS, LISTS, NEWEST, REFUSED, UNPUBLISHED, published_key
from worker.ingest.pending.fair_queue import Lane, add_waiting, take_waiting
from worker.ingest.pending.segments import Begun, begin, defer, end_trial, pending_key, take_overdue
from worker.ingest.playlist.hls import MediaPlaylist, Segment
from worker.ingest.playlist.outcome import MissedReason
from worker.ingest.playlist.timeline import advance
from worker.ingest.poll.admission import admit
from worker.ingest.poll.due import DuePoll, DueStream, note_error, release, renew, take_due
from worker.ingest.poll.origin_gaps import MISSING, missing_member, publish_origin_gaps
from worker.ingest.poll.schedule import tick
from worker.ingest.poll.slow_polls import hand_over, move_slow
from worker.ingest.registry.kept_risk import risk_key
from worker.ingest.registry.platform_events import MAX_EVENTS, STREAM_EVENTS
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import DUE, DUE_NEW, STREAMS, forget_gone, signals_key, stream_key, unwatch, watch
from worker.ingest.registry.signals import report_signals, stream_facts
from worker.ingest.registry.slow_streams import SlowPart, note_slowness
from worker.lookback.jobs import FOUND, JOBS, JUDGED, LEASE, TOLD, UNCHECKED, WAITING, next_job
from worker.people.actor import Actor, Role
from worker.people.changes import add_person
from worker.people.roster import PEOPLE
from worker.policyload.policy_record import record_policy
from worker.policyload.refusals import report_policy_file
from worker.queue import leases
from worker.queue.aside import unreadable_incidents
from worker.queue.claims import anything_free, take
from worker.queue.decisions import decide_incident
from worker.queue.holds import hand_over as hand_over_case
from worker.queue.holds import hold_case
from worker.queue.looks import LOOKS, SENT, ask, look_key, looking_key
from worker.queue.open_cases import read_open_cases
from worker.queue.revisions import revise
from worker.queue.trimming import TRIMMED
from worker.retention.forget import ErasureWork, begin_erasure, go_on
from worker.retention.holds import hold, holds_on
from worker.retention.holds import release as release_hold
from worker.retention.purge import Purge
from worker.retention.purge_now import purge_all
from worker.retention.reports import record_report
from worker.runtime.event_log import log_published
from worker.runtime.key_retention import give_lives
from worker.runtime.rendition_turns import rendition_turn
from worker.store.age_clock import AGE_CLOCK, AHEAD_MS, age_ms
from worker.store.lease import LEASE_SECONDS, leased
from worker.store.object_store import ObjectStore
from worker.store.redis_client import connect, now_ms, once_key, run_script, with_names
from worker.store.redis_keys import AUDIT, AUDIT_HEAD, AUDIT_UNLINKED, EVIDENCE, RENDITION_REST
from worker.timeline.series import SeriesSegment, SeriesStretch
from worker.timeline.series_store import case_series, lately_key, note_segment
from worker.verdictlog.erasure import erase_stream

PLAYLIST = MediaPlaylist(
    url="http://o.example/live.m3u8",
    target_duration_seconds=2.0,
    segments=tuple(
        Segment(sequence=number, uri=f"http://o.example/{number}.ts", duration_ms=2_000) for number in range(3)
    ),
    ended=False,
)
RULES = """
version: "1"
flood: {streams: 2, within_seconds: 600}
rules:
  - {name: known, when: 'matched("known")', severity: critical}
  - {name: likely, when: 'score("m/nsfw") > 0.9', severity: high}
"""
CHANGES_NOTHING = {"read_cases", "unreadable", "anything_free", "read_in_order", "takes_writes"}
ONLY_EXPIRY = {"give_life", "lease_renew"}
RENEWED = {"renew_due": DUE.encode()}
"""The key whose times a script sets by the clock: sent later, it sets later ones."""
CLOCK_IN_ANSWER = {"intake_claim": 1}
"""Index in the answer of Redis's time, which is for display only."""


def scripts() -> list[str]:
    names = (entry.name for entry in files("worker.store").joinpath("lua").iterdir())
    return sorted(name.removesuffix(".lua") for name in names if name.endswith(".lua"))


SETTLED = SeriesSegment(key="a", begin_ms=1000, stretches=(SeriesStretch(1000, 3000, ""),))


class Stage:
    """Runs a deployment step by step, one script a step, with its preconditions."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self.redis = redis
        self.folder = folder
        rules = folder / "policy.yaml"
        rules.write_text(RULES)
        self.scene = Scene(redis=redis, policy=load_policy(rules))

    def registered(self) -> None:
        watch(self.redis, register("s", PLAYLIST.url, url_template="", legal_basis=""))

    def watch(self) -> None:
        self.poll_failed()
        watch(self.redis, register("s", f"{PLAYLIST.url}?2", purpose="drill", url_template="", legal_basis=""))
        assert self.redis.xlen(OPERATIONS) == 1

    def unwatch(self) -> None:
        self.poll_failed()
        self.redis.hset(stream_key("s"), "missing_since_ms", 0)
        assert unwatch(self.redis, "s")
        assert self.redis.xlen(OPERATIONS) == self.redis.xlen(STREAM_EVENTS) == 1

    def pay_owed(self) -> None:
        self.unwatch()
        assert pay_owed(self.redis) == 1
        ledger = self.redis.hgetall(coverage_key("s"))
        assert int(ledger["elapsed"]) == int(ledger["missed: unreachable"]) > 0

    def forget_gone(self) -> None:
        self.redis.zadd(STREAMS, {"gone": 0})
        self.redis.hset(coverage_key("gone"), "elapsed", 1)
        assert forget_gone(self.redis) == 1

    def give_life(self) -> None:
        self.redis.hset(incidents_key("gone"), "version", 1)
        assert give_lives(self.redis) == 1
        assert self.redis.ttl(incidents_key("gone")) > 0

    def bank_forget(self) -> None:
        self.redis.hset(PROPOSED, "entry", json.dumps({"at_ms": 1}))
        assert forget_past(self.redis) == 1

    def age_clock(self) -> None:
        first = age_ms(self.redis)
        self.redis.hset(AGE_CLOCK, "counts_ms", first - AHEAD_MS - 60_000)
        for _ in range(2):
            assert age_ms(self.redis) == first - AHEAD_MS - 60_000

    def audit_append(self) -> None:
        append_entry(self.redis, audit_entry(Act.VIEW, by="kim", verified=False, subject="5a"))
        assert self.redis.xlen(AUDIT_UNLINKED.name) == 1

    def audit_duplicates(self) -> None:
        entry = audit_entry(Act.DECISION, by="kim", verified=False, subject="5a", duplicates=["5b"])
        append_once(self.redis, entry, act=["5a", "kim"], on=["5b"])
        assert self.redis.xlen(AUDIT_UNLINKED.name) == 1

    def audit_link(self) -> None:
        self.audit_append()
        assert link_waiting(self.redis) == 1
        assert (self.redis.xlen(AUDIT.name), self.redis.xlen(AUDIT_UNLINKED.name)) == (2, 0)

    def audit_copied(self) -> None:
        self.audit_link()
        self.redis.hset(AUDIT_HEAD.name, "copied_id", "0-0")
        assert not copy_log(self.redis, ObjectStore(str(self.folder / "store")), sealed=None, deployment="test")
        assert self.redis.hget(AUDIT_HEAD.name, "copied_n") == "2"
        keys, position = [AUDIT_HEAD.name, AUDIT.name], self.redis.hget(AUDIT_HEAD.name, "copied_id")
        args = [position, "9999999999999-0", '["copied_n", "2"]', 1]
        assert run_script(self.redis, "audit_copied", keys=keys, args=args) == 1
        assert self.redis.xlen(AUDIT.name) == 1

    def drop_acknowledged(self) -> None:
        for _ in range(3):
            self.redis.xadd(OPERATIONS, {"event": "{}"})
        self.redis.xgroup_create(OPERATIONS, "readers", id="0")
        ((_, ((first, _), *_)),) = self.redis.xreadgroup("readers", "one", {OPERATIONS: ">"})
        acknowledged = [entry for entry, _ in self.redis.xrange(OPERATIONS)][1:]
        self.redis.xack(OPERATIONS, "readers", *acknowledged)
        keys = [OPERATIONS, TRIMMED]
        assert run_script(self.redis, "drop_acknowledged", keys=keys, args=["9999999999999-0", 10]) == 2
        assert [entry for entry, _ in self.redis.xrange(OPERATIONS)] == [first]

    def gap_told(self) -> None:
        self.redis.zadd(MISSING, {missing_member(PLAYLIST.url, MissedReason.UNREACHABLE, "s"): 0})
        assert publish_origin_gaps(self.redis, deployment="test") == 1
        assert self.redis.xlen(OPERATIONS) == 1

    def raise_gap(self) -> None:
        self.poll_failed()
        self.redis.hset(stream_key("s"), mapping={"state": "unreachable", "reason": "timeout"})
        since_ms = now_ms(self.redis) - 120_000
        self.redis.hset(stream_key("s"), mapping={"missing_since_ms": since_ms, "gap_since_ms": since_ms})
        self.redis.zadd(MISSING, {missing_member(PLAYLIST.url, MissedReason.UNREACHABLE, "s"): since_ms})
        assert raise_coverage_gaps(self.redis, deployment="test", policy=self.scene.policy) == 1
        assert self.redis.xlen("lw:escalations:review") == 1

    def raise_danger(self) -> None:
        self.registered()
        report_signals(self.redis, "s", {"imminent-danger": 1.0})
        assert raise_reported_dangers(self.redis, deployment="test", policy=self.scene.policy) == 1
        assert self.redis.xlen("lw:escalations:critical") == 1

    def date_signals(self) -> None:
        self.registered()
        self.redis.hset(signals_key("s"), "reports", 2.0)
        stream_facts(self.redis, "s")
        assert self.redis.hexists(stream_key("s"), "signal_times")

    def note_decided(self) -> None:
        incident = self.scene.raise_incident("s")
        decide_incident(self.redis, incident, "csea_apparent", by="kim", note="", deployment="test")
        assert note_decisions(self.redis) == 1
        assert self.redis.hlen(risk_key("s")) == 1

    def events_logged(self) -> None:
        self.scene.raise_incident("s")
        assert log_published(self.redis) == 1

    def presence(self) -> None:
        give_sign(self.redis, Presence.of_this_process(ProcessRole.WORKER))
        assert len(present(self.redis, ProcessRole.WORKER)) == 1

    def epoch(self) -> None:
        epochs = EpochWatch(deployment="test")
        before = epochs.check(self.redis, SNAPSHOT)
        self.redis.delete(EPOCH)
        after = epochs.check(self.redis, SNAPSHOT)
        assert (after.lost, after.bank) == (before.id, "behind")

    def bank_whole(self) -> None:
        self.epoch()
        epoch = read_epoch(self.redis)
        assert epoch is not None
        assert run_script(self.redis, "bank_whole", keys=[EPOCH, REFRESHED], args=[epoch.id, '{"known": 5}'])
        assert self.redis.hget(REFRESHED, "known") == "5"

    def signals(self) -> None:
        self.registered()
        report_signals(self.redis, "s", {"reports": 2.0})

    def end_incidents(self) -> None:
        self.registered()
        self.scene.raise_incident("s")
        unwatch(self.redis, "s")
        assert end_incidents(self.redis, deployment="test") == 1
        assert self.redis.xlen("lw:escalations:critical") == 2

    def take_due(self) -> DuePoll:
        self.registered()
        (taken,) = take_due(self.redis, 50)
        return taken

    def polled(self, taken: DuePoll, playlist: MediaPlaylist = PLAYLIST) -> list[str]:
        stream = DueStream.of(taken)
        return [record.key for record in admit(self.redis, stream, advance(stream.cursor, playlist, now_ms=9_000))]

    def admitted(self) -> list[str]:
        return self.polled(self.take_due())

    def people_change(self) -> None:
        assert add_person(self.redis, "lea", "lead", by=Actor.named("lea")) is not None
        assert self.redis.hlen(PEOPLE) == self.redis.xlen(AUDIT_UNLINKED.name) == 1

    def admit(self) -> None:
        assert len(self.admitted()) == len(PLAYLIST.segments)
        self.redis.zadd(DUE, {"s": 0})
        (taken,) = take_due(self.redis, 50)
        self.polled(taken, replace(PLAYLIST, ended=True))
        assert self.redis.hgetall(coverage_key("s"))["elapsed"] == "6000"
        assert self.redis.xlen(STREAM_EVENTS) == 1

    def poll_failed(self) -> None:
        note_error(self.redis, self.take_due())

    def renew_due(self) -> None:
        taken = self.take_due()
        self.redis.zadd(DUE, {"s": 0})
        renew(self.redis, [taken])
        assert self.redis.zscore(DUE, "s") > 0

    def release_due(self) -> None:
        release(self.redis, [self.take_due()])

    def slowness(self) -> None:
        for slow in (True, False, True):
            note_slowness(self.redis, SlowPart.PLAYLIST, "s", slow=slow, held_seconds=3.0)

    def slow_set_apart(self) -> None:
        self.registered()
        self.slowness()
        assert move_slow(self.redis) == 1

    def slow_hand_over(self) -> None:
        hand_over(self.redis, "s", self.take_due().token)

    def lane_add(self) -> None:
        for key in ("1", "2"):
            add_waiting(self.redis, Lane.SHARED, "s", key)

    def lane_take(self) -> None:
        self.lane_add()
        assert take_waiting(self.redis, Lane.SHARED) == ("s", "1")

    def begin(self) -> Begun:
        first, second, _ = self.admitted()
        begun = begin(self.redis, "s", first, slow_too=False)
        assert isinstance(begun, Begun)
        assert (begun.losses, begun.trial) == (0, True)
        assert begin(self.redis, "s", second, slow_too=False) is None
        return begun

    def rendition_begin(self) -> None:
        with rendition_turn(self.redis, "s") as may_begin:
            assert may_begin

    def rendition_end(self) -> None:
        self.rendition_begin()
        assert not self.redis.exists(RENDITION_REST.of("s"))

    def trial_done(self) -> None:
        self.begin()
        assert len(end_trial(self.redis, "s", quick=True)) == 1

    def defer(self) -> None:
        begun = self.begin()
        defer(self.redis, "s", begun, delay_ms=0, counts="fetches")
        again = begin(self.redis, "s", begun.record.key)
        assert isinstance(again, Begun)
        assert (again.losses, again.fetches) == (0, 1)

    def take_overdue(self) -> None:
        for name in self.admitted():
            self.redis.zadd("lw:overdue", {f"s {name}": 0})
        assert len(take_overdue(self.redis, 2)) == 2

    def tick(self) -> None:
        self.registered()
        self.redis.zadd(DUE_NEW, {"new": 0})
        sent: list[str] = []
        tick(self.redis, waiting_polls=0, send=sent.append)
        assert sent == ["reconcile", "poll"]
        assert not self.redis.exists(DUE_NEW)

    def keep_gate(self) -> None:
        run_script(self.redis, "keep_gate", keys=["lw:gate:s"], args=["1.0", 5, '{"capture_ms": 5}', 300])

    def keep_parameter_sets(self) -> None:
        args = ["3", '{"key":"1.0..3.a","sets":"AAAB"}', 3600]
        run_script(self.redis, "keep_parameter_sets", keys=["lw:parametersets:s"], args=args)

    def settle(self) -> None:
        done = self.scene.settle("s", self.scene.hits([1000], lists=["known"]))
        assert done.outcome == "settled"
        assert self.redis.hgetall("lw:coverage:s") == {"moderated_ms": "4000"}

    def read_in_order(self) -> None:
        self.admitted()
        read_in_order(self.redis, "s", "1.0", purpose="live", but="")

    def flood_touch(self) -> None:
        self.settle()

    def flood_write(self) -> None:
        for stream in ("a", "b", "c"):
            self.scene.settle(stream, self.scene.hits([1000], lists=["known"]))

    def case(self) -> str:
        """Raises two incidents of a case; gives the worse one."""
        self.settle()
        self.scene.settle("s", self.scene.hits([2000], score=0.95))
        assert self.redis.zcard("lw:open:high") == 1
        (incident,) = self.redis.zrange("lw:open:critical", 0, -1)
        return str(incident)

    def take(self) -> None:
        incident = self.case()
        claim = take(self.redis, "mo")
        assert claim is not None
        assert (claim.incident_id, len(claim.in_case)) == (incident, 1)
        assert self.redis.xlen(AUDIT_UNLINKED.name) == 1

    def case_hold(self) -> None:
        self.take()
        ((_, case_id),) = {(case.severity, case.case_id) for case in read_open_cases(self.redis)[0]}
        assert len(hold_case(self.redis, "mo", case_id, until_seconds=3_600, why="a call to the police").incidents) == 2
        hand_over_case(self.redis, "mo", case_id, to="lea", note="")
        (case,) = read_open_cases(self.redis)[0]
        assert (case.handed_to, round(case.lease_seconds, -2)) == ("lea", 3_600)
        assert self.redis.xlen(AUDIT_UNLINKED.name) == 3

    def unreadable(self) -> None:
        self.settle()
        assert unreadable_incidents(self.redis) == []
        self.redis.hset(incident_key(self.redis.zrange("lw:open:critical", 0, 0)[0]), "event", "{")
        assert len(unreadable_incidents(self.redis)) == 1

    def anything_free(self) -> None:
        self.settle()
        assert anything_free(self.redis, "mo")

    def read_cases(self) -> None:
        self.settle()
        cases, _ = read_open_cases(self.redis)
        assert [case.stream_id for case in cases] == ["s"]

    def series_note(self) -> None:
        self.settle()
        note_segment(self.redis, "s", "live", SETTLED)
        assert self.redis.zcard(lately_key("s")) == 1

    def series_write(self) -> None:
        self.series_note()
        (case_id,) = [case.case_id for case in read_open_cases(self.redis)[0]]
        assert case_series(self.redis, case_id).known == {SETTLED.key: SETTLED.begin_ms}

    def decide(self) -> None:
        self.settle()
        (incident,) = self.redis.zrange("lw:open:critical", 0, -1)
        decide_incident(self.redis, str(incident), "harmless", by="mo", note="seen", deployment="test")
        assert self.redis.xlen("lw:decisions") == 1

    def judge(self) -> None:
        self.settle()
        (incident,) = map(str, self.redis.zrange("lw:open:critical", 0, -1))
        first = decide_incident(self.redis, incident, "csea_apparent", by="mo", deployment="test", second=True)
        second = decide_incident(self.redis, incident, "csea_suspected", by="kim", deployment="test")
        assert (getattr(first, "disagreed", None), getattr(second, "disagreed", None)) == (False, True)
        assert self.redis.xlen("lw:decisions") == 1, "one request to interrupt"
        assert self.redis.xlen(AUDIT_UNLINKED.name) == 2

    def release(self) -> None:
        self.take()
        (incident,) = self.redis.zrange("lw:open:critical", 0, -1)
        assert leases.release(self.redis, str(incident), "mo").entries == 1

    def extend(self) -> None:
        self.take()
        (incident,) = self.redis.zrange("lw:open:critical", 0, -1)
        key = incident_key(str(incident))
        self.redis.hset(key, "lease_until_ms", 5)
        leases.extend(self.redis, str(incident), "mo")
        assert int(self.redis.hget(key, "lease_until_ms") or 0) > 5

    def revise(self) -> None:
        self.settle()
        (incident,) = self.redis.zrange("lw:open:critical", 0, -1)
        decide_incident(self.redis, str(incident), "harmless", by="mo", note="seen", deployment="test")
        revise(self.redis, str(incident), "csea_suspected", by="mo", note="seen again", deployment="test")
        assert self.redis.xlen("lw:decisions") == 2

    def lease_take(self) -> None:
        self.lease_release()

    def lease_release(self) -> None:
        with leased(self.redis, WRITER) as lease:
            assert lease is not None
        assert not self.redis.exists(WRITER)

    def takes_writes(self) -> None:
        assert run_script(self.redis, "takes_writes", keys=[], args=[]) == 1

    def lease_renew(self) -> None:
        self.redis.set(WRITER, "t", px=1_000)
        assert run_script(self.redis, "lease_renew", keys=[WRITER], args=["t", round(LEASE_SECONDS * 1000)])
        assert self.redis.pttl(WRITER) > 1_000

    def bank_append(self) -> None:
        entry = Entry(entry="7", kind=HashKind.PDQ, value=bytes(32))
        append_changes(self.redis, [BankChange.add("known", entry, at_ms=1)], by="mo", refreshed="known")
        assert self.redis.hget(SNAPSHOT, "changes") == "1"

    def bank_publish(self) -> None:
        self.bank_append()
        self.redis.set(WRITER, "t")
        run_script(
            self.redis,
            "bank_publish",
            keys=[WRITER, SNAPSHOT, CHANGES, REFRESHED, HISTORY],
            args=["t", "snapshot", "5-0", "known", 1, 1, "", '[["{}", "{}"]]', 10, "mo", "", 1, '{"j": "{}"}'],
        )
        assert self.redis.hmget(SNAPSHOT, "changes", "edition", "previous") == ["0", "1", ""]

    def bank_quarantine(self) -> None:
        for note in ('{"until_ms": 5}', ""):
            args = ["known/7", note, '[["{}", "{}"]]', 10, "lea", ""]
            assert run_script(self.redis, "bank_quarantine", keys=[QUARANTINE, HISTORY], args=args)
        assert self.redis.xlen(HISTORY) == self.redis.xlen(AUDIT_UNLINKED.name) == 2

    def bank_propose(self) -> None:
        pdq = PdqHash(bits=bytes(32), quality=100)
        assert not confirm(self.redis, pdq, actor=Actor(name="mo", role=Role.MODERATOR)).confirmed
        assert self.redis.hlen(PROPOSED) == self.redis.xlen(AUDIT_UNLINKED.name) == 1

    def list_file_recorded(self) -> None:
        assert record_list_files(self.redis, {"own": "v1"}) == 1
        self.redis.zadd(FILES_RECORDED, {"own v1": 1})
        assert record_list_files(self.redis, {}) == 1
        assert self.redis.xlen(AUDIT_UNLINKED.name) == 2

    def bank_stored(self) -> None:
        self.bank_publish()
        assert run_script(self.redis, "bank_stored", keys=[SNAPSHOT], args=["snapshot", "abc"]) == 1

    def lookback_make(self) -> None:
        entry = Entry(entry="7", kind=HashKind.PDQ, value=bytes(32))
        change = BankChange(op=ChangeOp.ADD, list="known", entry=entry, at_ms=1)
        self.redis.rpush(WAITING, change.to_json())
        assert next_job(self.redis, hours=1.0) is not None
        assert self.redis.hlen(JOBS) == 1

    def lookback_found(self) -> None:
        self.redis.set(LEASE, "t")
        group = {"name": "g", "stream": "s", "segment": "k~g", "record": "{}", "facts": "{}"}
        groups = json.dumps([group | {"hits": [{"id": "1", "text": "{}"}]}])
        keys = [LEASE, JOBS, TOLD, FOUND]
        assert run_script(self.redis, "lookback_found", keys=keys, args=["t", "job", "{}", 5, groups]) == 1
        assert self.redis.hlen(pending_key("s")) == 1

    def lookback_checked(self) -> None:
        self.redis.set(LEASE, "t")
        self.redis.zadd(UNCHECKED, {"0/file": 5})
        group = {"name": "g", "stream": "s", "segment": "k~g", "record": "{}", "facts": "{}"}
        groups = json.dumps([group | {"hits": [{"id": "1", "text": "{}"}]}])
        keys = [LEASE, UNCHECKED, JUDGED, TOLD, FOUND]
        assert run_script(self.redis, "lookback_checked", keys=keys, args=["t", "0/file", 5, 9, "{}", 5, groups]) == 1
        assert self.redis.hlen(pending_key("s")) == 1

    def evidence_stored(self) -> None:
        item = sealed_item(Pair())
        promote(self.redis, "i", item)
        assert note_place(self.redis, "i", item.ref, "stored")
        assert not note_place(self.redis, "other", item.ref, "stored")

    def evidence_replace(self) -> None:
        item = sealed_item(Pair())
        promote(self.redis, "i", item)
        record = EvidenceRecord.of(item)
        assert replace_record(self.redis, "i", record.to_json(), record.resealing(item))
        assert not replace_record(self.redis, "i", record.to_json(), replace(record, rule="other"))

    def policy_recorded(self) -> None:
        for version in ("1+a", "2+b"):
            assert record_policy(self.redis, version, file="policy.yaml", worker="host:1")
        assert self.redis.xlen(AUDIT_UNLINKED.name) == 2

    def policy_said(self) -> None:
        for refused in ("5a" * 32, ""):
            assert report_policy_file(
                self.redis,
                worker="host:1",
                file="policy.yaml",
                refused=refused,
                problem="line 3",
                in_force="1",
                deployment="test",
            )
        assert self.redis.xlen(OPERATIONS) == 2

    def tell_once(self) -> None:
        assert run_script(self.redis, "tell_once", keys=["lw:told:x", OPERATIONS], args=[60, "{}"])
        assert self.redis.xlen(OPERATIONS) == 1

    def tell_new(self) -> None:
        for names, told in ((["a"], 1), (["a", "b"], 1), (["b"], 0)):
            answer = run_script(
                self.redis, "tell_new", keys=["lw:policies:unmet:1", OPERATIONS], args=[60, "{}", *names]
            )
            assert answer == told
        assert self.redis.xlen(OPERATIONS) == 2

    def redis_room(self) -> None:
        keys = ["lw:redis:room", OPERATIONS]
        for how in ("scarce", "room"):
            assert run_script(self.redis, "redis_room", keys=keys, args=[how, "{}", 3_600_000]) == 1
        assert self.redis.xlen(OPERATIONS) == 2

    def outcomes_copied(self) -> None:
        keys = ["lw:outcomes:position", "lw:outcomes:recorded"]
        assert run_script(self.redis, "outcomes_copied", keys=keys, args=[5, OPERATIONS, "1-0"]) == 1

    def kept_incident(self) -> str:
        """A harmless incident with one picture on record."""
        incident = self.scene.raise_incident("s")
        self.redis.hset(EVIDENCE.of(incident), "5a", "{}")
        decide_incident(self.redis, incident, "harmless", by="mo", note="seen", deployment="test")
        return incident

    def hold(self) -> None:
        incident = self.kept_incident()
        hold(self.redis, incident, LEAD, reason="court")
        assert len(holds_on(self.redis, incident)) == 1

    def hold_release(self) -> None:
        incident = self.kept_incident()
        hold(self.redis, incident, LEAD, reason="court")
        assert release_hold(self.redis, incident, LEAD, reason="over") == 0

    def report_record(self) -> None:
        incident = self.kept_incident()
        done = record_report(
            self.redis, incident, LEAD, authority="NCMEC", report_id="1", retention=self.scene.policy.retention
        )
        assert not done.again

    def package_agree(self) -> None:
        moderator = Actor(name="mo", role=Role.MODERATOR)
        for actor, people in ((moderator, 1), (LEAD, 2)):
            assert len(agree(self.redis, a_case(), actor, recipient="age1x")) == people

    def package_made(self) -> None:
        self.package_agree()
        record_package(self.redis, a_case(), LEAD, recipient="age1x", manifest_sha256="f" * 64, pictures=1)

    def purge_begin(self) -> None:
        self.purge_end()

    def purge_end(self) -> None:
        incident = self.kept_incident()
        retention = Retention(harmless_hours=1e-9)
        work = Purge(redis=self.redis, store=ObjectStore(str(self.folder / "store")), retention=retention)
        purge_all(work)
        assert not self.redis.exists(EVIDENCE.of(incident))

    def look_ask(self) -> str:
        incident = self.scene.raise_incident("s")
        look_id = ask(self.redis, incident, LEAD)
        assert self.redis.llen(LOOKS) == 1
        return look_id

    def look_begin(self) -> None:
        look_id = self.look_ask()
        incident = str(self.redis.hget(look_key(look_id), "incident"))
        args = ["task", 12_000]
        assert run_script(self.redis, "look_begin", keys=[look_key(look_id)], args=args) == [incident, "s"]

    def look_due(self) -> None:
        look_id = self.look_ask()
        self.redis.hset(look_key(look_id), "sent_ms", 1)
        self.redis.lmove(LOOKS, SENT, "LEFT", "RIGHT")
        assert run_script(self.redis, "look_due", keys=[SENT], args=[2_000, 12_000, 20_000]) == [look_id]

    def look_done(self) -> None:
        look_id = self.look_ask()
        incident = str(self.redis.hget(look_key(look_id), "incident"))
        args = [look_id, incident, "s", "5a", "{}", "", 5]
        assert run_script(self.redis, "look_done", keys=[look_key(look_id), looking_key("s")], args=args) == "done"
        assert self.redis.hlen(EVIDENCE.of(incident)) == 1

    def forget_begin(self) -> None:
        incident = self.scene.raise_incident("s")
        decide_incident(self.redis, incident, "harmless", by="mo", note="seen", deployment="test")
        begin_erasure(self.redis, "s", LEAD, retention=self.scene.policy.retention)

    def forget_incident(self) -> None:
        self.forget_end()

    def forget_end(self) -> None:
        self.forget_begin()
        store = ObjectStore(str(self.folder / "store"))
        work = Purge(redis=self.redis, store=store, retention=self.scene.policy.retention)
        erase_log = partial(erase_stream, self.redis, store)
        assert go_on(ErasureWork(purge=work, erase_log=erase_log, late_ms=0), seconds=60)

    def intake_claim(self) -> Batch:
        self.redis.lpush(LISTS[0], "one", "two", "three")
        batch = claim(self.redis).batch
        assert batch is not None
        assert (batch.claims, batch.tries, len(batch.messages)) == (1, 0, 3)
        return batch

    def intake_done(self) -> None:
        batch = self.intake_claim()
        assert done(self.redis, batch, 1)
        give_back(self.redis, batch, 2)
        again = claim(self.redis).batch
        assert again is not None
        assert (again.messages, again.tries) == ((b"three",), 0)
        assert not done(self.redis, again, 3)
        assert self.redis.hget(COUNTS, "read") == "3"

    def intake_refuse(self) -> None:
        keys = [COUNTS, REFUSED, UNPUBLISHED, NEWEST, STREAM_EVENTS, once_key("batch:0")]
        args = [60, 10, MAX_EVENTS, "json", "{}", "{}"]
        assert run_script(self.redis, "intake_refuse", keys=keys, args=args) == [1]
        assert self.redis.xlen(STREAM_EVENTS) == 1

    def intake_publish(self) -> None:
        self.intake_refuse()
        keys = [published_key("json"), UNPUBLISHED, OPERATIONS]
        assert run_script(self.redis, "intake_publish", keys=keys, args=[60, "json", 1, "{}"]) == 1


@pytest.mark.parametrize("name", scripts())
def test_a_script_sent_twice_acts_and_answers_as_if_sent_once(name: str, redis_url: str, tmp_path: Path):
    """Whatever a lost answer doubles is wrong for good: time, tries, log rows, events, holds."""
    step: Callable[[], object] | None = getattr(Stage, name, None)
    assert step is not None, f"worker/store/lua/{name}.lua: write a step of Stage that runs it"
    twice = ScriptsTwice(redis_url)
    with redis_between(redis_url, twice) as url, connect(url) as client:
        getattr(Stage(client, tmp_path), name)()
    source = with_names(files("worker.store").joinpath("lua", f"{name}.lua").read_text()).encode()
    # A script's flags precede the code that all scripts share.
    flags, own = source.split(b"\n", 1) if source.startswith(b"#!") else (b"", source)
    runs = [sent for sent in twice.sent if own in sent.source and sent.source.startswith(flags)]
    assert runs, "the step does not run it"
    for sent in runs:
        assert not sent.first.startswith(b"-"), sent.first
        assert without_clock(name, sent.second) == without_clock(name, sent.first)
        for state in (sent.twice, sent.after):
            state.pop(RENEWED.get(name, b""), None)
        assert sent.twice == sent.after, difference(sent)
    if name not in CHANGES_NOTHING | ONLY_EXPIRY | RENEWED.keys():
        assert any(sent.after != sent.before for sent in runs), "the step gives it nothing to do"


def without_clock(name: str, answer: bytes) -> list[bytes]:
    lines = answer.split(b"\r\n")
    if name in CLOCK_IN_ANSWER:
        lines[:] = [line for line in lines if not (line.startswith(b":") and len(line) == 14)]
    return lines


def difference(sent: SentTwice) -> str:
    keys = sent.after.keys() | sent.twice.keys()
    return "; ".join(
        f"{key!r}: {sent.after.get(key)} became {sent.twice.get(key)}"
        for key in sorted(keys)
        if sent.after.get(key) != sent.twice.get(key)
    )
