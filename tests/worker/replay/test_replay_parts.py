"""Parts of a replay: rows are read as rules saw them, and irrelevant rows are skipped."""

import random
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from logged import row
from replayed import IN_ORDER, RULES, sample

from config.facts import Coverage, ListedHash, ListMatch, SampleFacts, SegmentFacts, Severity, StreamFacts
from config.policy.cel.parsing import read_syntax
from config.policy.policy import Policy
from config.policy.rules import Rule
from sampler.frames import SampleReason, Stretch
from worker.bank.allowance import allow_tags, mark_allowed
from worker.incidents.segment_context import SegmentContext, Versions
from worker.ingest.pending.segments import series_of
from worker.moderation.verdict import CpuSeconds, SampleVerdict, SegmentVerdict
from worker.replay.history import LoggedIncident
from worker.replay.part import PartResult, Replayer, ReplayPeriod
from worker.replay.prefilter import Prefilter
from worker.replay.rows import PART_SCHEMA, settled_segment
from worker.replay.stream_replay import SettledSegment, StreamReplay
from worker.replay.thresholds import only_compares, sample_counts, thresholds
from worker.verdictlog.rows import rows_of, table_of


@given(
    capture_ms=st.integers(1_600_000_000_000, 1_900_000_000_000),
    pts=st.lists(st.floats(0, 20), min_size=1, max_size=4, unique=True),
    score=st.floats(0, 1),
    allowed=st.booleans(),
    signals=st.dictionaries(st.text(max_size=5), st.floats(-10, 10), max_size=2),
)
def test_a_segment_is_read_from_the_log_as_it_was_evaluated(
    capture_ms: int, pts: list[float], score: float, allowed: bool, signals: dict[str, float]
) -> None:
    """A fact that rules see and the log does not keep would be evaluated differently."""
    stream = StreamFacts(
        stream_id="cam-1",
        purpose="drill",
        audience="limited",
        risk_prior=0.3,
        risk=0.7,
        metadata={"a": [1, {"b": "ü"}]},
        signals=signals,
    )
    tags = allow_tags("police", capture_ms + 10**9, "kim")
    found = (
        ListMatch(
            list="police", entry="7", distance=4, video="v", seconds=1.25, variant="mirror", version="1", tags=("t",)
        ),
        *([ListMatch(list="allow", entry="a", distance=0, tags=tags)] if allowed else []),
    )
    samples = [
        SampleVerdict(
            pts_seconds=seconds,
            capture_ms=capture_ms + round(seconds * 1000),
            reason=SampleReason.CUT,
            keyframe=False,
            width=320,
            height=180,
            pdq="ab" * 32,
            pdq_quality=80,
            matches=mark_allowed(found, now_ms=capture_ms),
            scores={"m/nsfw": score},
            deduplicated=False,
            concealed=False,
            classified=seconds < 10,
            flat=None,
            frozen=False,
            hits=(),
        )
        for seconds in sorted(pts)
    ]
    verdict = SegmentVerdict(
        samples=tuple(samples),
        duration_seconds=4.0,
        unmoderated=(Stretch(start_seconds=1.0, end_seconds=2.5, reason="undecodable"),),
        unhashable_seconds=0.5,
        frames_total=100,
        frames_decoded=4,
        max_gap_seconds=2.0,
        cpu_seconds=CpuSeconds(),
        gate=None,
    )
    context = SegmentContext(
        stream=stream, generation=3, segment_key="key", deployment="test", versions=Versions(policy="1")
    )
    silent = frozenset({ListedHash("police", "7")})
    share = verdict.ledger_share(4000)
    rows = rows_of(
        context,
        verdict.samples,
        share,
        epoch=2,
        begin_ms=capture_ms,
        segment_ms=4000,
        settled_ms=capture_ms + 9000,
        settled_after=4,
        silent=silent,
    )
    assert settled_segment(table_of(rows).to_pylist()) == SettledSegment(
        facts=SegmentFacts(
            key="key",
            series=series_of(3, 2),
            capture_ms=capture_ms,
            silent=silent,
            stream=stream,
            samples=tuple(one.facts for one in samples),
            coverage=Coverage.of_ms(
                segment_ms=4000,
                moderated_ms=share.moderated_ms,
                unhashable_ms=share.unhashable_ms,
                failed_ms=sum(share.failed_ms.values()),
            ),
        ),
        generation=3,
        epoch=2,
        settled_ms=capture_ms + 9000,
        silent=silent,
    )


REPORTED = '  - {name: reported, when: \'score("m/nsfw") > 0.3 && signal("reports") >= 3.0\', severity: review}\n'
RISKY = "  - {name: risky, when: 'score(\"m/nsfw\") > 0.15 && stream.risk >= 0.9', severity: review}\n"
NO_SIEVE = "  - {name: none, when: 'sample.capture_ms < 0', severity: review}\n"
"""No two pictures are equal to it, so that all are evaluated."""


EVER = ReplayPeriod(start_ms=0, since_ms=0, until_ms=10**12)


def seen(seed: int) -> pa.Table:
    """Many quiet pictures, and some others, of streams whose segments end in any order."""
    chance = random.Random(seed)
    rows = []
    for stream in range(4):
        busy = chance.sample(range(150), 3)
        for segment in range(150):
            loud = any(abs(segment - one) < 4 for one in busy)
            for number in range(chance.randrange(1, 4)):
                score = chance.choice([0.1, 0.4, 0.7, 0.9, 0.99] if loud else [0.1, 0.15, 0.2])
                matched = ["known"] if loud and chance.random() < 0.1 else []
                begin_ms = 2000 * segment
                rows.append(
                    row(
                        **sample(0.5 * number, score=score if chance.random() < 0.9 else None, lists=matched),
                        stream_id=f"cam-{stream}",
                        epoch=segment // 100,
                        segment_key=f"{stream}-{segment}",
                        capture_ms=begin_ms + 500 * number,
                        risk_prior=0.1 * stream * 2,
                        risk=(segment % 30) / 30,
                        metadata='{"level": "high"}' if stream == 1 else '{"level": 1}',
                        signals=[("reports", float(segment // 40))],
                        segment_ms=2000,
                        moderated_ms=500 if segment % 41 == 0 else 2000,
                        settled_ms=begin_ms + chance.randrange(2000, 9000),
                        settled_after=0,
                    )
                )
    ended = {(one["stream_id"], one["segment_key"]): one["settled_ms"] for one in rows}
    whole = [{**one, "settled_ms": ended[one["stream_id"], one["segment_key"]]} for one in rows]
    return table_of(whole).select(PART_SCHEMA.names)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("rules", [RULES, RULES + IN_ORDER + REPORTED + RISKY])
def test_skipped_pictures_would_have_raised_nothing(policy_of: Callable[[str], Policy], rules: str, seed: int) -> None:
    """A replay would be quick and wrong."""
    table = seen(seed)
    quick = Replayer(policy_of(rules), EVER).part(table, {})
    slow = Replayer(policy_of(rules + NO_SIEVE), EVER).part(table, {})

    def reported(result: PartResult) -> list[tuple[object, ...]]:
        return [
            (one.rule, one.would.incident.incident_id, one.would.severity, one.would.incident.finding)
            for one in result.compared
            if one.would is not None
        ]

    assert reported(quick) == reported(slow)
    assert quick.hits == slow.hits
    assert len({one.rule for one in quick.compared}) == (4 if rules == RULES else 13)
    kept = Prefilter(policy_of(rules)).rows(table)
    assert 0 < kept.sum() < 0.7 * len(kept)


FAILING = """
version: "1"
rules:
  - {name: at-once, when: 'score("m/nsfw") > 0.3 && stream.metadata.level > 3', severity: review}
  - {name: matched, when: 'matched("known") && stream.metadata.level > 3', severity: review}
  - {name: often, when: 'window.count("m/nsfw", 0.8, "12s") >= 3 && stream.metadata.level > 3', severity: review}
  - {name: many, when: 'window.samples("14s") >= 6 && score("m/nsfw") > 0.6 && stream.metadata.level > 3',
     severity: review}
  - {name: of, when: 'score("m/nsfw") > 0.9 && stream.metadata.level > 3', severity: review,
     persistence: {hits: 2, of_samples: 3}}
  - {name: dark, when: 'coverage.moderated_seconds < 1.0 && stream.metadata.level > 3', severity: review}
"""


@pytest.mark.parametrize("seed", range(3))
def test_failing_rules_are_counted_although_much_is_skipped(policy_of: Callable[[str], Policy], seed: int) -> None:
    """A rule that cannot be evaluated would look like one that never holds."""
    table = seen(seed)

    def failed(rules: str) -> dict[str, int]:
        problems = Replayer(policy_of(rules), EVER).part(table, {}).problems
        return {slug: number for slug, number in problems.items() if slug.startswith("rule-failed:")}

    quick = failed(FAILING)
    assert quick == failed(FAILING + NO_SIEVE)
    assert set(quick) == {f"rule-failed:{name}" for name in ("at-once", "matched", "often", "many", "of", "dark")}
    kept = Prefilter(policy_of(FAILING)).rows(table)
    assert kept.sum() < 0.7 * len(kept)


def test_skipped_pictures_count_as_distance_between_others(policy_of: Callable[[str], Policy]) -> None:
    """Two pictures an hour apart would count as two of three in a row."""
    rules = """
version: "1"
rules:
  - {name: of, when: 'score("m/nsfw") > 0.85', severity: review, persistence: {hits: 2, of_samples: 3}}
"""
    loud = (10, 13, 40, 42, 70, 71)
    rows = [
        row(
            **sample(0.0, score=0.9 if number in loud else 0.1),
            epoch=0,
            segment_key=f"{number}",
            capture_ms=2000 * number,
            settled_ms=2000 * number + 3000,
            settled_after=0,
        )
        for number in range(100)
    ]
    table = table_of(rows).select(PART_SCHEMA.names)
    result = Replayer(policy_of(rules), EVER).part(table, {})
    assert [one.would.segment_key for one in result.compared if one.would is not None] == ["42"]
    assert Prefilter(policy_of(rules)).rows(table).sum() < 40


@pytest.mark.parametrize(
    ("condition", "sure"),
    [
        ('score("a/b") >= 0.9', True),
        ('score("a/b") >= 0.8 && stream.risk_prior >= 0.5', True),
        ("true ? score('a') > 0.1 : scores['b'] > 1", True),
        ('!(score("a") < 0.5) || [score("a") > 0.5][0]', True),
        ('matched("score(") && matches.exists(m, m.list == "scores")', True),
        ('window.max("a/b", "5s") > 0.1 && window.samples("60s") >= 10', True),
        ('1.0 - score("a/b") >= 0.5', False),
        ('-score("a") > 0.5', False),
        ('0.5 < score("a")', True),
        ('score("a/b") + 0.1 >= 0.5', False),
        ('score("a/b") >= 0.5 == true', True),
        ('score("a/b") >= 0.25 + 0.25', True),
        ('(score("a/b")) >= 5e-1 ? stream.drill : 0.3 > scores["c"]', True),
        ('score("a") + score("b") >= 0.7', False),
        ("has(scores.a)", False),
        ('score("a") in [0.5]', False),
        ("score(stream.id) > 0.5", False),
        ('score("a") > score("b")', False),
        ("scores.exists(s, scores[s] > 0.5)", False),
        ("size(scores) > 1", False),
        ('window.samples("60s") >= window.count("a/b", 0.5, "5s")', False),
        ('window.max("a/b", "5s") - 0.5 > 0.1', False),
        ('stream.id == "\\" || " || score("a") + 0.1 > 0.5 || stream.id == "\\""', False),
    ],
)
def test_conditions_that_only_compare(condition: str, sure: bool) -> None:
    """Where a score is used otherwise, two scores on the same side of a threshold are not equivalent."""
    assert only_compares(read_syntax(condition)) is sure


@pytest.mark.parametrize(
    ("condition", "lines"),
    [
        ('score("a/b") >= 0.5 + 0.25', [("a/b", 0.75, False)]),
        ('0.52 < score("a/b") || scores["c/d"] <= 0.1', [("a/b", 0.52, False), ("c/d", 0.1, False)]),
        (
            'stream.drill ? score("a/b") > 0.2 : !(window.max("a/b", "5s") < .3)',
            [("a/b", 0.2, False), ("a/b", 0.3, True)],
        ),
        ('window.count("a/b", 0.8, "30s") >= 3', [("a/b", 0.8, True)]),
        ('score("a/b") + score("c/d") >= 0.7', []),
        ('score("a/b") * 2.0 >= 0.7 || score("a/b") > stream.risk_prior', []),
        ('stream.id == "score(\\"a/b\\") > 0.5"', []),
    ],
)
def test_thresholds_are_those_of_rules(condition: str, lines: list[tuple[str, float, bool]]) -> None:
    """The plot of a replay would mark a threshold that no rule has, or lack one."""
    found = thresholds(Rule(name="r", when=condition, severity=Severity.HIGH))
    assert [(one.score, one.value, one.behind) for one in found] == lines


@pytest.mark.parametrize(
    ("condition", "counts"),
    [
        ('window.samples("60s") >= 10', (0, 9, 10, 11)),
        ('9.5 < window.samples("60s") || window.samples("5s") == 0', (0, 1, 8, 9, 10)),
        ('window.samples("60s") > 2 + 2', (0, 3, 4, 5)),
    ],
)
def test_all_comparisons_of_a_number_of_samples(condition: str, counts: tuple[int, ...]) -> None:
    """A replay would skip pictures for which a rule holds once there are enough of them."""
    assert sample_counts(Rule(name="r", when=condition, severity=Severity.HIGH)) == counts


class TestBegin:
    """A replay that starts in the middle of a stream's life."""

    RULES = """
version: "1"
rules:
  - {name: likely, when: 'score("m/nsfw") > 0.9', severity: high, cooldown_seconds: 600}
"""

    def segment(self, number: int) -> SettledSegment:
        facts = SampleFacts(
            capture_ms=1000 * number, pts_seconds=0.0, reason="gap", pdq_quality=90, scores={"m/nsfw": 0.95}
        )
        segment = SegmentFacts(
            key=f"{number}", capture_ms=1000 * number, stream=StreamFacts(stream_id="cam-1"), samples=(facts,)
        )
        return SettledSegment(facts=segment, generation=1, epoch=0, settled_ms=1000 * number)

    def was(self, **more: Any) -> LoggedIncident:
        return LoggedIncident(
            incident_id="a" * 24,
            stream_id="cam-1",
            generation=1,
            rule="likely",
            severity=Severity.HIGH,
            purpose="live",
            raised_ms=10_000,
            at_ms=10_000,
            captured_first_ms=10_000,
            captured_last_ms=10_000,
            captured_ms=10_000,
            **more,
        )

    def raised(self, policy: Policy, was: Sequence[LoggedIncident], *, numbers: Iterable[int]) -> list[str]:
        replay = StreamReplay(policy, "cam-1")
        for number in (1, 2):
            replay.settle(self.segment(number))
        replay.begin(was, 100_000)
        for number in numbers:
            replay.settle(self.segment(number))
        return [one.segment_key for one in replay.raised.values()]

    def test_an_incident_that_a_policy_would_have_raised_before_is_not_open(
        self, policy_of: Callable[[str], Policy]
    ) -> None:
        """A new rule that holds all the time would be in no count."""
        assert self.raised(policy_of(self.RULES), [], numbers=[101, 102]) == ["101"]

    def test_open_incidents_stay_open(self, policy_of: Callable[[str], Policy]) -> None:
        """An incident that was open at the start would be raised again."""
        assert self.raised(policy_of(self.RULES), [self.was()], numbers=[101, 102]) == []

    def test_findings_that_waited_for_a_failed_segment_count(self, policy_of: Callable[[str], Policy]) -> None:
        """An incident raised just after the start, and in the replay just before it, would seem to have moved."""
        policy = policy_of(self.RULES)
        replay = StreamReplay(policy, "cam-1")
        replay.settle(self.segment(1))
        (raised,) = replay.raised
        replay.begin([replace(self.was(), incident_id=raised, raised_ms=100_500)], 100_000)
        replay.settle(self.segment(101))
        assert list(replay.raised) == [raised]

    def test_decided_matches_stay_decided(self, policy_of: Callable[[str], Policy]) -> None:
        """Matches covered by an earlier decision would call moderators again."""
        decided = self.was(decided_ms=90_000, outcome="harmless")
        assert self.raised(policy_of(self.RULES), [decided], numbers=[101, 689, 691]) == ["691"]
