"""Policies and manifests that would take seconds or minutes to parse: a worker parses its policy each second, and again
in each process that it forks."""

from collections.abc import Callable
from pathlib import Path
from time import process_time

import pytest

from config.documents.loading import MAX_BYTES
from config.errors import LivewardenError, PolicyError
from config.policy.policy import load_policy, parse_policy
from models.classifiers.package import read_package

MOST_SECONDS = 3.0
"""Seconds of CPU on a slow machine; without its limit each of the files takes from three seconds to a quarter of an
hour."""

ROOM = MAX_BYTES - 300


def rules(count: int, when: Callable[[int], str]) -> str:
    return "rules:\n" + "".join(
        f"- {{name: a{number}, severity: high, when: '{when(number)}'}}\n" for number in range(count)
    )


ONE = rules(1, lambda _: "true")
BASE_60 = "1:" * (ROOM // 2) + "1"

COSTLY = {
    "brackets": ("x: [" + "a," * (ROOM // 2) + "]", "over 40,000 keys, values and brackets"),
    "keys": (ONE + "".join(f"k{number}: 1\n" for number in range(ROOM // 11)), "over 40,000 keys, values and brackets"),
    "some keys": (ONE + "".join(f"k{number}: 1\n" for number in range(9_000)), "and 8,900 fields more"),
    "a key": (f"{ONE}? {'k' * (ROOM - 100)}\n: 1", "unknown field 'kkkkk"),
    "a number of base 60": (f"{ONE}x: {BASE_60}", "a number of"),
    "decimals of base 60": (f"{ONE}x: {BASE_60}.5", "a number of"),
    "nesting": ("x: " + "[" * (ROOM - 10), "nested deeper than 100"),
    "rules": (rules(2_000, lambda number: f'score("m/x") > 0.{number + 1}'), "2,000 entries: expected at most 250"),
    "choices": (
        f"{ONE}profiles: {{{', '.join(f'p{number:05}x: {{}}' for number in range(3_000))}}}\n"
        f"sampling_for: [{', '.join(f'{{profile: q{number:05}x, when: true}}' for number in range(100))}]",
        "3,000 entries: expected at most 100",
    ),
    "expensive rules": (
        rules(250, lambda number: f'matches.exists(m, m.tags.exists(t, t == "{number}" || t.startsWith("{number}")))'),
        "the rules up to this one could cost 1 s of CPU on one picture",
    ),
    "mistakes in rules": (rules(250, lambda _: "matchd(1) || " * 60 + "true"), "fields more"),
}


@pytest.mark.parametrize("name", COSTLY)
def test_a_policy_that_is_costly_to_parse_is_refused(name: str) -> None:
    """A writer of the policy file, by mistake or on purpose, would block each worker that reads it."""
    text, expected = COSTLY[name]
    data = f"version: '1'\n{text}".encode()
    assert len(data) <= MAX_BYTES
    started = process_time()
    with pytest.raises(PolicyError) as caught:
        parse_policy(data, "policy.yaml")
    assert process_time() - started < MOST_SECONDS
    assert expected in str(caught.value), str(caught.value)[:300]
    assert len(str(caught.value)) < 100_000


@pytest.mark.parametrize("name", ["brackets", "keys", "some keys", "a key", "a number of base 60", "nesting"])
def test_a_manifest_that_is_costly_to_parse_is_refused(name: str, tmp_path: Path) -> None:
    """Each worker that starts would be blocked, since it parses all manifests of a folder."""
    path = tmp_path / "model.yaml"
    path.write_text(COSTLY[name][0])
    started = process_time()
    with pytest.raises(LivewardenError, match=r"model\.yaml"):
        read_package(path, origin="test")
    assert process_time() - started < MOST_SECONDS


def test_a_file_that_is_too_large_is_refused_unread(tmp_path: Path) -> None:
    """A mistyped path, for example of a film, would fill the memory."""
    path = tmp_path / "policy.yaml"
    path.write_text(f"version: '1'\n{ONE}" + "# a comment\n" * (MAX_BYTES // 12))
    with pytest.raises(PolicyError, match=f"over {MAX_BYTES} bytes"):
        load_policy(path)
    path = path.with_name("model.yaml")
    path.write_bytes(bytes(MAX_BYTES + 1))
    with pytest.raises(LivewardenError, match=r"model\.yaml"):
        read_package(path, origin="test")


@pytest.mark.parametrize(
    "value", ["!!int ''", "!!int x", "!!float ''", "!!bool x", "!!timestamp x", "!!timestamp 2020-99-99"]
)
def test_a_value_that_does_not_fit_its_tag_is_reported_with_its_place(value: str) -> None:
    """PyYAML raises KeyError, IndexError and the like: a worker's log would show a traceback each second."""
    with pytest.raises(PolicyError, match=r"p\.yaml: line 2, column 4: expected YAML: a value that does not fit '\w+'"):
        parse_policy(f"version: '1'\nx: {value}\n{ONE}".encode(), "p.yaml")


def test_the_largest_plausible_policy_is_accepted() -> None:
    """The limits would refuse a real policy with many rules."""
    text = rules(250, lambda number: f'matched("list-{number}") || score("m/label-{number}") >= 0.{number + 1}')
    started = process_time()
    assert len(parse_policy(f"version: '1'\n{text}".encode(), "policy.yaml").rules) == 250
    assert process_time() - started < MOST_SECONDS
