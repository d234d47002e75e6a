"""Mistakes in a policy: all are reported together, each at its place, without consequential ones."""

from pathlib import Path

import pytest

from config.documents.mistakes import YamlText
from config.errors import PolicyError
from config.policy.policy import parse_policy
from worker.errors import ReplayError
from worker.policytests.case_format import read_cases

RULE = "{name: a, severity: high, when: 'true'}"


def mistakes_in(text: str) -> list[str]:
    """Each mistake with its line and column in front."""
    with pytest.raises(PolicyError) as caught:
        parse_policy(text.encode(), "policy.yaml")
    return [f"{one.line}:{one.column} {one.field}: {one.text}" for one in caught.value.mistakes]


def beginnings(told: list[str], expected: list[str]) -> list[str]:
    return [one[: len(begin)] for one, begin in zip(told, expected, strict=True)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            # Every mistake between parts, beside mistakes in the parts themselves.
            "version: '1'\n"
            "sampling: fast\n"
            "sampling_for:\n"
            "  - {profile: balanced, when: 'true'}\n"
            "  - {profile: vigilent, when: 'stream.risk_prior > 0.5'}\n"
            "cascade:\n"
            "  - {model: one}\n"
            "  - {model: one}\n"
            "  - {model: two, when: 'true || score(\"three/x\") > 0.5'}\n"
            "rules:\n"
            "  - {name: a, severity: high, when: 'true', cooldown: 5}\n"
            "  - {name: b, severity: hi, when: 'true', action: interrupt}\n"
            "  - {name: a, severity: high, when: 'true'}\n",
            [
                "2:11 sampling: unknown profile 'fast': known are balanced, economy, vigilant",
                "5:15 sampling_for[1].profile: unknown profile 'vigilent': did you mean 'vigilant'?",
                "8:13 cascade[1].model: 'one': a model may stand in one stage only",
                "9:40 cascade[2].when: no stage before gives the score 'three/x': only one stands before 'two'",
                "11:45 rules[0].cooldown: unknown field 'cooldown': did you mean 'cooldown_seconds'?",
                "12:5 rules[1].lists: a rule with `action: interrupt` must name the hash lists",
                "12:25 rules[1].severity: unknown severity 'hi': did you mean 'high'? known are critical, high, review",
                "13:12 rules[2].name: a name may be given to one rule only: rules[0] has it",
            ],
        ),
        (
            "version: '1'\nrules: [{name: a, severity: HIGH, when: 'true', mode: shadwo}]\n",
            [
                "2:29 rules[0].severity: unknown severity 'HIGH': did you mean 'high'?",
                "2:55 rules[0].mode: unknown mode 'shadwo': did you mean 'shadow'? known are live, shadow",
            ],
        ),
        (
            # A mistake in a part causes no further ones in the parts that refer to it.
            "version: '1'\n"
            "profiles: [mine]\n"
            "sampling: mine\n"
            "cascade: [{modle: one}, {model: two, when: 'score(\"one/x\") > 0.5'}]\n"
            "rules: [{name: a, severity: high, when: 'true', action: interupt, lists: [police]}]\n",
            [
                "2:1 profiles: Input should be a valid dictionary",
                "4:11 cascade[0].model: Field required",
                "4:12 cascade[0].modle: unknown field 'modle': did you mean 'model'?",
                "5:57 rules[0].action: unknown action 'interupt': did you mean 'interrupt'?",
            ],
        ),
        (
            "version: '1'\nrules: [{name: a, severity: high, when: 'true', principles: [0]}]\n",
            ["2:62 rules[0].principles[0]: Input should be greater than or equal to 1"],
        ),
        (
            "version: '1'\nrules: [{name: a, severity: high, when: 'true', principles: []}]\n",
            ["2:49 rules[0].principles: Tuple should have at least 1 item"],
        ),
    ],
)
def test_all_mistakes_are_reported_together_with_their_places(text: str, expected: list[str]) -> None:
    """An author in a hurry would find one mistake a run; or correct what is right."""
    told = mistakes_in(text)
    assert beginnings(told, expected) == expected, told


@pytest.mark.parametrize(
    "rule",
    [
        '  - name: a\n    when: !matched("police")\n    severity: high\n',
        "  - name: a\n    when: !matched\n    severity: high\n",
        "  - name: a\n    when: !stream.drill && !stream.metadata.ok\n    severity: high\n",
        '  - name: a\n    when: !(score("m/a") > 0.5)\n    severity: high\n',
        '  - name: a\n    when:\n          !matched("police")\n    severity: high\n',
        "  - {a: 1, when: !stream.drill, severity: high}\n",
    ],
)
def test_a_condition_that_is_parsed_as_a_tag(rule: str) -> None:
    """`expected ' ', but found '"'` would not say that quotes are missing."""
    text = f"version: '1'\nrules:\n{rule}"
    line = text[: text.index("!")].count("\n") + 1
    column = text.index("!") - text.rindex("\n", 0, text.index("!"))
    (told,) = mistakes_in(text)
    assert told.startswith(f"{line}:{column} : a condition that begins with ! needs quotes around it"), told


def test_other_yaml_mistakes_are_reported_as_they_are() -> None:
    """An author who forgot a bracket would look for an exclamation mark."""
    for text in ("a: '!x'\nb: [", "a: !!int x", "a: x != y\nb: {"):
        (told,) = mistakes_in(text)
        assert "expected YAML" in told


def test_a_mistake_in_a_case_causes_no_other(tmp_path: Path) -> None:
    """A mistyped field of the only case would also be reported as a file without cases."""
    path = tmp_path / "cases.yaml"
    path.write_text("version: '1'\ncases:\n  - {name: a, samples: [], raises: [], riases: []}\n")
    with pytest.raises(ReplayError) as caught:
        read_cases(path)
    assert "unknown field 'riases': did you mean 'raises'?" in str(caught.value)
    assert "at least 1 item" not in str(caught.value)


@pytest.mark.parametrize(
    ("rule", "place"),
    [
        ('when: |\n      true &&\n        matchd("x")', "6:9"),
        ('when: >-\n      true &&\n        matchd("x") &&\n\n      true', "6:9"),
        ('when: >-\n      true &&\n\n\n      matchd("x")', "8:7"),
        ('when: >+ # said twice\n      true &&\n      true && matchd("x")\n\n', "6:15"),
        ('when: |2\n       true &&\n      matchd("x")', "6:7"),
        ("when: 'stream.id == ''a'' || matchd(\"x\")'", "4:34"),
        ('when: "stream.id == \\"\\u0061\\" || matchd(\\"x\\")"', "4:39"),
        ('when: "true &&\\\n       true &&\n\n   matchd(\\"x\\")"', "7:4"),
        ('when: true &&\n      matchd("x")', "5:7"),
        ('when: "\\"é\\" == \\"é\\" || matchd(\\"x\\")"', "4:30"),
        ('when: &cond\n      true || matchd("x")', "5:15"),
        ('when: &cond # of both\n      |-\n      true ||\n       matchd("x")', "7:8"),
        ('when: !!str "true || matchd(\\"x\\")"', "4:26"),
        ('when: >-\r\n      true ||\r\n       matchd("x")\r\n', "6:8"),
    ],
)
def test_a_mistake_is_located_in_every_yaml_style(rule: str, place: str) -> None:
    """A mistake in line 9 of a condition that begins in line 4 would be reported at line 4."""
    (told,) = mistakes_in(f'version: "1"\nrules:\n  - name: a\n    {rule}\n    severity: high\n')
    assert told.startswith(f"{place} rules[0].when: unknown function 'matchd'"), told


def test_a_mappings_own_values_precede_merged_ones() -> None:
    """A mistake in one rule would be reported at another, which is right."""
    document = YamlText("b:\n  <<: {x: 1, y: 2}\n  y: 3\n")
    assert document.value["b"] == {"x": 1, "y": 3}
    assert document.place(("b", "y"), 0) == (3, 6)
    assert document.place(("b", "x"), 0) == (2, 11)
