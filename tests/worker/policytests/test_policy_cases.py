"""Test cases of policies, as policy authors run them with `livewarden policy test`."""

import re
from pathlib import Path

import pytest
from commandline import Ran, livewarden
from jsonschema import Draft202012Validator

from config.schemas import schema
from worker.errors import ReplayError
from worker.policytests.case_format import CaseFile, read_cases

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


class TestCases:
    def test_the_shipped_policy_raises_what_its_cases_expect(self) -> None:
        """A rule changed by accident would be noticed only when it is needed."""
        ran = livewarden("policy", "test")
        assert (ran.status, ran.err) == (0, "")
        assert "FAIL" not in ran.out

    def test_the_examples_of_the_manual_are_right(self, tmp_path: Path) -> None:
        """A user who copies an example would start with a failing case."""
        text = (Path(__file__).parents[3] / "docs" / "policy-tests.md").read_text()
        policy, cases = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
        (tmp_path / "policy.yaml").write_text(policy)
        (tmp_path / "policy-tests.yaml").write_text(cases)
        ran = livewarden("policy", "test", tmp_path / "policy-tests.yaml")
        assert (ran.status, ran.out.splitlines()[-1]) == (0, "4 of 4 cases passed"), ran.out
        # The manual's output of a failing case.
        (tmp_path / "new.yaml").write_text(policy.replace("hits: 3", "hits: 2"))
        reported = livewarden("policy", "test", tmp_path / "policy-tests.yaml", "--policy", tmp_path / "new.yaml").out
        shown = [line[4:] for line in text.splitlines() if line.startswith("          ")]
        assert shown
        assert all(line in reported for line in shown), reported

    def test_passing_cases(self, folder: Path) -> None:
        """Shadow rules and rules over windows could not be tested."""
        ran = livewarden("policy", "test", folder / "cases.yaml")
        assert (ran.status, ran.out) == (0, "ok    three in a row\n1 of 1 cases passed\n")

    def test_a_failed_case_shows_the_raised_incidents(self, folder: Path) -> None:
        """An author who changed a threshold could not see its effect."""
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

    def test_another_policy_can_be_run_on_the_same_cases(self, folder: Path) -> None:
        """The cases would have to be copied for each version."""
        (folder / "new.yaml").write_text(POLICY.replace("> 0.5", "> 0.95"))
        ran = livewarden("policy", "test", folder / "cases.yaml", "--policy", folder / "new.yaml")
        assert ran.status == 1
        assert "- nude" in ran.out

    def test_a_policy_that_workers_refuse_is_not_tested(self, folder: Path) -> None:
        """It would pass its cases, and no worker would start with it."""
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
        """The effect of a cooldown, or of a stream that cannot be moderated, could not be tested."""
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

    def test_silence_ends_an_incident(self, folder: Path) -> None:
        """A case would pass, and a live stream call a person twice."""
        (folder / "policy.yaml").write_text(POLICY + "silence_seconds: 100\n")
        (folder / "cases.yaml").write_text(
            'version: "1"\n'
            "policy: policy.yaml\n"
            "cases:\n"
            "  - name: a pause\n"
            "    samples: [{at: 0, matches: [{list: known}]}, {at: 99, matches: [{list: known}]},\n"
            "              {at: 199, matches: [{list: known}]}]\n"
            "    raises: [{rule: known, at: 0}, {rule: known, at: 199}]\n"
        )
        ran = livewarden("policy", "test", folder / "cases.yaml")
        assert ran.status == 0, ran.out

    @pytest.mark.parametrize(
        ("old", "new", "reported"),
        [
            ("rule: nude", "rule: nudes", "case 'three in a row': unknown rule 'nudes': did you mean 'nude'?"),
            ("at: 4", "att: 4", "line 7, column 10: cases[0].samples[0].att: unknown field 'att': did you mean 'at'?"),
            ("repeat: 3", "repeat: 0", "cases[0].samples[0].repeat"),
            ("cases:", "cases: [", "cases.yaml: line 5, column 3: expected YAML: "),
            ("policy.yaml", "none.yaml", "none.yaml: cannot be read"),
            ("at: 4", "at: yes", "cases[0].samples[0].at: Input should be a valid number"),
            (
                "repeat: 3}",
                "repeat: 6000}\n      - {at: 0.5, repeat: 6000, every: 1}",
                "cases.yaml: line 6, column 5: cases[0].samples: 12,000 pictures with repetitions: "
                "expected at most 10,000 a case",
            ),
            (
                "open-nsfw/nsfw: 0.9}",
                "open-nsfw/nsfv: 0.9}",
                "cases.yaml: line 7, column 26: cases[0].samples[0].scores.open-nsfw/nsfv: unknown score "
                "'open-nsfw/nsfv': did you mean 'open-nsfw/nsfw'?",
            ),
            (
                "at: 4,",
                "at: 4, matches: [{list: knwon}],",
                "line 7, column 28: cases[0].samples[0].matches[0].list: unknown list 'knwon': did you mean 'known'?",
            ),
            ("raises:", "degraded: [rule-failed:nudes]\n    raises:", "unknown rule 'nudes': did you mean 'nude'?"),
            ("raises:", "degraded: [rule-faild:nude]\n    raises:", "line 8, column 16: cases[0].degraded[0]: "),
        ],
    )
    def test_a_mistake_in_the_cases_is_reported(self, folder: Path, old: str, new: str, reported: str) -> None:
        """A case that tests nothing would always pass."""
        (folder / "cases.yaml").write_text(CASES.replace(old, new, 1))
        ran = livewarden("policy", "test", folder / "cases.yaml")
        assert ran.status == 2
        assert reported in ran.message


@pytest.mark.parametrize(("text", "found"), [("", "nothing"), ("- 1", "a list"), ("5", "a single value")])
def test_a_file_that_is_none_of_cases_is_refused_in_words(tmp_path: Path, text: str, found: str) -> None:
    """Policy people would read the name of a class."""
    (tmp_path / "cases.yaml").write_text(text)
    ran = livewarden("policy", "test", "cases.yaml", folder=tmp_path)
    assert ran.status == 2
    assert ran.message == f"cases.yaml: expected a mapping with version and cases, found {found}"


class TestUnusedNames:
    """Names in cases that no rule refers to: a misspelt name tests nothing, yet a case may be about an unused list."""

    CASES = """
version: "1"
policy: policy.yaml
cases:
  - name: quiet
    stream: {signals: {SIGNAL: 3}}
    samples: [{at: 0, matches: [{list: LIST}]}]
    raises: []
"""

    def run(self, folder: Path, when: str, *, name: str = "known", signal: str = "reports") -> Ran:
        (folder / "policy.yaml").write_text(
            f"version: '1'\nrules:\n  - name: r\n    when: >-\n      {when}\n    severity: high\n"
        )
        (folder / "cases.yaml").write_text(self.CASES.replace("LIST", name).replace("SIGNAL", signal))
        return livewarden("policy", "test", "cases.yaml", folder=folder)

    SIGNALS = 'signal("reports") > 5.0 && matched("known")'

    def test_used_names_give_no_warning(self, folder: Path) -> None:
        """Warnings in every good run would train users to ignore them."""
        assert self.run(folder, self.SIGNALS).out == "ok    quiet\n1 of 1 cases passed\n"

    def test_a_name_similar_to_a_used_one_gives_a_warning(self, folder: Path) -> None:
        """A case with a typo would always pass, even if the rule breaks."""
        reported = self.run(folder, self.SIGNALS, signal="reprots")
        assert reported.status == 2
        assert reported.message.startswith(
            "cases.yaml: line 6, column 24: cases[0].stream.signals.reprots: unknown signal "
        )

    def test_a_name_unlike_any_used_one_gives_no_warning(self, folder: Path) -> None:
        """A case could not show that a rule ignores other lists."""
        ran = self.run(folder, self.SIGNALS, name="wallpapers")
        assert ran.status == 0
        assert ran.out.splitlines()[0] == "cases.yaml:7:34: no rule names the list 'wallpapers'"
        records = livewarden("policy", "test", "cases.yaml", "--json", folder=folder)
        assert [(one["line"], one["field"]) for one in records.of_type("warning")] == [
            (7, "cases[0].samples[0].matches[0].list")
        ]

    def test_a_rule_for_any_list_uses_all_names(self, folder: Path) -> None:
        """A rule for all lists would have to name each of them."""
        when = 'matches.exists(m, m.list in ["known", "other"] && m.distance < 0) && signals["reports"] > 5.0'
        assert self.run(folder, when, name="wallpapers").out.startswith("ok ")
        assert self.run(folder, when, name="other").out.startswith("ok ")
        ran = self.run(folder, when, name="knwon")
        assert (ran.status, ran.out.splitlines()[0]) == (
            0,
            "cases.yaml:7:34: no rule names the list 'knwon': did you mean 'known'?",
        )


class TestFailingRules:
    @pytest.fixture
    def failing(self, folder: Path) -> Path:
        level = (
            "  - {name: level, when: 'score(\"open-nsfw/nsfw\") > 0.95 && stream.metadata.level > 3', severity: high}\n"
        )
        (folder / "policy.yaml").write_text(POLICY + level)
        (folder / "cases.yaml").write_text(
            'version: "1"\n'
            "policy: policy.yaml\n"
            "cases:\n"
            "  - name: text\n"
            "    stream: {metadata: {level: high}}\n"
            "    samples: [{at: 0, scores: {open-nsfw/nsfw: 0.96}, repeat: 2, every: 30}]\n"
            "    raises: []\n"
        )
        return folder

    def test_they_fail_the_case(self, failing: Path) -> None:
        """A rule that can never hold would pass every case in which it should stay silent."""
        ran = livewarden("policy", "test", "cases.yaml", folder=failing)
        assert ran.status == 1
        assert ran.out.splitlines() == [
            "FAIL  text  (cases.yaml:4)",
            "      + rule-failed:level  on 2 pictures",
            "      nothing was raised",
            "0 of 1 cases passed",
        ]
        (case,) = livewarden("policy", "test", "cases.yaml", "--json", folder=failing).of_type("case")
        assert (case["passed"], case["degraded"], case["degraded_unexpected"]) == (
            False,
            {"rule-failed:level": 2},
            ["rule-failed:level"],
        )

    def test_a_case_may_expect_the_failure(self, failing: Path) -> None:
        """A case could not show that other rules go on when one fails."""
        cases = failing / "cases.yaml"
        cases.write_text(cases.read_text() + "    degraded: [rule-failed:level]\n")
        assert livewarden("policy", "test", cases).status == 0
        cases.write_text(cases.read_text().replace("level: high", "level: 1").replace("failed:level", "slow:level"))
        assert livewarden("policy", "test", cases).status == 0  # whether a rule is slow depends on the machine
        cases.write_text(cases.read_text().replace("slow:level", "failed:level"))
        ran = livewarden("policy", "test", "cases.yaml", folder=failing)
        assert ran.status == 1
        assert ran.out.splitlines()[1] == "      - rule-failed:level"


def test_the_schema_of_cases_accepts_valid_files() -> None:
    """Editors would mark valid cases as wrong."""
    written = schema("policy-tests.v1")
    assert {
        key: value for key, value in written.items() if key not in ("$schema", "$id")
    } == CaseFile.model_json_schema()
    Draft202012Validator.check_schema(written)


def test_a_file_of_another_kind_is_refused(tmp_path: Path) -> None:
    """A policy passed by mistake would end in a traceback."""
    for text in ("", "[]", "1", '{"version": "1", "cases": []}', "a: &a [*a]"):
        path = tmp_path / "cases.yaml"
        path.write_text(text)
        with pytest.raises(ReplayError, match=r"cases\.yaml: "):
            read_cases(path)
    (tmp_path / "cases.json").write_text('{"version": "1", "cases": [{"name": "a", "samples": [], "raises": []}]}')
    assert read_cases(tmp_path / "cases.json")[0].cases[0].name == "a"
