"""Conditions written in the style of another language: each slip has its own message, and all are reported."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.errors import PolicyError
from config.policy.cel.expressions import parse_condition
from config.policy.cel.foreign_syntax import corrected
from config.policy.cel.mistakes import ConditionError
from config.policy.policy import parse_policy


def mistakes_in(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(ConditionError) as caught:
        parse_condition(text)
    return [(one.offset, str(one)) for one in caught.value.every]


@pytest.mark.parametrize(
    ("text", "at", "expected"),
    [
        ('matched("a") and matched("b")', "and", "CEL writes `&&`, not `and`"),
        ('matched("a") OR matched("b")', "OR", "CEL writes `||`, not `OR`"),
        ('matched("a") & matched("b")', "&", "CEL writes `&&`, not `&`"),
        ('matched("a") | matched("b")', "|", "CEL writes `||`, not `|`"),
        ('not matched("a")', "not", "CEL writes `!`, not `not`"),
        ('not(matched("a"))', "not", "CEL writes `!`, not `not`"),
        ('stream.purpose = "live"', "= ", "CEL writes `==`, not `=`"),
        ('stream.purpose === "live"', "===", "CEL writes `==`, not `===`"),
        ('stream.purpose is "live"', "is", "CEL writes `==`, not `is`"),
        ('stream.purpose  is  not "live"', "is", "CEL writes `!=`, not `is not`"),
        ('stream.purpose <> "live"', "<>", "CEL writes `!=`, not `<>`"),
        ('score("m/a") => 0.5', "=>", "CEL writes `>=`, not `=>`"),
        ('score("m/a") =< 0.5', "=<", "CEL writes `<=`, not `=<`"),
        ('score("m/a") ≥ 0.5', "≥", "CEL writes `>=`, not `≥`"),
        ("stream.drill == True", "True", "CEL writes `true`, not `True`"),
        ("stream.metadata.x == None", "None", "CEL writes `null`, not `None`"),
        ('stream.id not in ["a"]', "not", "CEL writes `!(x in y)`, not `x not in y`"),
        ('not stream.id in ["a"]', "not", "CEL writes `!(x in y)`, not `not x in y`"),
        ('matched("a") && (not stream.id == "a")', "not", "CEL writes `!(x == y)`, not `not x == y`"),
        ("matched(“a”)", "“", 'CEL writes plain quotes, "…", not “'),
        ('0.5 < score("m/a") < 0.9', "< 0.9", "CEL compares two values: `a < b && b < c`"),
        ("len(matches) > 1", "len", "len(): CEL writes `size(x)`"),
        ("matches.any(m, m.distance < 3)", "any", "any(): CEL writes `matches.exists(m, …)`"),
    ],
)
def test_each_slip_has_its_own_message(text: str, at: str, expected: str) -> None:
    """`extraneous input 'and' expecting <EOF>` would send a policy author to a parser expert."""
    assert mistakes_in(text) == [(text.index(at), expected)]


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ('stream.id not in ["a"] and matched("b")', '!(stream.id in ["a"]) && matched("b")'),
        ('matched("b") && stream.id not in ["a", "b"]', 'matched("b") && !(stream.id in ["a", "b"])'),
        ('matches.exists(m, m.list not in ["a"])', 'matches.exists(m, !(m.list in ["a"]))'),
        ('not stream.id in ["a"] or matched("b")', '!(stream.id in ["a"]) || matched("b")'),
        ('not stream.id not in ["a"]', '!(!(stream.id in ["a"]))'),
        ('not matched("b") && stream.drill', '! matched("b") && stream.drill'),
        ("stream.id not in", "stream.id in"),
    ],
)
def test_the_text_searched_for_further_mistakes_is_equivalent(text: str, meant: str) -> None:
    """Mistakes would be reported for the opposite condition, or at wrong places."""
    found = corrected(text)
    assert found is not None
    assert found.text.replace(" ", "") == meant.replace(" ", "")


def test_both_slips_of_one_condition_are_reported() -> None:
    """Half of the comparison that follows would be reported as no condition."""
    text = 'not score("m/a") => 0.5'
    assert mistakes_in(text) == [
        (0, "CEL writes `!(x >= y)`, not `not x >= y`"),
        (text.index("=>"), "CEL writes `>=`, not `=>`"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        'stream.id == "x and not y = z | “q” is None"',
        "stream.metadata.and == stream.metadata.not && stream.metadata.is != null",
        "matches.exists(android, android.distance < 3) || !stream.drill && 1 <= 2 && 2 >= 1 && 1 != 2",
    ],
)
def test_correct_conditions_have_no_slip(text: str) -> None:
    """A list called "cats and dogs" would be corrected."""
    assert parse_condition(text).text == text
    assert corrected(text) is None


def test_all_mistakes_of_a_condition_are_reported() -> None:
    """An author would find one mistake a run."""
    text = 'matchd("a") and score("m/x") = 90 or not (stream.idd == True && matches.exists(m, m.distanc < "a"))'
    assert mistakes_in(text) == sorted(
        [
            (text.index("matchd"), mistakes_in('matchd("a")')[0][1]),
            (text.index("and"), "CEL writes `&&`, not `and`"),
            (text.index("= 90"), "CEL writes `==`, not `=`"),
            (text.index("90"), "scores are 0.0 to 1.0: expected no 90 to compare one with"),
            (text.index("or not"), "CEL writes `||`, not `or`"),
            (text.index("not ("), "CEL writes `!`, not `not`"),
            (text.index("idd"), mistakes_in("stream.idd == 1")[0][1]),
            (text.index("True"), "CEL writes `true`, not `True`"),
            (text.index("distanc"), mistakes_in("matches.exists(m, m.distanc == 1)")[0][1]),
        ]
    )


def test_slips_are_reported_with_line_and_column_and_beside_unknown_scores() -> None:
    """An author would have to search a condition of ten lines."""
    policy = (
        "version: '1'\nrules:\n  - name: a\n    severity: high\n    when: >-\n"
        '      matchd("x") and\n      score("m/b") = 0.5 && window.cuont("m/b", 0.5, "9s") > 1\n'
    )
    with pytest.raises(PolicyError) as caught:
        parse_policy(policy.encode(), "p.yaml", known_scores=["m/a"])
    found = [(one.line, one.column, one.text.partition(":")[0]) for one in caught.value.mistakes]
    assert found == [
        (6, 7, "unknown function 'matchd'"),
        (6, 19, "CEL writes `&&`, not `and`"),
        (7, 14, "unknown score 'm/b'"),
        (7, 20, "CEL writes `==`, not `=`"),
        (7, 36, "unknown name 'window.cuont'"),
    ]


@given(st.text(alphabet='andornotis=<>|&! "“”m.x()≥\n', max_size=60))
def test_the_corrected_text_keeps_its_places(text: str) -> None:
    """A mistake would be reported at a place that does not exist, or end the process."""
    found = corrected(text)
    if found is None:
        return
    assert len(found.origins) == len(found.text) + 1
    assert list(found.origins) == sorted(found.origins)
    assert found.origins[-1] == len(text)
    assert all(one.offset is not None and 0 <= one.offset < len(text) for one in found.mistakes)
    with pytest.raises(ConditionError) as caught:
        parse_condition(text)
    assert all(0 <= (one.offset or 0) <= len(text) for one in caught.value.every)
