"""`livewarden policy check` and `policy test`, as policy people run them."""

import re
from pathlib import Path

import pytest
from commandline import livewarden
from jsonschema import Draft202012Validator

from config.policy import load_policy
from config.schemas import schema
from worker.errors import ReplayError
from worker.replay.caseformat import CaseFile, read_cases

POLICY = """
version: "7"
rules:
  - {name: known, when: 'matched("known")', severity: critical, cooldown_seconds: 60}
  - {name: nude, when: 'score("open-nsfw/nsfw") > 0.5', severity: review, persistence: {hits: 3, within_seconds: 10}}
  - {name: tried, when: 'window.count("open-nsfw/nsfw", 0.8, "20s") >= 2', severity: high, mode: shadow}
"""
CASES = """
version: "1"
policy: policy.yaml
cases:
  - name: three in a row
    samples:
      - {at: 4, scores: {open-nsfw/nsfw: 0.9}, repeat: 3}
    raises:
      - {rule: nude, severity: review, at: 8}
      - {rule: tried, mode: shadow, at: 6}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "cases.yaml").write_text(CASES)
    return tmp_path


class TestCheck:
    def test_a_good_policy_is_told_rule_by_rule(self, folder: Path) -> None:
        """Who wrote it would not know whether it was read as it was meant."""
        ran = livewarden("policy", "check", folder / "policy.yaml")
        assert ran.status == 0
        assert "3 in 10 s" in ran.out
        assert "No mistakes in 3 rules." in ran.out
        (record,) = livewarden("policy", "check", folder / "policy.yaml", "--json").records
        assert (record["ok"], record["version"]) == (True, load_policy(folder / "policy.yaml").version)

    def test_all_mistakes_are_told_with_their_places(self, folder: Path) -> None:
        """Each would be found by another try, the last of them on the night."""
        (folder / "policy.yaml").write_text(
            'version: "7"\n'
            "rules:\n"
            "  - name: nude\n"
            '    when: score("open-nsfw/nsfv") > 0.5\n'
            "    severity: urgent\n"
            "  - name: nude-too\n"
            '    when: scor("open-nsfw/nsfw") > 0.5\n'
            "    severity: high\n"
        )
        ran = livewarden("policy", "check", "policy.yaml", folder=folder)
        assert ran.status == 1
        lines = ran.out.splitlines()
        assert [line.partition(" ")[0] for line in lines[:-1]] == [
            "policy.yaml:4:18:",
            "policy.yaml:5:5:",
            "policy.yaml:7:11:",
        ]
        assert "did you mean 'open-nsfw/nsfw'?" in lines[0]
        assert "rule 'nude-too'" in lines[2]
        assert lines[3] == "3 mistakes: no worker takes this policy"
        *mistakes, summary = livewarden("policy", "check", "policy.yaml", "--json", folder=folder).records
        assert [(one["line"], one["column"], one["rule"]) for one in mistakes] == [
            (4, 18, "nude"),
            (5, 5, "nude"),
            (7, 11, "nude-too"),
        ]
        assert (summary["ok"], summary["mistakes"]) == (False, 3)

    def test_a_score_that_nobody_gives_is_told(self, folder: Path) -> None:
        """The rule would hold for nothing, for ever, and look as good as the others."""
        (folder / "policy.yaml").write_text(POLICY.replace("> 0.5'", '> 0.5 && score("safety-s/nsfw") > 0.5\''))
        ran = livewarden("policy", "check", "policy.yaml", folder=folder)
        assert ran.status == 0
        assert ran.out.splitlines()[-1].startswith("policy.yaml: rule 'nude': safety-s/nsfw is always 0.0: ")
        warning, record = livewarden("policy", "check", "policy.yaml", "--json", folder=folder).records
        assert (warning["type"], warning["rule"], record["ok"]) == ("warning", "nude", True)

    def test_an_unknown_model_is_a_mistake_as_others_are(self, folder: Path) -> None:
        """Whoever mistypes a model's name would get no place and no hint, and a program no record."""
        cascade = "cascade:\n  - {model: open-nsfw}\n  - {model: open-nfsw2}\n  - {model: safetys}\n"
        (folder / "policy.yaml").write_text(POLICY + cascade)
        first = POLICY.count("\n") + 3
        ran = livewarden("policy", "check", "policy.yaml", folder=folder)
        assert ran.status == 1
        told, second, summary = ran.out.splitlines()
        hint = "unknown model 'open-nfsw2': did you mean 'open-nsfw'? known are age, open-nsfw, safety-s, testcard"
        assert told == f"policy.yaml:{first}:13: cascade[1].model: {hint}"
        assert second.startswith(f"policy.yaml:{first + 1}:13: cascade[2].model: unknown model 'safetys': did you mean")
        assert summary == "2 mistakes: no worker takes this policy"
        ran = livewarden("policy", "check", "policy.yaml", "--json", folder=folder)
        assert ran.status == 1
        mistake, _, last = ran.records
        assert (mistake["line"], mistake["column"], mistake["text"]) == (first, 13, hint)
        assert (last["ok"], last["mistakes"]) == (False, 2)

    def test_a_file_that_is_not_there(self, tmp_path: Path) -> None:
        """A mistyped path would look like a policy with a mistake."""
        ran = livewarden("policy", "check", tmp_path / "none.yaml")
        assert ran.status == 2
        assert ran.message == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"


class TestCases:
    def test_the_policy_that_ships_raises_what_it_is_meant_to(self) -> None:
        """A rule that is changed on one's way would be found out on the night when it is needed."""
        ran = livewarden("policy", "test")
        assert (ran.status, ran.err) == (0, "")
        assert "FAIL" not in ran.out

    def test_the_examples_of_the_manual_are_right(self, tmp_path: Path) -> None:
        """Whoever begins by copying them would begin with something that fails."""
        text = (Path(__file__).parents[3] / "docs" / "policy-tests.md").read_text()
        policy, cases = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        (tmp_path / "policy.yaml").write_text(policy)
        (tmp_path / "policy-tests.yaml").write_text(cases)
        ran = livewarden("policy", "test", tmp_path / "policy-tests.yaml")
        assert (ran.status, ran.out.splitlines()[-1]) == (0, "4 of 4 cases passed"), ran.out
        # What the manual shows of a case that fails.
        (tmp_path / "new.yaml").write_text(policy.replace("hits: 3", "hits: 2"))
        told = livewarden("policy", "test", tmp_path / "policy-tests.yaml", "--policy", tmp_path / "new.yaml").out
        shown = [line[4:] for line in text.splitlines() if line.startswith("          ")]
        assert shown
        assert all(line in told for line in shown), told

    def test_cases_that_pass(self, folder: Path) -> None:
        """Rules in shadow and those over windows could not be tested."""
        ran = livewarden("policy", "test", folder / "cases.yaml")
        assert (ran.status, ran.out) == (0, "ok    three in a row\n1 of 1 cases passed\n")

    def test_a_case_that_fails_tells_what_came_instead(self, folder: Path) -> None:
        """Whoever changed a number would have to guess what it does."""
        (folder / "policy.yaml").write_text(POLICY.replace("hits: 3", "hits: 2"))
        ran = livewarden("policy", "test", "cases.yaml", folder=folder)
        assert ran.status == 1
        assert ran.out.splitlines() == [
            "FAIL  three in a row  (cases.yaml:5)",
            "        tried  high  at 6 s  (shadow)",
            "      - nude  review  at 8 s",
            "      + nude  review  at 6 s",
            "0 of 1 cases passed",
        ]
        case, summary = livewarden("policy", "test", "cases.yaml", "--json", folder=folder).records
        assert case["missing"] == [{"rule": "nude", "severity": "review", "at": 8.0, "mode": "live"}]
        assert case["unexpected"] == [{"rule": "nude", "severity": "review", "at": 6.0, "mode": "live"}]
        assert summary == {"type": "summary", "cases": 1, "failed": 1}

    def test_another_policy_can_be_tried_on_the_same_cases(self, folder: Path) -> None:
        """The cases would have to be copied for each new version."""
        (folder / "new.yaml").write_text(POLICY.replace("> 0.5", "> 0.95"))
        ran = livewarden("policy", "test", folder / "cases.yaml", "--policy", folder / "new.yaml")
        assert ran.status == 1
        assert "- nude" in ran.out

    def test_a_policy_that_no_worker_takes_is_not_tried(self, folder: Path) -> None:
        """It would pass its cases, and then no worker would start."""
        unknown = POLICY + "cascade: [{model: open-nsfw}, {model: age}]\n"
        (folder / "new.yaml").write_text(unknown)
        for command in (
            ("test", "cases.yaml", "--policy", "new.yaml"),
            ("replay", "--policy", "new.yaml"),
        ):
            ran = livewarden("policy", *command, folder=folder)
            assert ran.status == 2
            assert ran.message.startswith("new.yaml: line ")
            assert "age estimates age" in ran.message
        (folder / "policy.yaml").write_text(POLICY.replace("open-nsfw/nsfw", "open-nsfw/nswf"))
        ran = livewarden("policy", "test", "cases.yaml", folder=folder)
        assert ran.status == 2
        assert "unknown score 'open-nsfw/nswf': did you mean 'open-nsfw/nsfw'?" in ran.message

    def test_decisions_and_coverage_count(self, folder: Path) -> None:
        """What a cooldown does, or a stream that cannot be looked at, could not be tested."""
        (folder / "policy.yaml").write_text(
            POLICY + "  - {name: dark, when: 'coverage.moderated_seconds < 1.0', severity: high}\n"
        )
        (folder / "cases.yaml").write_text(
            'version: "1"\n'
            "policy: policy.yaml\n"
            "cases:\n"
            "  - name: a decision\n"
            "    samples: [{at: 0, matches: [{list: known}], repeat: 50}]\n"
            "    decisions: [{rule: known, at: 11}]\n"
            "    raises: [{rule: known, at: 0}, {rule: known, at: 72}]\n"
            "  - name: darkness\n"
            "    samples: [{at: 2, coverage: {moderated_seconds: 0.5, failed_seconds: 1.5}}]\n"
            "    raises: [{rule: dark}]\n"
        )
        ran = livewarden("policy", "test", folder / "cases.yaml")
        assert ran.status == 0, ran.out

    @pytest.mark.parametrize(
        ("old", "new", "told"),
        [
            ("rule: nude", "rule: nudes", "case 'three in a row': unknown rule 'nudes': did you mean 'nude'?"),
            ("at: 4", "att: 4", "line 7, column 10: cases[0].samples[0].att: unknown field 'att': did you mean 'at'?"),
            ("repeat: 3", "repeat: 0", "cases[0].samples[0].repeat"),
            ("cases:", "cases: [", "expected YAML"),
            ("policy.yaml", "none.yaml", "none.yaml: cannot be read"),
        ],
    )
    def test_a_mistake_in_the_cases_is_told(self, folder: Path, old: str, new: str, told: str) -> None:
        """A case that tests nothing would pass for ever."""
        (folder / "cases.yaml").write_text(CASES.replace(old, new, 1))
        ran = livewarden("policy", "test", folder / "cases.yaml")
        assert ran.status == 2
        assert told in ran.message


def test_editors_know_the_format_of_cases() -> None:
    """Who writes cases by the schema would be told that they are wrong."""
    written = schema("policy-tests.v1")
    assert {
        key: value for key, value in written.items() if key not in ("$schema", "$id")
    } == CaseFile.model_json_schema()
    Draft202012Validator.check_schema(written)


def test_cases_are_no_other_file(tmp_path: Path) -> None:
    """A policy given by mistake would be told by a traceback."""
    for text in ("", "[]", "1", '{"version": "1", "cases": []}', "a: &a [*a]"):
        path = tmp_path / "cases.yaml"
        path.write_text(text)
        with pytest.raises(ReplayError, match=r"cases\.yaml: "):
            read_cases(path)
    (tmp_path / "cases.json").write_text('{"version": "1", "cases": [{"name": "a", "samples": [], "raises": []}]}')
    assert read_cases(tmp_path / "cases.json")[0].cases[0].name == "a"
