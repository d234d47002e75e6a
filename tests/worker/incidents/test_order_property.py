"""Rules that are evaluated in order, on a real Valkey: the order in which segments end does not change what is
raised."""

import json
import pickle
import random
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from forked_processes import Forked, forking
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from config.facts import Coverage, ListMatch, SampleFacts, SegmentFacts, StreamFacts
from config.policy.evaluation import OrderState, judge
from config.policy.policy import Policy, parse_policy
from worker.errors import QueueError
from worker.incidents.commit import settle
from worker.incidents.incident_rules import advance
from worker.incidents.keys import OPEN_KEYS, windows_key
from worker.incidents.rule_state import StreamIncidents
from worker.incidents.segment_context import SegmentContext, Versions
from worker.ingest.pending.segments import SegmentRecord, pending_key
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.store.redis_client import connect

PROCESSES = 8
SEGMENT_MS = 4_000
SEGMENTS = 20
"""80 s of a stream: within the lateness for which the order must not matter."""

RULES = b"""
version: "1"
rules:
  - {name: often, when: 'window.count("m/nsfw", 0.5, "12s") >= 3', severity: review}
  - {name: mostly, when: 'window.samples("30s") >= 4 && window.fraction("m/nsfw", 0.5, "30s") > 0.6', severity: review}
  - {name: peak, when: 'window.max("m/nsfw", "10 samples") > 0.95 && score("m/nsfw") < 0.2', severity: high}
  - {name: some, when: 'score("m/nsfw") >= 0.5', severity: high, persistence: {hits: 3, of_samples: 4}}
  - {name: listed, when: 'window.matched("known", "20s") >= 2', severity: high, persistence: {hits: 2, of_samples: 9}}
  - {name: unseen, when: 'coverage.failed_seconds > 1.0 && score("m/nsfw") > 0.4', severity: review}
  - {name: alone, when: 'matched("known")', severity: critical}
  - {name: thrice, when: 'score("m/nsfw") > 0.9', severity: high, persistence: {hits: 3, within_seconds: 20}}
  - {name: tried, when: 'window.count("m/nsfw", 0.1, "12s") >= 1', severity: high, mode: shadow}
"""
POLICY = parse_policy(RULES, "policy.yaml")
AT_ONCE = {"alone", "thrice"}
"""Rules evaluated as segments end: whether they raise must not depend on the order, but the segment that triggers them
does."""


@dataclass(frozen=True)
class Drawn:
    """One segment and what was seen in it; None: nothing was seen."""

    samples: tuple[tuple[int, float, tuple[str, int] | None], ...] | None
    """Time, score, and the matched entry with its distance."""
    failed_seconds: float = 0.0


drawn_samples = st.lists(
    st.tuples(
        st.integers(0, SEGMENT_MS + 2_000),
        st.sampled_from([0.0, 0.3, 0.6, 0.97]),
        st.sampled_from([None, None, ("7", 4), ("7", 0), ("8", 20)]),
    ),
    max_size=3,
    unique_by=lambda sample: sample[0],
)
drawn_segments = st.lists(
    st.one_of(
        st.builds(Drawn, drawn_samples.map(tuple), st.sampled_from([0.0, 1.5])),
        st.just(Drawn(None)),
    ),
    min_size=2,
    max_size=SEGMENTS,
)


def facts(stream_id: str, number: int, drawn: Drawn) -> SegmentFacts:
    capture_ms = 1_700_000_000_000 + number * SEGMENT_MS
    return SegmentFacts(
        key=f"1.0.sole.{number}.aa",
        series="1.0",
        capture_ms=capture_ms,
        stream=StreamFacts(stream_id=stream_id, purpose="live"),
        samples=tuple(
            SampleFacts(
                capture_ms=capture_ms + after_ms,
                pts_seconds=after_ms / 1000,
                reason="keyframe",
                pdq_quality=90,
                matches=() if listed is None else (ListMatch(list="known", entry=listed[0], distance=listed[1]),),
                scores={"m/nsfw": score},
            )
            for after_ms, score, listed in sorted(drawn.samples or ())
        ),
        coverage=Coverage(segment_seconds=4.0, failed_seconds=drawn.failed_seconds),
    )


def context(segment: SegmentFacts) -> SegmentContext:
    return SegmentContext(
        stream=segment.stream,
        generation=1,
        segment_key=segment.key,
        deployment="test",
        versions=Versions(policy=POLICY.version),
    )


def pend(redis: Redis, segments: Sequence[SegmentFacts]) -> None:
    for segment in segments:
        record = SegmentRecord(
            key=segment.key,
            generation=1,
            epoch=0,
            sequence=0,
            url="http://origin/x.ts",
            duration_ms=SEGMENT_MS,
            capture_ms=segment.capture_ms,
            admitted_ms=segment.capture_ms,
        )
        redis.hset(pending_key(segment.stream.stream_id), segment.key, record.to_json())


def end(redis: Redis, segment: SegmentFacts, policy: Policy = POLICY) -> None:
    settle(
        redis,
        context=context(segment),
        hits=[hit for sample in segment.samples for hit in policy.evaluate(segment.stream, sample).hits],
        policy=policy,
        coverage_increments={"moderated": 1},
        stream_fields={},
        segment=segment,
    )


def raised(redis: Redis) -> set[tuple[str, ...]]:
    """The raised incidents of rules whose findings must not depend on the order."""
    found = set()
    for key in ("lw:escalations:critical", "lw:escalations:high", "lw:escalations:review"):
        for _, fields in redis.xrange(key):
            found.add(named(json.loads(fields["event"])))
    return found - {None}


def named(event: dict) -> tuple[str, ...] | None:
    data = event["data"]
    if event["type"] != "livewarden.escalation.raised.v1":
        return None
    if data["rule"] in AT_ONCE:
        return (data["rule"],)
    shown = data["sample"], data["hits"], data["scores"], data["matches"], data["principles"]
    return (data["rule"], data["incident_id"], data["severity"], json.dumps(shown))


def expected(segments: Sequence[SegmentFacts]) -> set[tuple[str, ...]]:
    """The expected incidents, computed in order, in one process, without Redis."""
    order, incidents = OrderState(), StreamIncidents()
    found = set()
    for segment in segments:
        judged = judge(POLICY, order, segment)
        order = judged.state
        step = advance(incidents, context=context(segment), hits=judged.hits, now_ms=1, policy=POLICY)
        incidents = replace(incidents, rules={**incidents.rules, **step.rules})
        found |= {named(json.loads(event.text)) for event in step.events}
    return found - {None}


class Ender:
    """A process that ends its segments one after another."""

    def __init__(self, process: Forked) -> None:
        self._process = process

    def begin(self, segments: Sequence[SegmentFacts]) -> None:
        pickle.dump(list(segments), self._process.stdin)
        self._process.stdin.flush()

    def wait(self) -> None:
        assert self._process.stdout.readline() == b"done\n"

    def end(self) -> None:
        self._process.stdin.close()
        assert self._process.wait() == 0


@pytest.fixture
def processes(redis_url: str) -> Iterator[list[Ender]]:
    with forking(f"import runpy; main = runpy.run_path({__file__!r})['serve']") as fork:
        enders = [Ender(fork(redis_url)) for _ in range(PROCESSES)]
        yield enders
        for ender in enders:
            ender.end()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=drawn_segments, seed=st.integers(0, 2**32))
def test_the_same_is_raised_in_whatever_order_processes_end_segments(
    redis: Redis, processes: list[Ender], drawn: list[Drawn], seed: int
) -> None:
    """A slow worker would change whether a moderator is called, and about what."""
    redis.flushdb()
    segments = [facts("cam", number, one) for number, one in enumerate(drawn)]
    pend(redis, segments)
    mixer = random.Random(seed)
    work = segments + mixer.choices(segments, k=len(segments) // 3)
    mixer.shuffle(work)
    for number, process in enumerate(processes):
        process.begin(work[number::PROCESSES])
    for process in processes:
        process.wait()
    assert raised(redis) == expected(segments)
    assert redis.hlen(pending_key("cam")) == 0
    kept = redis.hget(windows_key("cam"), "1.0")
    assert kept is None or '"waiting"' not in kept
    assert redis.hget("lw:coverage:cam", "moderated") == str(len(segments))


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(drawn=drawn_segments, seed=st.integers(0, 2**32))
def test_every_match_is_shown_to_somebody_despite_concurrent_decisions(
    redis: Redis, processes: list[Ender], drawn: list[Drawn], seed: int
) -> None:
    """A decision on another match would close a match because its segment ended a moment too late."""
    redis.flushdb()
    segments = [facts("cam", number, one) for number, one in enumerate(drawn)]
    pend(redis, segments)
    work = list(segments)
    random.Random(seed).shuffle(work)
    shown: dict[str, list[dict]] = {}
    decided = 0
    for number, process in enumerate(processes):
        process.begin(work[number::PROCESSES])
    for process in (None, *processes):
        if process is not None:
            process.wait()
        while (taken := take(redis, "ann")) is not None:
            shown.setdefault(taken.incident_id, []).append(json.loads(taken.event)["data"])
            with suppress(QueueError):  # a worse match arrived: it is given again
                decide_incident(redis, taken.incident_id, "harmless", by="ann", note="seen", deployment="test")
                decided += 1
    assert (decided > 0) == bool(raised(redis))
    assert not any(redis.zcard(key) for key in OPEN_KEYS)
    seen = [match for segment in segments for sample in segment.samples for match in sample.matches]
    named = [
        match for events in shown.values() for data in events if data["rule"] == "alone" for match in data["matches"]
    ]
    for match in seen:
        assert any(one["entry"] == match.entry and one["distance"] <= match.distance for one in named)
    # Each match worse than the decided one has exactly one incident.
    assert sum(events[0]["rule"] == "alone" for events in shown.values()) <= 3


def serve(url: str) -> None:
    """Main loop of an `Ender` process: ends segments until its queue is closed."""
    with connect(url) as redis:
        while True:
            try:
                segments = pickle.load(sys.stdin.buffer)
            except EOFError:
                return
            for segment in segments:
                end(redis, segment)
            sys.stdout.write("done\n")
            sys.stdout.flush()
