"""Evaluation of rules: what they see of earlier samples, and when they are evaluated."""

import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from config.errors import PolicyError
from config.facts import Coverage, Hit, ListMatch, SampleFacts, SegmentFacts, SegmentPosition, Severity, StreamFacts
from config.policy.cel.cost import MAX_MATCHES
from config.policy.cel.windows import MAX_KEPT_SAMPLES
from config.policy.evaluation import MAX_WAITING_SAMPLES, OrderState, SegmentJudgement, judge, judge_alone
from config.policy.persistence import LATE_SECONDS
from config.policy.policy import Policy, load_policy, parse_policy

LIVE = StreamFacts(stream_id="cam-1")
SECOND = 1_000


def policy_of(*rules: str, more: str = "") -> Policy:
    """A policy of conditions, named a, b, c …, each of severity high."""
    texts = [
        rule if rule.startswith("{") else f"{{name: {name}, severity: high, when: '{rule}'}}"
        for name, rule in zip("abcdefgh", rules, strict=False)
    ]
    return parse_policy(f"version: 1\n{more}\nrules: [{', '.join(texts)}]\n".encode(), "policy.yaml")


def sample(at_ms: int, score: float | None = None, *lists: str, classified: bool = True) -> SampleFacts:
    return SampleFacts(
        capture_ms=at_ms,
        pts_seconds=0.0,
        reason="keyframe",
        pdq_quality=90,
        scores={} if score is None else {"m/a": score},
        matches=tuple(ListMatch(list=name, entry="1", distance=3) for name in lists),
        classified=classified,
    )


def segment(number: int, *samples: SampleFacts, stream: StreamFacts = LIVE) -> SegmentFacts:
    """A segment of four seconds."""
    return SegmentFacts(key=f"s{number:03}", series="1.0", capture_ms=number * 4_000, stream=stream, samples=samples)


def judge_all(
    policy: Policy, segments: Sequence[SegmentFacts], state: OrderState | None = None
) -> list[SegmentJudgement]:
    """Evaluates segments one after another, each when no earlier one is to come."""
    state = OrderState() if state is None else state
    found: list[SegmentJudgement] = []
    for one in segments:
        found.append(judge(policy, state, one))
        state = found[-1].state
    return found


def held_at(policy: Policy, samples: Sequence[SampleFacts], rule: str = "a") -> list[int]:
    """Instants at which a rule holds, for samples each of which is its segment's only one."""
    judged = judge_all(policy, [segment(number, one) for number, one in enumerate(samples)])
    return [hit.capture_ms for each in judged for hit in each.hits if hit.rule == rule]


class TestWindows:
    def test_a_count_reaches_back_to_its_span_and_no_further(self) -> None:
        """Two pictures within ten seconds, or three within eleven, would count as three within ten."""
        policy = policy_of('window.count("m/a", 0.5, "10s") >= 3')
        seconds = [0, 5, 9.999, 20, 25, 30]
        assert held_at(policy, [sample(round(at * SECOND), 0.5) for at in seconds]) == [9_999]

    def test_low_scores_do_not_count(self) -> None:
        """A window would count harmless pictures."""
        policy = policy_of('window.count("m/a", 0.5, "10s") >= 2')
        scores = [0.5, 0.49, 0.9, None, 0.6]
        assert held_at(policy, [sample(at * SECOND, score) for at, score in enumerate(scores)]) == [2_000, 3_000, 4_000]

    def test_samples_as_a_span(self) -> None:
        """A rule over the last pictures would see too many of them, or too few."""
        policy = policy_of('window.count("m/a", 0.5, "3 samples") == 2')
        scores = [0.9, 0.1, 0.9, 0.1, 0.1]
        assert held_at(policy, [sample(at * 60 * SECOND, score) for at, score in enumerate(scores)]) == [120_000]

    def test_a_share_leaves_out_unmoderated_pictures(self) -> None:
        """A broadcaster could dilute the share of bad pictures by damaging some."""
        policy = policy_of('window.fraction("m/a", 0.5, "10s") > 0.6', 'window.samples("10s") == 2')
        shown = [sample(0, 0.9), *(sample(at, classified=False) for at in range(1, 9)), sample(9, 0.1), sample(10, 0.9)]
        assert held_at(policy, shown) == [*range(9), 10]
        assert held_at(policy, shown, "b") == [9]

    def test_largest_score_and_listed_pictures(self) -> None:
        """A rule could not use the worst picture of a minute, nor the number of listed ones."""
        policy = policy_of('window.max("m/a", "60s") > 0.8', 'window.matched("x", "60s") == 2')
        shown = [sample(0, 0.9), sample(SECOND, 0.1, "x"), sample(2 * SECOND, None, "x", "y", classified=False)]
        assert held_at(policy, [*shown, sample(61 * SECOND, 0.1)]) == [0, 1_000, 2_000]
        assert held_at(policy, shown, "b") == [2_000]

    def test_empty_window_is_zero(self) -> None:
        """A rule would fail on the first picture of every stream."""
        policy = policy_of('window.max("m/b", "60s") == 0.0 && window.fraction("m/b", 0.5, "9 samples") == 0.0')
        (judged,) = judge_all(policy, [segment(0, sample(0, classified=False))])
        assert (len(judged.hits), judged.problems) == (1, ())

    def test_epochs_have_separate_windows(self) -> None:
        """Pictures from before a restart of the origin would count as recent."""
        policy = policy_of('window.count("m/a", 0.5, "60s") >= 2')
        assert judge(policy, OrderState(), segment(0, sample(0, 0.9))).hits == ()
        assert judge(policy, OrderState(), segment(1, sample(SECOND, 0.9))).hits == ()

    def test_stored_state_is_bounded(self) -> None:
        """A stream that is sampled densely, or watched for days, would fill Redis."""
        policy = policy_of('window.count("m/a", 0.5, "600s") >= 3', 'window.max("m/a", "5 samples") > 0.5')
        crowd = segment(0, *(sample(at, 0.9) for at in range(MAX_KEPT_SAMPLES + 50)))
        (judged,) = judge_all(policy, [crowd])
        assert len(judged.state.past) == MAX_KEPT_SAMPLES
        later = judge(policy, judged.state, segment(500, sample(2_000_000, 0.9)))
        assert len(later.state.past) == 5
        nothing = judge(policy_of('score("m/a") > 0.5'), OrderState(), crowd)
        assert nothing.state == OrderState()


class TestCoverageAndSignals:
    def test_coverage_of_the_segment(self) -> None:
        """A rule could not detect that a stream hides its content by damaged pictures."""
        policy = policy_of("coverage.failed_seconds > 1.0 && coverage.moderated_seconds < coverage.segment_seconds")
        whole = Coverage.of_ms(segment_ms=4_000, moderated_ms=4_000, unhashable_ms=0, failed_ms=0)
        torn = Coverage.of_ms(segment_ms=4_000, moderated_ms=2_500, unhashable_ms=0, failed_ms=1_500)
        segments = [replace(segment(0, sample(0)), coverage=whole), replace(segment(1, sample(4_000)), coverage=torn)]
        assert [len(judged.hits) for judged in judge_all(policy, segments)] == [0, 1]

    def test_signals_are_those_at_the_time_of_the_segment(self) -> None:
        """A report that arrives while a segment waits would count for earlier pictures."""
        policy = policy_of(
            'signal("reports") >= 2.0 && window.count("m/a", 0.5, "60s") >= 1', 'signals["reports"] > 1.0'
        )
        told = replace(LIVE, signals={"reports": 2.0})
        first, second = segment(0, sample(0, 0.9)), segment(1, sample(4_000, 0.9), stream=told)
        waiting = judge(policy, OrderState(), second, earliest_pending=first.position)
        assert [hit.rule for hit in waiting.hits] == ["b"]
        both = judge(policy, waiting.state, first)
        assert [(hit.rule, hit.capture_ms, hit.segment) for hit in both.hits] == [("a", 4_000, "s001")]
        assert both.problems == ()


class TestOrder:
    RULES = (
        'window.count("m/a", 0.5, "12s") >= 3',
        "{name: b, severity: high, when: 'score(\"m/a\") >= 0.5', persistence: {hits: 2, of_samples: 3}}",
    )

    @pytest.mark.parametrize("seed", range(20))
    def test_any_order_gives_the_same_hits(self, seed: int) -> None:
        """A slow worker would change whether a moderator is called."""
        policy = policy_of(*self.RULES)
        mixer = random.Random(seed)
        segments = [
            segment(number, *(sample(number * 4_000 + at, mixer.random()) for at in (0, 1_500, 3_900)))
            for number in range(20)
        ]
        expected = [hit for judged in judge_all(policy, segments) for hit in judged.hits]
        shuffled = mixer.sample(segments, len(segments))
        state, found, pending = OrderState(), list[Hit](), {one.position for one in segments}
        for one in shuffled:
            pending.discard(one.position)
            judged = judge(policy, state, one, earliest_pending=min(pending, default=None))
            state = judged.state
            found += judged.hits
        assert found == expected
        assert state.waiting == ()

    def test_other_rules_do_not_wait(self) -> None:
        """A match on known material would wait for a segment that is lost."""
        policy = policy_of('window.matched("x", "9s") >= 1', 'matched("x")')
        judged = judge(
            policy, OrderState(), segment(5, sample(20_000, None, "x")), earliest_pending=SegmentPosition(0, "s000")
        )
        assert [(hit.rule, hit.ordinal, hit.segment) for hit in judged.hits] == [("b", None, "")]
        assert [one.key for one in judged.state.waiting] == ["s005"]

    def test_a_segment_without_samples_releases_others(self) -> None:
        """Segments after a lost one would never be evaluated."""
        policy = policy_of('window.matched("x", "9s") >= 1')
        waiting = judge(
            policy, OrderState(), segment(1, sample(4_000, None, "x")), earliest_pending=SegmentPosition(0, "s000")
        )
        judged = judge(policy, waiting.state, segment(0))
        assert [hit.segment for hit in judged.hits] == ["s001"]
        assert judged.state.waiting == ()

    def test_nothing_waits_for_ever(self) -> None:
        """One segment that kills its workers would block a stream's rules for minutes."""
        policy = policy_of('window.count("m/a", 0.5, "9s") >= 1')
        first = SegmentPosition(0, "s000")
        state, judged_at = OrderState(), []
        for number in range(1, LATE_SECONDS // 4 + 4):
            judged = judge(policy, state, segment(number, sample(number * 4_000, 0.9)), earliest_pending=first)
            state = judged.state
            judged_at += [hit.capture_ms for hit in judged.hits]
        assert judged_at == [4_000, 8_000]
        late = judge(policy, state, segment(0, sample(0, 0.9)))
        assert [hit.capture_ms for hit in late.hits][:1] == [0]
        assert late.state.waiting == ()

    def test_waiting_samples_are_bounded(self) -> None:
        """A stream with dense samples would fill Redis while one of its segments is pending."""
        policy = policy_of('window.count("m/a", 0.5, "9s") >= 1')
        crowd = segment(1, *(sample(4_000 + at, 0.1) for at in range(MAX_WAITING_SAMPLES)))
        first = SegmentPosition(0, "s000")
        waiting = judge(policy, OrderState(), crowd, earliest_pending=first).state
        assert len(waiting.waiting) == 1
        more = judge(policy, waiting, segment(2, sample(8_000, 0.1)), earliest_pending=first).state
        assert [one.key for one in more.waiting] == ["s002"]

    def test_in_a_look_back_a_sample_stands_alone(self) -> None:
        """A rule that needs two of five samples would never hold for a new hash on old pictures."""
        counted = "{name: b, severity: high, when: 'matched(\"x\")', persistence: {hits: 2, of_samples: 5}}"
        policy = policy_of('window.matched("x", "9s") >= 1', counted, 'matched("x")')
        found = judge_alone(policy, LIVE, sample(0, None, "x"))
        assert sorted(hit.rule for hit in found.hits) == ["a", "b", "c"]
        assert found.problems == ()


def test_rules_see_the_most_significant_of_many_matches() -> None:
    """A picture that matches a thousand entries would take a second, or the match that counts would be left out."""
    crowd = [ListMatch(list="big", entry=str(number), distance=number % 20) for number in range(1_000)]
    crowd += [
        ListMatch(list="small", entry="1", distance=31),
        ListMatch(list="film", entry="1", distance=30, video="v"),
    ]
    policy = policy_of('matched("small") && matched("big")', f"matches.size() == {MAX_MATCHES}")
    hits = policy.evaluate(LIVE, replace(sample(0), matches=tuple(crowd))).hits
    assert [hit.rule for hit in hits] == ["a", "b"]
    assert [match.distance for match in hits[0].matches][:2] == [0, 0]


def test_a_rule_may_set_its_principles() -> None:
    """An escalation would not name the principles that a rule's author has set."""
    policy = policy_of(
        "{name: a, severity: high, when: 'signal(\"reports\") > 1.0', principles: [3, 3, 1]}",
        'window.matched("x", "30s") >= 1 && score("m/a") > 0.5',
        "coverage.failed_seconds >= 0.0",
    )
    reported = replace(LIVE, signals={"reports": 2.0})
    judged = judge_all(policy, [segment(0, sample(0, 0.1, "x")), segment(1, sample(4_000, 0.9), stream=reported)])
    principles = {hit.rule: hit.principles for hit in judged[1].hits}
    assert principles == {"a": (1, 3, 5), "b": (1, 2, 5), "c": (5,)}


def test_streams_are_sampled_by_their_risk() -> None:
    """A stream with a high risk could not be sampled more closely than the rest."""
    policy = policy_of(
        'matched("x")',
        more="sampling: economy\nsampling_for:\n"
        "  - {profile: vigilant, when: 'stream.risk_prior >= 0.7 || signal(\"reports\") > 2.0'}\n"
        "  - {profile: balanced, when: 'stream.metadata.minors == true'}",
    )
    streams = {
        "economy": LIVE,
        "vigilant": replace(LIVE, signals={"reports": 3.0}),
        "balanced": replace(LIVE, metadata={"minors": True}),
    }
    assert {name: policy.profile_for(stream).name for name, stream in streams.items()} == {
        name: name for name in streams
    }
    assert policy.profile_for(replace(LIVE, risk_prior=0.7)).name == "vigilant"


@pytest.mark.parametrize(
    ("when", "told"),
    [
        (
            'window.cuont("m/a", 0.5, "30s") > 1',
            "column 49: rules[0].when (rule 'a'): unknown name 'window.cuont'",
        ),
        ('window.count("m/a", "30s") > 1', 'expected constants, as in window.count("MODEL/LABEL", 0.8, "30s")'),
        ('window.count("m/a", 0.5, stream.id) > 1', "expected constants, as in window.count("),
        ('window.max("m/a", "30") > 1.0', '\'30\': expected a span such as "30s", up to "600s", or "20 samples"'),
        ('window.max("m/a", "601s") > 1.0', "'601s': expected a span"),
        ('window.max("m/a", "501 samples") > 1.0', "'501 samples': expected a span"),
        ('window["m/a"] > 1.0', "window is used through its functions, as in window.count("),
        ('window.count("m/a", 0.5, "30s")', "expected true or false, it gives an int"),
        ('window.matched("x", "30s")', "expected true or false, it gives an int"),
        ("matches.all(a, matches.all(b, matches.all(c, true)))", "of CPU on one picture, most of it in 'matches.all(a"),
        ('stream.metadata.all(a, stream.metadata.all(b, a + b != ""))', "expected at most 0.05 s"),
        (" && ".join(['matches.all(m, m.tags.all(t, t != "x"))'] * 13), "expected at most 0.05 s"),
    ],
)
def test_mistakes_and_costs_are_refused(tmp_path: Path, when: str, told: str) -> None:
    """A rule that never holds, or that takes a second, would be noticed only when it is needed."""
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: '1'\nrules: [{{name: a, severity: high, when: '{when}'}}]\n")
    with pytest.raises(PolicyError) as caught:
        load_policy(path)
    assert told in str(caught.value)


def test_scores_that_no_model_computes_are_refused(tmp_path: Path) -> None:
    """A misspelt score is always 0.0: the rule would never call anybody."""
    path = tmp_path / "policy.yaml"
    path.write_text(
        "version: '1'\nrules:\n"
        "  - {name: a, severity: high, when: 'score(\"m/nsfw\") > 0.5'}\n"
        '  - name: b\n    severity: high\n    when: |\n      true &&\n      window.max("m/nsfv", "9s") > 0.5\n'
    )
    load_policy(path)
    with pytest.raises(PolicyError) as caught:
        load_policy(path, known_scores={"m/nsfw", "m/sfw"})
    (mistake,) = caught.value.mistakes
    assert (mistake.line, mistake.column, mistake.field, mistake.rule) == (8, 19, "rules[1].when", "b")
    assert mistake.text == "unknown score 'm/nsfv': did you mean 'm/nsfw'? known are m/nsfw, m/sfw"


def test_allowed_matches_are_raised_for_review_only() -> None:
    """A picture that a lead has found harmless would be escalated as known material for ever."""
    policy = policy_of('matched("x")', 'matched("y")')
    allowed = ListMatch(list="x", entry="1", distance=3, allowed=True)
    hits = policy.evaluate(LIVE, replace(sample(0, None, "y"), matches=(allowed, *sample(0, None, "y").matches))).hits
    assert {hit.rule: hit.severity for hit in hits} == {"a": Severity.REVIEW, "b": Severity.HIGH}


def test_a_slow_rule_is_reported() -> None:
    """A stream would lag, and nobody would know which rule it waits for."""
    policy = policy_of("[1, 2, 3].all(a, stream.metadata.all(b, b != string(a)))", "stream.risk_prior == 0.0")
    crowded = replace(LIVE, metadata={f"note {number}": number for number in range(300_000)})  # none may have so many
    evaluation = policy.evaluate(crowded, sample(0, None, "x"))
    assert [hit.rule for hit in evaluation.hits] == ["a", "b"]
    assert evaluation.problems == ("rule-slow:a",)
