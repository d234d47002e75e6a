"""State in Redis of rules that are evaluated in order: which segment waits for which, and when state expires."""

import json
from dataclasses import dataclass, replace

import pytest
from redis import Redis

from config.facts import ListMatch, SampleFacts, SegmentFacts, StreamFacts
from config.policy.policy import Policy, parse_policy
from worker.bank.keys import QUARANTINE
from worker.incidents.commit import SettleResult, settle
from worker.incidents.keys import windows_key
from worker.incidents.order_store import KEPT_SECONDS, read_in_order
from worker.incidents.segment_context import SegmentContext, Versions
from worker.ingest.pending.segments import SegmentRecord, pending_key, series_of
from worker.queue.decisions import decide_incident
from worker.store.redis_client import now_ms

COUNTED = parse_policy(
    b'version: 1\nrules: [{name: a, severity: high, when: \'window.count("m/a", 0.5, "60s") >= 2\'}]', "policy.yaml"
)
PLAIN = parse_policy(b"version: 1\nrules: [{name: a, severity: high, when: 'score(\"m/a\") > 0.5'}]", "policy.yaml")


@dataclass
class Stream:
    """A stream whose 4 s segments end when the test says so."""

    redis: Redis

    def admit(self, number: int, *, epoch: int = 0) -> str:
        key = f"1.{epoch}.sole.{number}.aa"
        record = SegmentRecord(
            key=key,
            generation=1,
            epoch=epoch,
            sequence=number,
            url="http://origin/x.ts",
            duration_ms=4_000,
            capture_ms=number * 4_000,
            admitted_ms=0,
        )
        self.redis.hset(pending_key("cam"), key, record.to_json())
        return key

    def end(
        self,
        key: str,
        *scores: float,
        policy: Policy = COUNTED,
        matches: tuple[ListMatch, ...] = (),
        classified: bool = True,
    ) -> SettleResult:
        record = SegmentRecord.from_json(str(self.redis.hget(pending_key("cam"), key)))
        facts = StreamFacts(stream_id="cam")
        samples = tuple(
            SampleFacts(
                capture_ms=record.capture_ms + number,
                pts_seconds=number / 1000,
                reason="keyframe",
                pdq_quality=90,
                scores={"m/a": score},
                matches=matches,
                classified=classified,
            )
            for number, score in enumerate(scores)
        )
        return settle(
            self.redis,
            context=SegmentContext(
                stream=facts,
                generation=1,
                segment_key=key,
                deployment="test",
                versions=Versions(policy=policy.version),
            ),
            hits=[hit for sample in samples for hit in policy.evaluate(facts, sample).hits],
            policy=policy,
            coverage_increments={},
            stream_fields={},
            segment=SegmentFacts(
                key=key,
                series=series_of(1, record.epoch),
                capture_ms=record.capture_ms,
                stream=facts,
                samples=samples,
            ),
        )

    @property
    def remembered(self) -> dict[str, str]:
        return self.redis.hgetall(windows_key("cam"))


@pytest.fixture
def stream(redis: Redis) -> Stream:
    return Stream(redis)


def test_a_policy_without_ordered_rules_stores_nothing(stream: Stream) -> None:
    """Every deployment would pay for a feature that few rules need."""
    assert stream.end(stream.admit(0), 0.9, policy=PLAIN).events
    stream.end(stream.admit(1), 0.1, policy=PLAIN)
    assert stream.remembered == {}


def test_state_expires_with_its_epoch_and_after_silence(stream: Stream) -> None:
    """State of streams that ended years ago would fill Redis."""
    old, waiting, new = stream.admit(0), stream.admit(1), stream.admit(9, epoch=1)
    stream.end(waiting, 0.9)
    stream.end(new, 0.9)
    assert stream.remembered.keys() == {"1.0", "1.1"}
    (event,) = stream.end(old, 0.9).events
    assert json.loads(event.text)["data"]["sample"]["segment"] == waiting
    stream.end(stream.admit(10, epoch=1), 0.1)
    assert stream.remembered.keys() == {"1.1"}
    assert 0 < stream.redis.ttl(windows_key("cam")) <= KEPT_SECONDS


def test_look_back_findings_do_not_block_settlement(stream: Stream) -> None:
    """A search that takes minutes would delay all rules over windows."""
    record = SegmentRecord.from_json(str(stream.redis.hget(pending_key("cam"), stream.admit(0))))
    stream.redis.delete(pending_key("cam"))
    looked_back = replace(record, key=f"{record.key}~found", epoch=0, sequence=0, url="", duration_ms=0)
    stream.redis.hset(pending_key("cam"), looked_back.key, looked_back.to_json())
    assert stream.end(stream.admit(1), 0.9, 0.9).events


def test_a_long_backlog_is_evaluated_in_numeric_order(stream: Stream) -> None:
    """After an outage rules would be evaluated in order of names, 10 before 9."""
    keys = [stream.admit(number) for number in range(8, 36)]
    for key in reversed(keys[1:]):
        assert stream.end(key, 0.9).events == ()
    (event,) = stream.end(keys[0], 0.9).events
    assert json.loads(event.text)["data"]["sample"]["segment"] == keys[1]


def test_a_policy_change_does_not_break_waiting_segments(stream: Stream) -> None:
    """A segment would be retried endlessly because a rule that it waited for is gone."""
    first, second = stream.admit(0), stream.admit(1)
    stream.end(second, 0.9, 0.9)
    other = parse_policy(
        b'version: 2\nrules: [{name: b, severity: high, when: \'window.max("m/b", "9s") < 0.1\'}]', "policy.yaml"
    )
    (event,) = stream.end(first, policy=other).events
    assert json.loads(event.text)["data"]["rule"] == "b"
    decide_incident(stream.redis, event.incident_id, outcome="harmless", by="ann", note="seen", deployment="test")
    assert stream.end(stream.admit(2), 0.9, policy=PLAIN).events


def test_quarantined_hashes_count_in_no_window(stream: Stream) -> None:
    """A hash that a lead quarantined because it matches a popular title would still call moderators for each stream."""
    policy = parse_policy(
        b'version: 1\nrules: [{name: a, severity: high, when: \'window.matched("x", "60s") >= 2\'}]', "policy.yaml"
    )
    titles, listed = ListMatch(list="x", entry="title", distance=3), ListMatch(list="x", entry="7", distance=3)
    until_ms = now_ms(stream.redis) + 60_000
    stream.redis.hset(QUARANTINE, "x/title", json.dumps({"until_ms": until_ms}))
    shown = stream.end(stream.admit(0), 0.0, 0.0, 0.0, policy=policy, matches=(titles,))
    assert (shown.events, shown.silent) == ((), {titles.listed})
    (event,) = stream.end(stream.admit(1), 0.0, 0.0, policy=policy, matches=(titles, listed)).events
    assert json.loads(event.text)["data"]["rule"] == "a"


def test_a_quarantined_match_is_left_out_of_other_rules(stream: Stream) -> None:
    """A moderator would be shown a quarantined match."""
    policy = parse_policy(
        b'version: 1\nrules: [{name: a, severity: high, when: \'window.matched("x", "60s") >= 2\'},'
        b" {name: nude, severity: high, when: 'score(\"m/a\") > 0.5'}]",
        "policy.yaml",
    )
    titles = ListMatch(list="x", entry="title", distance=3)
    stream.redis.hset(QUARANTINE, "x/title", json.dumps({"until_ms": now_ms(stream.redis) + 60_000}))
    (event,) = stream.end(stream.admit(0), 0.9, policy=policy, matches=(titles,)).events
    data = json.loads(event.text)["data"]
    assert (data["rule"], data["matches"]) == ("nude", [])


def test_a_waiting_sample_keeps_its_field_names(stream: Stream) -> None:
    """During an upgrade a worker of the version before would count samples that nothing classified."""
    stream.admit(0)
    stream.end(stream.admit(1), 0.1, classified=False)
    (waiting,) = json.loads(stream.remembered["1.0"])["waiting"]
    (sample,) = waiting["samples"]
    assert sample["looked_at"] is False
    assert "classified" not in sample
    (read,) = read_in_order(stream.redis, "cam", "1.0", purpose="live", but="").order.waiting
    assert not read.samples[0].classified


def test_foreign_window_records_are_reset(stream: Stream, caplog: pytest.LogCaptureFixture) -> None:
    """None of the stream's segments would be settled any more, or rules would be evaluated on garbage."""
    stream.redis.hset(windows_key("cam"), "1.0", "nonsense")
    stream.end(stream.admit(0), 0.9)
    assert "windows in Redis begin anew: 'nonsense'" in caplog.text
    stream.end(stream.admit(1), 0.9)
    assert stream.redis.xlen("lw:escalations:high") == 1


def test_a_foreign_key_of_windows_does_not_block_settlement(stream: Stream) -> None:
    """None of the stream's segments would be settled any more."""
    stream.redis.set(windows_key("cam"), "foreign")
    stream.end(stream.admit(0), 0.9)
    stream.end(stream.admit(1), 0.9)
    assert stream.redis.xlen("lw:escalations:high") == 1
