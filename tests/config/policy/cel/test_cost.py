"""config/policy/cel/cost.py: no condition can block a worker, even if its cost is hidden from a trial."""

from dataclasses import replace
from time import thread_time

import pytest

from config.errors import PolicyError
from config.facts import ListMatch, SampleFacts, StreamFacts
from config.policy.budget import MAX_POLICY_SECONDS
from config.policy.cel.cost import MAX_MATCHES, MAX_SECONDS, cost_of
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.parsing import read_syntax
from config.policy.cel.trial import compile_condition
from config.policy.policy import Policy, parse_policy

CROWD = tuple(
    ListMatch(
        list="police",
        entry=f"{number:060}",
        distance=number % 32,
        video=f"v{number}",
        tags=tuple(f"tag number {tag}" for tag in range(50)),
    )
    for number in range(MAX_MATCHES)
)
NOTED = StreamFacts(
    stream_id="stream",
    risk_prior=0.9,
    metadata={"minors": True, "title": "abc " * 500, "tags": ["kids"] * 1_000, "keys": {str(n): n for n in range(900)}},
    signals={f"signal-{number}": 1.0 for number in range(50)},
)
CROWDED = SampleFacts(
    capture_ms=0,
    pts_seconds=0.0,
    reason="cut",
    pdq_quality=90,
    matches=CROWD,
    scores={f"m/label-{number}": 0.5 for number in range(100)},
)
EXPENSIVE = [
    "stream.metadata.map(a, stream.metadata.map(b, a + b)).size() > 99999",
    r'matches.exists(m, m.tags.exists(t, t.matches("(?i)^(series|case)-\\d{1,6}$")))',
    r'stream.metadata.tags.exists(t, t.matches("(?i)\\w{1,9}[a-z]x"))',
    "matches.all(a, matches.all(b, matches.all(c, a.list == b.list)))",
    "stream.metadata.a.exists(x, stream.metadata.b.exists(y, x == y))",
    "stream.metadata.exists(k, stream.metadata.tags.exists(t, t == k))",
    "stream.metadata.tags.exists(t, stream.metadata.exists(k, t == k))",
    "stream.metadata.wanted.exists(w, stream.metadata[w].exists(t, t == w))",
    "stream.metadata.a.exists(x, x.b.exists(y, y.c.exists(z, z == 1)))",
    "(stream.metadata.a + stream.metadata.b).exists(x, x.exists(y, y == 1))",
    "matches.exists(m, m.tags.map(t, matches.map(n, n)).size() > 3)",
    "matches.map(m, m.list)" + ".map(x, x + x)" * 14 + ".size() > 3",
    "stream.metadata.map(k, stream.metadata[k])" + ".map(x, x + x)" * 3 + ".size() > 3",
    "[1, 2, 3, 4, 5, 6, 7, 8, 9].map(a, matches.filter(m, m.distance > a)).size() > 3",
]
CHEAP = [
    'matched("police")',
    'score("m/nsfw") >= 0.6 && signal("viewer-reports") >= 3.0',
    'matches.exists(m, !(m.list in ["selftest", "allow"]) && (m.video == "" || m.distance <= 24))',
    'matches.exists(m, m.tags.exists(t, t.startsWith("series-")))',
    "matches.filter(m, m.distance <= 10).size() >= 2",
    "matches.exists(a, matches.exists(b, a.list != b.list))",
    'matched("police") && stream.metadata.tags.exists(t, t == "kids")',
    'matched("police") || (stream.metadata.minors == true && stream.metadata.age < 18)',
    'stream.metadata.minors == true || stream.metadata.title.matches("(?i)kids")',
    "scores.exists(name, scores[name] > 0.9)",
    'stream.metadata.exists(k, stream.metadata[k] == "x")',
    "stream.metadata.keys.exists(k, k.b.exists(y, y == 3))",
]
CONTEXT = "matches.exists(m, true) && stream.metadata.size() >= 0"
"""Costs what all rules share."""


@pytest.mark.parametrize("guard", ["", "stream.risk_prior >= 0.5 && ", "coverage.failed_seconds > 1.0 && "])
@pytest.mark.parametrize("condition", EXPENSIVE)
def test_a_possibly_costly_condition_is_refused_behind_a_guard(guard: str, condition: str) -> None:
    """A policy that passed `policy check` would repeatedly kill each worker that meets such a picture."""
    began = thread_time()
    with pytest.raises(
        ConditionError, match=f"s of CPU on one picture, most of it in .* expected at most {MAX_SECONDS} s"
    ):
        compile_condition(guard + condition)
    assert thread_time() - began < 2


@pytest.mark.alone
@pytest.mark.parametrize("condition", CHEAP)
def test_costs_no_more_than_the_bound(condition: str) -> None:
    """A bound that is too low would accept a condition that stops moderation; one that is too high would refuse real
    rules."""
    bound = cost_of(compile_condition(condition).tree).seconds
    assert bound <= MAX_SECONDS
    both = (_policy(condition), _policy(CONTEXT))
    rounds = [tuple(map(_seconds, both)) for _ in range(20)]
    spent, context = map(min, zip(*rounds, strict=True))
    assert spent < bound + context


def _policy(*conditions: str) -> Policy:
    rules = "\n".join(f"  - {{name: r{n}, severity: high, when: '{when}'}}" for n, when in enumerate(conditions))
    return parse_policy(f"version: '1'\nrules:\n{rules}\n".encode(), "policy.yaml")


def _seconds(policy: Policy) -> float:
    began = thread_time()
    policy.evaluate(NOTED, CROWDED)
    return thread_time() - began


@pytest.mark.alone
@pytest.mark.parametrize("condition", [CHEAP[2], CHEAP[-2], "matches.filter(m, m.distance <= 10).size() >= 2"])
def test_many_rules_cost_no_more_than_their_bounds(condition: str) -> None:
    """Each rule would be affordable, but work repeated for each of them would not be counted."""
    bound = cost_of(compile_condition(condition).tree).seconds
    policy = _policy(*[condition] * int(MAX_POLICY_SECONDS / bound))
    policy.evaluate(NOTED, CROWDED)
    assert min(_seconds(policy) for _ in range(3)) < MAX_POLICY_SECONDS


def test_the_total_cost_of_rules_is_bounded() -> None:
    """Each of two hundred rules would be affordable, and a picture would take seconds."""
    expensive = "matches.filter(m, m.distance <= 10).size() >= 2"
    _policy(*[CHEAP[2]] * 60, expensive)
    with pytest.raises(PolicyError) as caught:
        _policy(CHEAP[0], *[expensive] * 9)
    told = "line 4, column 39: rules[1].when (rule 'r1'): all rules together could cost 0.29 s of CPU on one picture"
    assert told in str(caught.value)


@pytest.mark.parametrize("pattern", ["stream.id", '"a" + stream.id', "stream.metadata.pattern"])
def test_patterns_must_be_constant(pattern: str) -> None:
    """A stream could bring a pattern that costs a second."""
    with pytest.raises(ConditionError, match="expected the pattern of matches") as caught:
        compile_condition(f"stream.drill && stream.id.matches({pattern})")
    assert caught.value.offset == 34


def test_a_pattern_costs_as_often_as_it_is_evaluated() -> None:
    """A pattern that takes a millisecond would be accepted where it is evaluated for each tag."""
    pattern = r'matches("(?i)\\w{1,9}x")'
    compile_condition(f"stream.id.{pattern}")
    with pytest.raises(ConditionError, match="most of it in"):
        compile_condition(f"matches.exists(m, m.tags.exists(t, t.{pattern}))")


def test_grounds_count_as_parts_of_the_whole_condition() -> None:
    """A hit would name wrong grounds: only the parts about matches are evaluated again."""
    policy = _policy(
        'stream.risk_prior >= 0.5 && (matched("police") || matched("own")) && matches.exists(m, m.distance < 9)'
    )
    near, far = replace(CROWD[0], distance=3), replace(CROWD[1], distance=30)
    hit = policy.evaluate(NOTED, replace(CROWDED, matches=(near, far))).hits[0]
    assert hit.grounds == (near,)


def test_parsed_syntax_is_shared() -> None:
    """A policy of many rules would be measured again at each check."""
    assert cost_of(read_syntax(CHEAP[0])) is cost_of(read_syntax(CHEAP[0]))
