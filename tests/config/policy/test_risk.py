"""A stream's risk: its parts, their decay, and the section of a policy that sets them."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import PolicyError
from config.facts import IMMINENT_DANGER_RULE, StreamFacts
from config.policy.outcome_names import OUTCOMES
from config.policy.policy import Policy, load_policy, parse_policy
from config.policy.risk import (
    RiskFacts,
    RiskSource,
    TimedNumber,
    TimedOutcome,
    higher_now,
    stream_risk,
)
from config.policy.risk_settings import DECISIONS, RiskSettings

NOW_MS = 1_800_000_000_000
MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
SETTINGS = RiskSettings()
RULES = """version: 1
rules: [{name: a, when: 'matched("x")', severity: high}]
"""


def read(section: str) -> Policy:
    return parse_policy(f"{RULES}{section}".encode(), "p.yaml", known_scores={"m/nsfw"})


def risk(settings: RiskSettings = SETTINGS, now_ms: int = NOW_MS, **facts: object) -> float:
    return stream_risk(RiskFacts(**facts), now_ms, settings).value  # type: ignore[arg-type]


def reported(number: float, *, minutes_ago: float = 0.0) -> TimedNumber:
    return TimedNumber(number, NOW_MS - round(minutes_ago * MINUTE_MS))


_AGES = st.integers(-HOUR_MS, 30 * 24 * HOUR_MS)
_TIMED = st.builds(lambda number, age: TimedNumber(number, NOW_MS - age), st.floats(-1, 1e6), _AGES)
_DECIDED = st.builds(lambda outcome, age: TimedOutcome(outcome, NOW_MS - age), st.sampled_from(OUTCOMES), _AGES)
_FACTS = st.builds(
    RiskFacts,
    prior=st.floats(0, 1),
    signals=st.dictionaries(st.sampled_from([*SETTINGS.signals, "unknown"]), _TIMED),
    scores=st.dictionaries(st.sampled_from([*SETTINGS.scores, "m/unknown"]), _TIMED),
    decided=st.dictionaries(st.sampled_from(["i1", "i2", "i3"]), _DECIDED),
)


def test_a_stream_without_facts_has_no_risk() -> None:
    """Every new stream would be urgent, so that none is."""
    found = stream_risk(RiskFacts(), NOW_MS, SETTINGS)
    assert (found.value, found.parts) == (0.0, ())


@pytest.mark.parametrize("prior", [0.1, 0.7, 0.8, 0.9999, 1.0])
def test_a_prior_counts_in_full(prior: float) -> None:
    """A platform that registers with a risk prior of 0.7 would not get the urgent queue that 0.7 is documented for."""
    assert risk(prior=prior) == prior


def test_parts_are_combined_as_chances() -> None:
    """Three middling reasons together would be no more than one."""
    found = stream_risk(
        RiskFacts(prior=0.4, signals={"viewer-reports": reported(5), "chat-risk": reported(1)}), NOW_MS, SETTINGS
    )
    assert found.value == pytest.approx(1 - 0.6 * 0.5 * 0.5)
    assert [(part.source, part.name, part.part) for part in found.parts] == [
        (RiskSource.PRIOR, "risk_prior", 0.4),
        (RiskSource.SIGNAL, "chat-risk", 0.5),
        (RiskSource.SIGNAL, "viewer-reports", 0.5),
    ]


def test_viewers_alone_do_not_make_a_stream_urgent() -> None:
    """Whoever can make a crowd report streams could fill the urgent queue with streams of his choice."""
    assert risk(signals={"viewer-reports": reported(1e9)}) < SETTINGS.urgent_at
    assert risk(signals={"viewer-reports": reported(1e9), "chat-risk": reported(1e9)}) >= SETTINGS.urgent_at


def test_a_report_of_imminent_danger_alone_is_urgent() -> None:
    """A stream in which somebody is in danger would wait behind the others."""
    assert risk(signals={IMMINENT_DANGER_RULE: reported(1)}) == 1.0


def test_a_signal_halves_in_its_half_life() -> None:
    """A report of last week would count like one of now, or one of now like none."""
    full = risk(signals={"viewer-reports": reported(5)})
    assert risk(signals={"viewer-reports": reported(5, minutes_ago=30)}) == pytest.approx(full / 2)
    assert risk(signals={"viewer-reports": reported(5, minutes_ago=60)}) == pytest.approx(full / 4)


def test_a_number_below_its_scale_counts_in_proportion() -> None:
    """One viewer's report would weigh as much as five."""
    assert risk(signals={"viewer-reports": reported(1)}) == pytest.approx(0.1)
    assert risk(signals={"viewer-reports": reported(-5)}) == 0.0


def test_a_score_counts_from_its_least_on() -> None:
    """The low scores of every benign picture would add up to a risk."""
    assert risk(scores={"open-nsfw/nsfw": reported(0.49)}) == 0.0
    assert risk(scores={"open-nsfw/nsfw": reported(0.8)}) == pytest.approx(0.4)


def test_decisions_count_by_outcome() -> None:
    """A stream with confirmed material would come back as if nothing had been; or one found harmless stay suspect."""
    by_outcome = {outcome: risk(decided={"i": TimedOutcome(outcome, NOW_MS)}) for outcome in OUTCOMES}
    assert by_outcome == {outcome: getattr(DECISIONS.get(outcome), "weight", 0.0) for outcome in OUTCOMES}
    assert by_outcome["csea_apparent"] == max(by_outcome.values()) > by_outcome["adult_tos"] > by_outcome["harmless"]


def test_a_time_that_is_unknown_or_in_the_future_counts_as_now() -> None:
    """Signals of an older version, or from before a clock went back, would count nothing, or without bound."""
    now = risk(signals={"viewer-reports": reported(5)})
    assert risk(signals={"viewer-reports": TimedNumber(5, None)}) == now
    assert risk(signals={"viewer-reports": reported(5, minutes_ago=-600)}) == now


@given(_FACTS, st.sampled_from([*SETTINGS.signals]), st.floats(0, 100), st.integers(0, 10 * HOUR_MS))
def test_more_reasons_never_lower_the_risk(facts: RiskFacts, name: str, more: float, newer_ms: int) -> None:
    """A broadcaster could lower the risk of his stream by getting it reported."""
    before = stream_risk(facts, NOW_MS, SETTINGS)
    assert 0.0 <= before.value <= 1.0
    assert all(part.part <= before.value + 1e-9 for part in before.parts)
    was = facts.signals.get(name, TimedNumber(0.0, 0))
    raised = replace(facts, signals={**facts.signals, name: TimedNumber(was.number + more, was.at_ms)})
    assert stream_risk(raised, NOW_MS, SETTINGS).value >= before.value
    renewed = replace(facts, signals={**facts.signals, name: TimedNumber(was.number, (was.at_ms or 0) + newer_ms)})
    assert stream_risk(renewed, NOW_MS, SETTINGS).value >= before.value
    assert stream_risk(facts, NOW_MS + newer_ms, SETTINGS).value <= before.value


@given(st.lists(st.builds(lambda n, age: TimedNumber(n, NOW_MS - age), st.floats(0.01, 1), _AGES), min_size=2))
def test_the_highest_score_is_the_same_in_any_order(seen: list[TimedNumber]) -> None:
    """Segments settle in any order: which score a stream's risk shows would be chance."""

    def kept(scores: list[TimedNumber]) -> float:
        best: TimedNumber | None = None
        for one in scores:
            best = higher_now(best, one, NOW_MS, 600.0)
        assert best is not None
        return risk(scores={"open-nsfw/nsfw": best})

    assert kept(seen) == pytest.approx(kept(seen[::-1]))


def test_a_policy_sets_weights_and_new_signals() -> None:
    """A platform's own signal would change nothing but rules that ask for it."""
    section = """risk:
  urgent_at: 0.6
  signals:
    viewer-reports: {scale: 20}
    grooming-reports: {weight: 0.6, half_life_seconds: 3600}
    new-account: null
  scores:
    m/nsfw: {weight: 0.9, least: 0.2, half_life_seconds: 60}
  decisions:
    adult_tos: null
"""
    settings = read(section).risk
    assert settings.urgent_at == 0.6
    given = {
        "viewer-reports": reported(10),
        "grooming-reports": reported(1, minutes_ago=60),
        "new-account": reported(1),
    }
    assert [(part.name, part.part) for part in stream_risk(RiskFacts(signals=given), NOW_MS, settings).parts] == [
        ("grooming-reports", pytest.approx(0.3)),
        ("viewer-reports", 0.25),
    ]
    assert risk(settings, scores={"m/nsfw": reported(0.5)}) == 0.45
    assert risk(settings, decided={"i": TimedOutcome("adult_tos", NOW_MS)}) == 0.0
    assert risk(settings, decided={"i": TimedOutcome("csea_apparent", NOW_MS)}) == 0.9


def test_a_model_in_shadow_adds_nothing() -> None:
    """A model that is only tried would decide which streams go first."""
    text = RULES + "risk: {scores: {m/nsfw: {weight: 0.9, half_life_seconds: 60}}}"
    policy = parse_policy(text.encode(), "p.yaml", known_scores={"m/nsfw"}, shadow_scores={"m/nsfw"})
    assert risk(policy.risk, scores={"m/nsfw": reported(1.0)}) == 0.0
    assert policy.version.startswith("1+"), "the file's digest stays"


def test_a_prior_decays_only_where_the_policy_says_so() -> None:
    """A stream that runs for weeks would lose the risk that its platform stated."""
    a_day_ago = NOW_MS - 24 * HOUR_MS
    assert risk(prior=0.8, prior_ms=a_day_ago) == 0.8
    assert risk(RiskSettings(prior_half_life_seconds=86_400.0), prior=0.8, prior_ms=a_day_ago) == pytest.approx(0.4)


def test_the_risk_chooses_the_sampling_profile() -> None:
    """A stream with every reason to worry would be sampled like all others, or all of them like it."""
    policy = load_policy()
    names = {of: policy.profile_for(StreamFacts(stream_id="s", risk=of)).name for of in (0.0, 0.79, 0.8, 1.0)}
    assert names == {0.0: "balanced", 0.79: "balanced", 0.8: "vigilant", 1.0: "vigilant"}
    assert policy.risk == SETTINGS, "the policy that ships has the built-in parts"


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("risk: 3", "risk: Input should be a valid dictionary"),
        ("risk: {urgent: 1}", "risk.urgent: unknown field 'urgent': did you mean 'urgent_at'?"),
        ("risk: {urgent_at: 0}", "risk.urgent_at: Input should be greater than 0"),
        (
            "risk:\n  signals:\n    Reports: {weight: 0.1, half_life_seconds: 5}",
            "line 5, column 5: risk.signals.Reports: 'Reports': expected a signal's name: 1 to 64 characters of a-z",
        ),
        ("risk: {signals: {mine: {weight: 0.5}}}", "risk.signals.mine.half_life_seconds: Field required"),
        ("risk: {signals: {mine: {weight: 1.5, half_life_seconds: 5}}}", "weight: Input should be less than or equal"),
        ("risk: {signals: {mine: {weight: yes, half_life_seconds: 5}}}", "weight: Input should be a valid number"),
        ("risk: {signals: {viewer-reports: {wieght: 1}}}", "unknown field 'wieght': did you mean 'weight'?"),
        ("risk: {signals: {viewer-reports: {scale: 0}}}", "scale: Input should be greater than 0"),
        ("risk: {signals: {viewer-reports: {half_life_seconds: .inf}}}", "half_life_seconds: Input should be"),
        (
            "risk: {scores: {m/nswf: {weight: 0.1, half_life_seconds: 60}}}",
            "risk.scores.m/nswf: unknown score 'm/nswf': did you mean 'm/nsfw'?",
        ),
        (
            "risk: {decisions: {harmles: {weight: 0.1, half_life_seconds: 60}}}",
            "risk.decisions.harmles: unknown outcome 'harmles': did you mean 'harmless'?",
        ),
    ],
)
def test_mistakes_in_the_section_name_their_place(section: str, expected: str) -> None:
    """An operator would search for a typing error, or not know that a weight is not in force."""
    with pytest.raises(PolicyError) as refused:
        read(section)
    assert expected in str(refused.value)


def test_too_many_signals_are_refused() -> None:
    """A file could make the risk of each segment cost what it likes."""
    many = ", ".join(f"s{number}: {{weight: 0.1, half_life_seconds: 60}}" for number in range(60))
    with pytest.raises(PolicyError, match=r"risk\.signals: .*at most 54"):
        read(f"risk: {{signals: {{{many}}}}}")
