"""YAML files of operators: what they say twice, or without end, is refused where it stands."""

from time import process_time

import pytest
import yaml

from config.documents.aliases import MAX_ALIASED_VALUES
from config.documents.mistakes import YamlText
from config.errors import PolicyError
from config.policy.policy import parse_policy

LEVELS = 9


def bomb(*, merged: bool) -> str:
    """A page that stands for 10^9 values: lists of lists, or mappings that take over mappings (`<<`)."""
    first, other = ("{x: 1}", "{{<<: [{}]}}") if merged else ("[x]", "[{}]")
    lines = [f"a0: &a0 {first}"]
    for level in range(1, LEVELS + 1):
        aliases = ", ".join([f"*a{level - 1}"] * 10)
        lines.append(f"a{level}: &a{level} {other.format(aliases)}")
    return "\n".join(lines)


@pytest.mark.parametrize("merged", [False, True])
def test_aliases_of_aliases_are_refused_at_once(merged: bool) -> None:
    """A page of text would hold a worker that loads it for ever."""
    started = process_time()
    with pytest.raises(yaml.MarkedYAMLError, match=f"aliases stand for over {MAX_ALIASED_VALUES} values") as error:
        YamlText(bomb(merged=merged))
    assert process_time() - started < 1
    assert error.value.problem_mark is not None
    assert error.value.problem_mark.line in range(4, LEVELS + 1)


@pytest.mark.parametrize("text", ["&a [*a]", "a: &a {b: [1, *a]}"])
def test_an_alias_inside_of_itself_is_refused(text: str) -> None:
    """What walks over the document would never come to its end."""
    with pytest.raises(yaml.MarkedYAMLError, match="an alias stands for what it is in"):
        YamlText(text)


def test_aliases_as_people_use_them_are_read() -> None:
    """A policy says a thing once and names it elsewhere."""
    many = ", ".join(["*a"] * 1000)
    document = YamlText(f"a: &a {{x: 1, y: 2}}\nb: {{<<: *a, y: 3}}\nc: [{many}]")
    assert document.value["b"] == {"x": 1, "y": 3}
    assert document.value["c"] == [{"x": 1, "y": 2}] * 1000


def test_a_long_file_without_aliases_is_read() -> None:
    """The bound is on what aliases add: a file of many test cases is no attack."""
    assert len(YamlText("- a\n" * (MAX_ALIASED_VALUES + 1)).value) == MAX_ALIASED_VALUES + 1


def test_a_policy_with_such_aliases_is_refused_with_its_line() -> None:
    """An operator's upload would hang the worker that checks it."""
    with pytest.raises(PolicyError, match=r"p\.yaml: line \d+, column \d+: aliases stand for"):
        parse_policy(bomb(merged=False).encode(), "p.yaml")
