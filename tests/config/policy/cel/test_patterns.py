"""config/policy/cel/patterns.py: the cost of a regular expression is bounded by its text, equally on each machine."""

from itertools import pairwise
from time import thread_time

import pytest

from config.policy.cel.cost import MAX_SECONDS
from config.policy.cel.mistakes import ConditionError
from config.policy.cel.patterns import MAX_CHARACTERS, MAX_LETTERS, pattern_cost
from config.policy.cel.trial import compile_condition
from config.policy.cel.types import MAX_NOTE_CHARACTERS

WORDS = "|".join(["kids", "schools?", "teens?", "girls?", "boys?", "live"] * 5)
ORDINARY = [
    "^https?://",
    "kids|school",
    WORDS,
    f"(?i)^({WORDS})$",
    f"(?i)({WORDS}) ?({WORDS})",
    r"^series-\d{1,6}$",
    r"^\d{4}-\d{2}-\d{2}",
    "^[a-z0-9-]{1,20}$",
    r"(?i)\bkids\b",
    r"(?i)\b(kid|teen)s?\b.*cam",
    "^rtmps?://[a-z0-9.-]+/live",
    "(?i)[а-я]+",
    r"\w{8}",
]
"""Patterns as people write them for a title."""

COSTLY = [
    r"\w{40}",
    r"(?:\w?){40}xx",
    r"\w{2,14}x",
    "x{5000}",
    "x{ 5000 }",
    "x{,5000}",
    "(((a{10}){10}){10}){10}",
    "(?:a|b|ab|ba){400}c",
    "[]{]{2100}",
    "[^]a[:alpha:]]{700}",
    r"[ab]*a[ab]{1000}c",
    r"(?:\b.*){300}q",
    r"(?i)[\x{80}-\x{10ffff}]{2}",
    r"(?i)[\Sa]",
    r"(?i)[[^a]b][[^b]a]",
    r"\pL{40}",
    r"[\p{Lu}]{40}",
]
"""Patterns that the engine compiles in milliseconds, or searches for in microseconds a character."""


@pytest.mark.parametrize("pattern", ORDINARY)
def test_ordinary_patterns_are_accepted(pattern: str) -> None:
    """An operator's rule on a title would be refused."""
    compile_condition(f"stream.metadata.title.matches({_quoted(pattern)})")


@pytest.mark.parametrize("pattern", COSTLY)
def test_costly_patterns_are_refused(pattern: str) -> None:
    """A worker would compile them for each picture, without a way to interrupt it."""
    began = thread_time()
    with pytest.raises(
        ConditionError, match=r"letters.*: expected at most 2,000\. Write \+ or \* in place of"
    ) as caught:
        compile_condition(f"stream.drill && stream.id.matches({_quoted(pattern)})")
    assert caught.value.offset == 34
    assert thread_time() - began < 0.2


@pytest.mark.parametrize("pattern", ["[ab]*a[ab]{50}c", r"(?:\b.*){100}q", "(?:.*a){50}x", "(a|b|ab|ba){100}c"])
def test_a_pattern_with_many_continuations_is_refused_for_a_long_text(pattern: str) -> None:
    """The search of a title of 16 kB would follow all of them at each character."""
    compile_condition(f"stream.id.matches({_quoted(pattern)})")
    with pytest.raises(ConditionError, match="s of CPU on one picture"):
        compile_condition(f"stream.metadata.title.matches({_quoted(pattern)})")


@pytest.mark.parametrize(
    ("pattern", "told"),
    [
        (
            "a" * (MAX_CHARACTERS + 1),
            r"1,001 characters: expected at most 1,000\. Write several matches\(\), joined by",
        ),
        ("(?ix) a {9}", r"with \(\?x\): expected it without blanks and comments"),
        ("(", "no regular expression: unclosed group"),
        ("a)", "no regular expression: unopened group"),
        ("[a", "no regular expression: unclosed character class"),
        ("a\\", "no regular expression: incomplete escape"),
    ],
)
def test_an_invalid_pattern_is_refused(pattern: str, told: str) -> None:
    """An operator would not learn what to write instead."""
    with pytest.raises(ConditionError, match=told):
        pattern_cost(pattern)


@pytest.mark.parametrize("form", ["a{{{}}}", "(a|b){{{},}}", "[a-z]{{0,{}}}", "(?i)(?:ab?){{{}}}", r"(?:\b.){{{}}}"])
def test_the_bound_grows_with_the_repeated_part(form: str) -> None:
    """A refused pattern would be accepted once it is made larger."""
    costs = [pattern_cost(form.format(times)) for times in (1, 2, 5, 20, 60)]
    assert all(less.compiling_seconds < more.compiling_seconds for less, more in pairwise(costs))
    assert all(less.per_character_seconds <= more.per_character_seconds for less, more in pairwise(costs))


MEASURED = {
    "kid": (5, 0.1),
    "a" * 100: (23, 0.4),
    "[a-z]" * 100: (130, 6),
    "." * 100: (408, 31),
    "[^a]" * 100: (449, 6.5),
    r"\d" * 100: (2_255, 44),
    r"\w" * 10: (2_519, 37),
    "(?i)k": (16, 0),
    "(?i)" + "k" * 100: (242, 8.4),
    "(?i)kid|teen|minor|school": (214, 0),
    r"(?i)\w": (275, 1.3),
    r"(?i)[\x{0}-\x{ffff}]": (1_099, 1.3),
    r"\b[ab]*a[ab]{50}c\b": (31, 11),
    r"(?:\b.*){100}q": (391, 3_625),
}
"""CPU of compiling in µs, and of searching 16,000 characters in ns each, as measured on 2026-11-27 on a busy host;
`python -m bench.patterns` measures random ones."""


@pytest.mark.parametrize("pattern", MEASURED)
def test_the_bound_is_no_less_than_the_measured_cost(pattern: str) -> None:
    """A pattern that stops moderation would be accepted."""
    compiling, searching = MEASURED[pattern]
    bound = pattern_cost(pattern)
    text = MAX_NOTE_CHARACTERS
    assert bound.compiling_seconds >= compiling * 1e-6
    assert bound.compiling_seconds + text * bound.per_character_seconds >= compiling * 1e-6 + text * searching * 1e-9


@pytest.mark.parametrize("pattern", [*ORDINARY, "(?:.*a){50}x"])
def test_the_bound_is_deterministic(pattern: str) -> None:
    """One host would refuse the policy that is in force on another."""
    first = pattern_cost(pattern)
    pattern_cost.cache_clear()
    assert pattern_cost(pattern) == first


def test_the_largest_pattern_fits_the_budget_of_a_rule() -> None:
    """A pattern that is accepted alone would be refused in every rule."""
    cost = pattern_cost(f"a{{{MAX_LETTERS - 10}}}")
    assert cost.compiling_seconds + cost.per_character_seconds * MAX_NOTE_CHARACTERS < MAX_SECONDS


def _quoted(pattern: str) -> str:
    escaped = pattern.replace("\\", "\\\\")
    return f'"{escaped}"'
