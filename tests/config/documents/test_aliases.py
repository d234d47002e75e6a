"""YAML files of operators: aliases are refused at their place."""

import pytest
import yaml

from config.documents.mistakes import YamlText
from config.errors import PolicyError
from config.policy.policy import parse_policy

BOMB = "a0: &a0 [x]\n" + "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 10))
"""A page that expands to 10^9 values."""


@pytest.mark.parametrize(
    ("text", "line", "column"),
    [
        ("a: &a {x: 1}\nb: *a", 2, 4),
        ("a: &a {x: 1}\nb:\n  <<: *a", 3, 7),
        ("a: &a b\n*a : 1", 2, 1),
        ("&a [*a]", 1, 5),
        ("a: &a {b: [1, *a]}", 1, 15),
        (BOMB, 2, 10),
    ],
)
def test_aliases_are_refused(text: str, line: int, column: int) -> None:
    """A page of text would block a worker that loads it."""
    with pytest.raises(yaml.MarkedYAMLError, match=r"\*a0? is an alias: write its value out") as error:
        YamlText(text)
    assert error.value.problem_mark is not None
    assert (error.value.problem_mark.line + 1, error.value.problem_mark.column + 1) == (line, column)


def test_an_anchor_without_an_alias_is_accepted() -> None:
    """A file would be refused for an unused name."""
    assert YamlText("a: &a {x: 1}").value == {"a": {"x": 1}}


def test_a_policy_with_an_alias_is_refused_with_its_place() -> None:
    """An operator would not learn where to repeat the value."""
    text = 'version: "1"\nrules:\n  - {name: a, severity: high, when: &shared "true"}\n'
    with pytest.raises(
        PolicyError, match=r"^p\.yaml: line 4, column 37: expected YAML: \*shared is an alias: write its value out$"
    ):
        parse_policy(f"{text}  - {{name: b, severity: high, when: *shared}}\n".encode(), "p.yaml")
