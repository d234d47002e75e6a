"""config/policy/cel/checking.py: expressions that can never work are found behind any guard; others are accepted."""

from itertools import product
from typing import Any

import cel
import pytest

from config.policy.cel import types
from config.policy.cel.checking import kinds_of
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.parsing import read_syntax
from config.policy.cel.trial import compile_condition
from config.policy.cel.types import Kind, Sizes, names

NAMES = names(Sizes(matches=64, tags=50))
GUARDS = [
    'matched("police") || ',
    'stream.risk_prior >= 0.8 && stream.audience == "limited" && ',
    'sample.reason == "cut" && ',
    "coverage.failed_seconds > 100.0 && ",
    'window.samples("60s") == 20 && ',
    "stream.metadata.minors == true && ",
]
WRONG = [
    ("matches.exists(m, m.distanc < 10)", "m.", "unknown field of a match 'distanc': did you mean 'distance'?"),
    ('matches.exists(m, m.list in ["police"] && m.distanc <= 10)', '"] && m.', "did you mean 'distance'?"),
    ("matches.exists(m, matches.exists(n, n.lst == m.list))", "n, n.", "did you mean 'list'?"),
    ("matches[0].entri == 'x'", "].", "did you mean 'entry'?"),
    ("matches.map(m, m.tags)[0].all(t, t.foo)", "t, t.", "a string has no field 'foo'"),
    ("matches.exists(m, q.list == 'x')", "(m, ", "unknown name 'q'"),
    ("matches.exists(m, true) && m.list == 'x'", "&& ", "unknown name 'm'"),
    ('score("m/nsfw") + 1 > 1.5', ") ", "no such operation: double + int: write decimals"),
    ('window.max("m/nsfw", "9s") * 100 > 90.0', 's") ', "no such operation: double * int"),
    ("stream.id > 3", "id ", "no such comparison: string > int"),
    ('"a" in stream.id', '"a" ', "no such operation: string in string"),
    ("stream.id", "", "expected true or false, it gives a string"),
    ("!stream.risk_prior", "!", "expected true or false, it gives a double"),
    ("stream.risk_prior ? true : false", "", "expected true or false, it gives a double"),
    ("matches.exists(m, m.distance)", "m, ", "expected true or false, it gives an int"),
    ("stream.id.exists(c, c == 'x')", "", ".exists() needs a list or a map, this is a string"),
    ('stream["purpos"] == "live"', "[", "did you mean 'stream.purpose'?"),
    ("has(stream.purpos)", "stream.", "did you mean 'stream.purpose'?"),
    ("signal(3) > 1.0", "", 'signal() takes one text, as in signal("NAME")'),
    ("size(stream.risk_prior) > 1", "", "size() takes one of bytes, list, map, string, not of double"),
    ('contains(stream.id, "x")', "", 'as in stream.id.contains("TEXT")'),
    ("stream.risk_prior.matches('x')", "prior.", "matches() is called on a text"),
    ("max(1, 2) > 1", "", "unknown function 'max'"),
    ('1 < (window).cuont("m/a", 0.5, "9s")', "window).", "did you mean 'window.count'?"),
    ('window.count("m/a", stream.risk_prior, "9s") > 1', "count(", "expected constants, as in window.count("),
    ('window.max("m/a", "9") > 0.5', '", ', """'9': expected a span such as "30s\""""),
    ("matches.all(m)", "matches.", "all() has another form, as in matches.all(m, m.distance < 9)"),
    ("-stream.id == 'x'", "", "no such operation: -string"),
    ('score("m/nsfw") >= 90.0', ">= ", "scores are 0.0 to 1.0: expected no 90 to compare one with"),
    ('1.1 < scores["m/nsfw"]', "", "scores are 0.0 to 1.0: expected no 1.1"),
    ('window.max("m/nsfw", "9s") > 0.5 + 0.75', "> ", "expected no 1.25"),
    ('window.fraction("m/nsfw", 0.5, "9s") > 80', "> ", "shares are 0.0 to 1.0: expected no 80"),
    ('window.count("m/nsfw", 80, "9s") > 3', '", ', "expected no 80 to count from"),
    ("stream.metadata.title.matches('(')", "(", "no regular expression: unclosed group"),
]


@pytest.mark.parametrize("guard", ["", *GUARDS])
@pytest.mark.parametrize(("condition", "before", "told"), WRONG, ids=[one[0] for one in WRONG])
def test_an_expression_that_cannot_work_is_found_behind_a_guard(
    guard: str, condition: str, before: str, told: str
) -> None:
    """A misspelt field would be accepted, and the rule would never call anybody."""
    if condition == "stream.id.exists(c, c == 'x')" or condition.startswith("stream.risk_prior ?"):
        condition = f"({condition})"
    text = guard + condition
    with pytest.raises(ConditionError) as caught:
        compile_condition(text)
    assert told in str(caught.value)
    at = condition.index(before) + len(before) + condition.startswith("(")
    assert caught.value.offset == len(guard) + at


SAMPLES: dict[str, tuple[str, ...]] = {
    "double": ("1.5",),
    "int": ("2",),
    "uint": ("2u",),
    "string": ('"1"', '"1s"', '"2024-01-01T00:00:00Z"'),
    "bool": ("true",),
    "null": ("null",),
    "list": ("[1]",),
    "map": ('{"a": 1}',),
    "bytes": ('bytes("ab")',),
    "timestamp": ('timestamp("2024-01-01T00:00:00Z")',),
    "duration": ('duration("1s")',),
}
BINARY = [f"{{}} {sign} {{}}" for sign in ("+", "-", "*", "/", "%", "<", "<=", ">", ">=", "==", "!=", "in")]
BINARY += [f"({{}}).{name}({{}})" for name in types.OF_TEXTS] + [f"{name}({{}}, {{}})" for name in types.OF_TEXTS]
UNARY = ["-({})", "!({})", "({}) ? 1 : 2", "({}).all(x, true)", "({}).map(x, x)", "({})[0]", '({})["a"]', "({}).a"]
UNARY += ["[1].all(x, {})", "[1].filter(x, {})", "[1].exists_one(x, {})", "{{{}: 1}}", "has(({}).a)"]
UNARY += [f"{name}({{}})" for name in types.FUNCTIONS if name not in (*types.OF_NAMES, "has")]
UNARY += [f"({{}}).{name}()" for name in types.FUNCTIONS if name not in types.OF_NAMES]


def _runs(text: str) -> bool:
    """True if the engine can evaluate it, possibly with no value under a key."""
    try:
        cel.compile(text).execute(cel.Context(variables={}, functions={}))
    except (KeyError, IndexError):
        return True
    except Exception:
        return False
    return True


def _passes(text: str) -> bool:
    try:
        kinds_of(read_syntax(f"[{text}] == []"), {})
    except ConditionError:
        return False
    return True


def _cases() -> list[tuple[str, ...]]:
    """The same expression with texts that parse differently."""
    found = [tuple(form.format(one) for one in ones) for form, ones in product(UNARY, SAMPLES.values())]
    for form, left, right in product(BINARY, SAMPLES.values(), SAMPLES.values()):
        found.append(tuple(form.format(one, other) for one, other in product(left, right)))
    return found


def test_refuses_exactly_what_the_engine_cannot_evaluate() -> None:
    """A rule that fails on each picture would be accepted, or one that works refused."""
    wrong = [texts[0] for texts in _cases() if any(map(_runs, texts)) != _passes(texts[0])]
    assert len(_cases()) > 2_000
    assert wrong == []


@pytest.mark.parametrize(
    "condition",
    [
        "stream.metadata.a.b[3].c + 1 > stream.metadata.d",
        'stream.metadata.tags.exists(t, t.name == "kids" || t.startsWith("k"))',
        '[1, "a"].exists(x, x == "a")',
        "(stream.drill ? stream.metadata.a : 1.0) > 0.5",
        "matches.size() > 1.5",
        'score("m/nsfw") >= 1.0 || score("m/nsfw") > 0 || scores["m/sfw"] == 1',
        'score("m/nsfw") + score("m/sexy") >= 1.5 || score("m/nsfw") * 100.0 > 90.0',
        'window.count("m/nsfw", 0.8, "30s") >= 30',
        '(window.count("m/" + "nsfw", 5e-1, "5" + " samples")) > 2 && (window).samples("9s") > 0',
        'stream.metadata.exists(scores, scores == "a") || [{"a": 3}].exists(scores, scores["a"] > 2)',
        'matches.exists(m, m.distance < 10.5 && "csam" in m.tags)',
        'stream.metadata["minors"] == true',
        'scores.exists(name, name.startsWith("open-nsfw/") && scores[name] > 0.5)',
        'matches.filter(m, m.distance < 9).map(m, m.list).exists(l, l == "police")',
        'stream.risk_prior == 1 || stream.id == "x"',
        '"m/nsfw".score() > 0.5',
        "stream.metadata.size() < 5",
        'matches.exists(stream, stream.list == "police") || stream.drill',
        "sample.capture_ms % 2 == 0",
        "has(stream.metadata.age) && stream.metadata.age < 18",
        'string(sample.capture_ms) + "x" != "x"',
    ],
)
def test_an_expression_that_may_work_is_accepted(condition: str) -> None:
    """A rule over a platform's metadata, whose types are unknown, could not be written."""
    assert compile_condition(condition).text == condition


def test_fields_are_those_of_the_context() -> None:
    """A rule could use a missing field, or not use an existing one."""
    from config.facts import Coverage, ListMatch, SampleFacts, StreamFacts
    from config.policy.cel.values import match_value, sample_value, stream_value

    match = ListMatch(list="x", entry="1", distance=3, tags=("a",))
    sample = SampleFacts(capture_ms=0, pts_seconds=0.0, reason="cut", pdq_quality=90)
    seen: dict[str, tuple[Kind, dict[str, Any]]] = {
        "match": (NAMES["matches"].element, match_value(match)),
        "sample": (NAMES["sample"], sample_value(sample)),
        "stream": (NAMES["stream"], stream_value(StreamFacts(stream_id="x"), with_metadata=True)),
        "coverage": (NAMES["coverage"], dict(vars(Coverage(segment_seconds=4.0, moderated_seconds=4.0)))),
    }
    of = {bool: "bool", int: "int", float: "double", str: "string", list: "list", dict: "map"}
    for kind, fields in seen.values():
        assert kind.fields is not None
        assert {name: field.name for name, field in kind.fields.items()} == {
            name: of[type(value)] for name, value in fields.items()
        }
