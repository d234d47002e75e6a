"""Decomposition of conditions: proofs rest on the structure that CEL gives the same text."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from config.facts import ListMatch, SampleFacts, StreamFacts, Surroundings
from config.policy.cel.expressions import Context
from config.policy.cel.monotonicity import atoms, begin, floor, needs_match, unnamed_scores, unproved
from config.policy.cel.parsing import read_syntax
from config.policy.cel.syntax import Node, Operation
from config.policy.cel.trial import compile_condition

STREAM = StreamFacts(stream_id="s")
MATCHED = (ListMatch(list="l", entry="1", distance=0),)


def shape(tree: Node, text: str) -> object:
    """Nested tuples: the operator, then its parts, down to atoms."""
    if list(atoms(tree)) == [tree]:
        return text[tree.start : tree.end]
    assert isinstance(tree, Operation)
    return (tree.operator, *(shape(part, text) for part in tree.operands))


def sample(scores: dict[str, float], matches: tuple[ListMatch, ...] = ()) -> SampleFacts:
    return SampleFacts(
        capture_ms=0, pts_seconds=0.0, reason="keyframe", pdq_quality=100, scores=scores, matches=matches
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a && b || c", ("||", ("&&", "a", "b"), "c")),
        ("a && (b || (c))", ("&&", "a", ("||", "b", "(c)"))),
        ("((a && b))", ("&&", "a", "b")),
        ("(a) && (b)", ("&&", "(a)", "(b)")),
        ("!(a && b) || c", ("||", "!(a && b)", "c")),
        ("a || b ? c : d", "a || b ? c : d"),
        ("(a || b) == c && d", ("&&", "(a || b) == c", "d")),
        ("f(a || b) && [c || d].size() > 0", ("&&", "f(a || b)", "[c || d].size() > 0")),
        ('x == "a && b)" || y', ("||", 'x == "a && b)"', "y")),
        ("\n a\n  && b ", ("&&", "a", "b")),
    ],
)
def test_negation_and_choice_are_not_decomposed(text: str, expected: object) -> None:
    """A part would count as proved whose effect the whole reverses."""
    assert shape(read_syntax(text), text) == expected


_PARTS = ["score('m/a') >= 0.5", "score('m/b') > 0.2", "matched('l')", "true", "false", "!matched('l')"]
conditions = st.recursive(
    st.sampled_from(_PARTS),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from([" && ", "||", " ||\n"]), inner).map("".join),
        inner.map(lambda text: f"( {text})"),
        inner.map(lambda text: f"!({text})"),
        st.tuples(inner, inner, inner).map(lambda texts: "{} ? ({}) : {}".format(*texts)),
    ),
    max_leaves=6,
)


def value(tree: Node, text: str, context: Context) -> bool:
    """Combined by Python; atoms are evaluated by CEL."""
    if list(atoms(tree)) == [tree]:
        return context.holds(compile_condition(text[tree.start : tree.end]))
    assert isinstance(tree, Operation)
    parts = [value(part, text, context) for part in tree.operands]
    return all(parts) if tree.operator == "&&" else any(parts)


@settings(max_examples=500)
@given(conditions, st.sampled_from([0.0, 0.3, 1.0]), st.booleans())
def test_the_parts_are_equivalent_to_the_whole(text: str, level: float, matched: bool) -> None:
    """A proof about the parts would not hold for the condition that runs."""
    context = Context(STREAM, sample({"m/a": level, "m/b": level}, MATCHED if matched else ()))
    assert value(read_syntax(text), text, context) == context.holds(compile_condition(text))


@pytest.mark.parametrize(
    ("text", "least"),
    [
        ('score("m/a") >= 0.5', 0.5),
        ("score ( 'm/a' ) > 0.0", 0.0),
        ('score("m/a") > -0.5', -0.5),
        ('scores["m/a"] >= 1', 1.0),
        ('0.5 <= score("m/a")', 0.5),
        ('0.0 < scores["m/a"]', 0.0),
        ('score("m/a") + 2.0 * score("m/b") >= 1.2', 1.2),
        ('window.max("m/a", "60s") >= 0.5', 0.5),
        ('window.count("m/a", 0.8, "30s") > 2', 2.0),
        ('window.fraction("m/a", 0.8, "20 samples") >= 2.5e-1', 0.25),
    ],
)
def test_lower_bounds_are_recognised_in_all_forms(text: str, least: float) -> None:
    """A sound rule over a score about minors would be refused."""
    (atom,) = atoms(read_syntax(text))
    assert floor(atom) == least
    condition = compile_condition(text)
    for level in (0.0, 1.0):
        answers = {call.variable: 100 * level if call.function == "count" else level for call in condition.windows}
        context = Context(STREAM, sample({"m/a": level, "m/b": level}), Surroundings(answers=answers))
        assert context.holds(condition) == (level == 1.0 or least < 0)


@pytest.mark.parametrize(
    "text",
    [
        'score("m/a") < 0.5',
        '0.5 >= score("m/a")',
        'score("m/a") == 0.5',
        'score("m/a") >= 0.5 == false',
        '(score("m/a") >= 0.5) == false',
        '!(score("m/a") >= 0.5)',
        'score("m/a") >= score("m/b")',
        'score("m/b") - score("m/a") >= 0.5',
        '-1.0 * score("m/a") >= 0.5',
        '1.0 - score("m/a") >= 0.5',
        'score("m/a") * score("m/b") >= 0.5',
        'score("m/a") / 2.0 >= 0.5',
        'score("m/a") in [0.5]',
        'window.samples("60s") >= 3',
        'window.matched("l", "60s") >= 3',
        'signal("x") >= 1.0',
        'score("m\\u002fa") >= 0.5',
    ],
)
def test_what_may_decrease_is_no_lower_bound(text: str) -> None:
    """It would be accepted, and clear somebody whose score is higher."""
    assert [floor(atom) for atom in atoms(read_syntax(text))] == [None]


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ('matched("l")', True),
        ("matches.exists(m, !(m.list in ['allow']))", True),
        ("matches.exists_one(m, true)", True),
        ("size(matches) > 0", True),
        ("matches.size() >= 1", True),
        ("matches.size() != 0", True),
        ("matches.size() >= 0", False),
        ("matches.exists(m, true) == false", False),
        ("matches.exists(m, true) != matches.exists(m, false)", False),
        ("matches.all(m, m.distance > 3)", False),
        ('matched("l") == false', False),
        ('!matched("l")', False),
        ("signal('x') >= 1.0", False),
    ],
)
def test_conditions_that_require_a_match_are_recognised(text: str, needs: bool) -> None:
    """Age would be estimated where no list matched; or a match would not count as a cause."""
    (atom,) = atoms(read_syntax(text))
    assert needs_match(atom) == needs
    if needs:
        assert not Context(STREAM, sample({})).holds(compile_condition(text))
        assert Context(STREAM, sample({}, MATCHED)).holds(compile_condition(text))


def test_or_needs_both_sides_and_and_one() -> None:
    """A condition would count as proved by a part that need not hold."""

    def left(text: str) -> int | None:
        part = unproved(read_syntax(text), lambda atom: text[atom.start : atom.end] == "p")
        return None if part is None else begin(part)

    assert left("p") is None
    assert left("q && p && q") is None
    assert left("(q && p) || p") is None
    assert left("p || q") == 5
    assert left("p || p && (p || q) || (q && r)") == 23
    assert left("q && r") == 0
    assert left("!p") == 0


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('score("m/a") > 0.5 && scores ["m/a"] > 0.5 && window.max("m/a", "60s") > 0.5', None),
        ('stream.metadata.score == 3 && stream.metadata["scores"] == 3 && matched("score")', None),
        ('["m/a"].exists(s, score(s) > 0.5)', 18),
        ('["m/a"].exists(s, scores[s] > 0.5)', 18),
        ("scores.exists(s, true)", 0),
        ("scores.size() > 2", 0),
        ("size(scores) > 2", 5),
        ('"m/a" in scores', 9),
        ('(scores)["m/a"] > 0.5', 0),
        ("scores == scores", 0),
        ('score("m/" + "a") > 0.5', 0),
        ('scores["m/a" + ""] > 0.5', 0),
        ('"m/a".score() > 0.5', 6),
        ('score("m\\u002fa") > 0.5', 0),
        ('scores.map(s, s) == ["m/a"]', 0),
        ('{"x": scores}.x["m/a"] > 0.5', 6),
    ],
)
def test_indirect_access_to_scores_is_found(text: str, place: int | None) -> None:
    """A live rule would read a score in a way that is not checked."""
    assert unnamed_scores(read_syntax(text)) == place
