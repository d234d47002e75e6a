"""The policy: what it accepts, what it refuses with which message, and what it finds."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from config.errors import PolicyError
from config.facts import ListMatch, SampleFacts, Severity, StreamFacts, Surroundings
from config.policy.persistence import Persistence, RuleHeld
from config.policy.policy import Policy, load_policy
from config.profiles import BALANCED, VIGILANT

SAMPLE = SampleFacts(capture_ms=1000, pts_seconds=1.0, reason="keyframe", pdq_quality=90)
LIVE = StreamFacts(stream_id="cam-1")


def near(*lists: str) -> SampleFacts:
    return replace(SAMPLE, matches=tuple(ListMatch(list=name, entry="1", distance=2) for name in lists))


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(text)
    return path


def with_condition(tmp_path: Path, condition: str) -> Policy:
    text = f"version: '1'\nrules:\n  - name: mine\n    severity: high\n    when: >-\n      {condition}\n"
    return load_policy(write(tmp_path, text))


def rules_hit(policy: Policy, stream: StreamFacts, sample: SampleFacts) -> list[str]:
    return [hit.rule for hit in policy.evaluate(stream, sample).hits]


class TestDefault:
    def test_any_list_but_selftest_and_allow_is_critical(self) -> None:
        """A match on known material would not reach a moderator first."""
        policy = load_policy(None)
        for name in ("ncmec", "confirmed", "x"):
            (hit,) = policy.evaluate(LIVE, near(name)).hits
            assert hit.severity is Severity.CRITICAL
            assert hit.principles == (1, 5)
            assert hit.matches == (ListMatch(list=name, entry="1", distance=2),)

    def test_allowed_pictures_call_nobody(self) -> None:
        """A picture that a lead has found harmless would be escalated for ever."""
        assert rules_hit(load_policy(None), LIVE, near("allow")) == []

    def test_allow_does_not_hide_another_list(self) -> None:
        """A match on known material could be hidden by an entry of the allow list."""
        assert rules_hit(load_policy(None), LIVE, near("allow", "ncmec")) == ["known-material"]

    @pytest.mark.parametrize(("purpose", "rules"), [("live", []), ("drill", ["selftest"]), ("canary", ["selftest"])])
    def test_test_card_acts_on_drills_only(self, purpose: str, rules: list[str]) -> None:
        """A broadcaster could flood moderators by showing the test card."""
        assert rules_hit(load_policy(None), replace(LIVE, purpose=purpose), near("selftest")) == rules

    def test_test_card_hides_nothing(self) -> None:
        """A broadcaster could hide a match behind the test card."""
        (hit,) = load_policy(None).evaluate(LIVE, near("selftest", "ncmec")).hits
        assert hit.rule == "known-material"
        assert [match.list for match in hit.matches] == ["ncmec"]

    def test_classifier_calls_for_review(self) -> None:
        """Material that is on no list would never be seen by a person."""
        policy = load_policy(None)
        hits = policy.evaluate(LIVE, replace(SAMPLE, scores={"open-nsfw/nsfw": 0.97})).hits
        (hit,) = [hit for hit in hits if policy.rule(hit.rule).mode == "live"]
        assert (hit.severity, hit.principles) == (Severity.REVIEW, (2, 5))

    def test_names_its_dependencies(self) -> None:
        """Doctor could not detect a rule over a score that no classifier computes."""
        policy = load_policy(None)
        assert policy.referenced_scores == {"open-nsfw/nsfw"}
        assert policy.referenced_lists == {"selftest", "allow"}
        assert policy.profile == BALANCED


class TestRefusals:
    @pytest.mark.parametrize(
        ("condition", "column", "told"),
        [
            ('scoers["m/nsfw"] > 0.5', 1, "unknown name 'scoers': did you mean 'scores'? known are coverage, matches"),
            (
                'stream.purpos == "live"',
                8,
                "unknown name 'stream.purpos': did you mean 'stream.purpose'? known are stream.audience, stream.drill",
            ),
            ('signal("r") > 1.0 || matchd("x")', 22, "unknown function 'matchd': did you mean 'matched'? known are"),
            (
                'matches.exists(m, m.lst == "x")',
                21,
                "unknown field of a match 'lst': did you mean 'list'? known are distance, entry, list",
            ),
            ('matches.exists(m, n.list == "x")', 19, "unknown name 'n': known are coverage"),
            ("coverage.failed > 1.0", 10, "unknown name 'coverage.failed': did you mean 'coverage.failed_seconds'?"),
            ('score("m/nsfw") > ', 19, "mismatched input '<EOF>'"),
            ('score("m/nsfw") + 1 > 1.5', 17, "no such operation: double + int: write decimals, as in 1.0"),
            ('matched("a") // || matched("b")', 14, "expected no comment: YAML has them"),
            ('r"a" == "b"', 2, 'expected texts in plain quotes, as in "NAME"'),
            ('"""a""" == "b"', 1, "expected texts in plain quotes"),
            ('score("m/nsfw")', 1, "expected true or false, it gives a double"),
            ("score(1) > 0.5", 1, 'score() takes one text, as in score("NAME")'),
            ('matched("a", "b")', 1, 'matched() takes one text, as in matched("NAME")'),
            ('matched("a") && score(2) > 0.5', 17, "score() takes one text"),
        ],
    )
    def test_condition(
        self, tmp_path: Path, condition: str, column: int | None, told: str, capfd: pytest.CaptureFixture[str]
    ) -> None:
        """A typo in a rule would be noticed only when the rule is needed."""
        with pytest.raises(PolicyError) as caught:
            with_condition(tmp_path, condition)
        text = str(caught.value)
        # The condition begins in column 7 of line 6, its field in column 5 of line 5.
        place = "line 5, column 5" if column is None else f"line 6, column {6 + column}"
        assert f"{tmp_path}/policy.yaml: {place}: rules[0].when (rule 'mine'): " in text
        assert told in text
        assert "\n" not in text
        assert capfd.readouterr() == ("", "")

    @pytest.mark.parametrize(
        ("rule", "told"),
        [
            (
                "{name: a, severty: high, when: 'true'}",
                "line 3, column 15: rules[0].severty (rule 'a'): unknown field 'severty': did you mean 'severity'?",
            ),
            (
                "{name: a, severity: hihg, when: 'true'}",
                "line 3, column 25: rules[0].severity (rule 'a'): unknown severity 'hihg': did you mean 'high'?",
            ),
            ("{name: A b, severity: high, when: 'true'}", "rules[0].name (rule 'A b'): "),
            (
                "{name: a, severity: high, when: 'true', persistence: {hit: 2}}",
                "rules[0].persistence.hit (rule 'a'): unknown field 'hit': did you mean 'hits'? known are hits",
            ),
            (
                "{name: a, severity: critical, when: 'true', action: interrupt}",
                "rules[0].lists (rule 'a'): a rule with `action: interrupt` must name the hash lists",
            ),
            (
                "{name: a, severity: critical, when: 'true', lists: [x]}",
                "only a rule with `action: interrupt` has them",
            ),
            (
                "{name: a, severity: critical, when: 'true', action: interrupt, lists: [selftest]}",
                "rules[0].lists (rule 'a'): selftest: the test card is nothing on a live stream",
            ),
            (
                "{name: a, severity: critical, when: 'true', action: interrupt, lists: [police, allow]}",
                "rules[0].lists (rule 'a'): allow: what is on it was found harmless",
            ),
            (
                "{name: a, severity: critical, when: 'true', action: interrupt, lists: [police, '']}",
                "rules[0].lists (rule 'a'): '': expected a hash list's name",
            ),
            (
                "{name: a, severity: high, when: 'true', cooldown_seconds: yes}",
                "rules[0].cooldown_seconds (rule 'a'): ",
            ),
            (
                "{name: a, severity: high, when: 'true', persistence: {hits: true}}",
                "line 3, column 59: rules[0].persistence.hits (rule 'a'): Input should be a valid integer",
            ),
            (
                "{name: a, severity: high, when: 'true', persistence: {hits: 3, within_seconds: on}}",
                "rules[0].persistence.within_seconds (rule 'a'): Input should be a valid number",
            ),
            ("{name: a, severity: high, when: 'true', principles: [yes]}", "rules[0].principles[0] (rule 'a'): "),
            ("{name: a, name: b}", "line 3, column 15: expected YAML: 'name' is given twice"),
            ("{name: a", "line 4, column 1: "),
            ("5", "rules[0]: "),
        ],
    )
    def test_rule(self, tmp_path: Path, rule: str, told: str) -> None:
        """An operator would not find the faulty field."""
        path = write(tmp_path, f'version: "1"\nrules:\n  - {rule}\n')
        with pytest.raises(PolicyError) as caught:
            load_policy(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert told in str(caught.value)

    @pytest.mark.parametrize(
        ("data", "told"),
        [
            (b"", "expected a mapping with version and rules, found nothing"),
            (b"\xff\xfe", "byte 0: expected UTF-8 text"),
            (b"version: '1'\nrules: []\n", "rules: expected at least one: without rules, no person is ever called"),
            (
                b"version: '1'\nrules: []\nsamplng: x\n",
                "line 3, column 1: samplng: unknown field 'samplng': did you mean 'sampling'? known are",
            ),
            (b"a: \x01\n", "expected YAML"),
            (b"a: !!int x\n", "expected YAML"),
            (b"[" * 5000, "expected YAML"),
            (
                b"version: '1'\nsampling: fast\nrules: [{name: a, severity: high, when: 'true'}]",
                "unknown profile 'fast'",
            ),
            (
                b"version: '1'\nrules: [{name: a, severity: high, when: 'true'}, {name: a, severity: low, when: 'x'}]",
                "rules[1].name (rule 'a'): a name may be given to one rule only: rules[0] has it",
            ),
            (b"version: '1'\nflood: {streams: 1}\nrules: [{name: a, severity: high, when: 'true'}]", "flood.streams: "),
            (
                b"version: '1'\nflood: {stream: 5}\nrules: []",
                "unknown field 'stream': did you mean 'streams'? known are streams, within_seconds",
            ),
            (
                b"version: '1'\nrules: [{name: hash-flood, severity: high, when: 'true'}]",
                "line 2, column 16: rules[0].name (rule 'hash-flood'): livewarden names incidents of `flood` so",
            ),
            (
                b"version: '1'\nprofiles: {mine: {max_gap_second: 1}}\nrules: [{name: a, severity: high, when: a}]",
                "profiles.mine.max_gap_second: unknown field 'max_gap_second': did you mean 'max_gap_seconds'?",
            ),
        ],
    )
    def test_file(self, tmp_path: Path, data: bytes, told: str) -> None:
        """An operator would see a traceback instead of the mistake."""
        path = tmp_path / "policy.yaml"
        path.write_bytes(data)
        with pytest.raises(PolicyError) as caught:
            load_policy(path)
        assert str(caught.value).startswith(f"{path}: ")
        assert told in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_drill_may_test_an_interruption(self, tmp_path: Path) -> None:
        """Nobody could test whether the platform receives a request to interrupt."""
        rule = "{name: a, severity: high, when: 'true', action: interrupt, lists: [confirmed, selftest]}"
        policy = load_policy(write(tmp_path, f'version: "1"\nrules:\n  - {rule}\n'))
        assert policy.rules[0].lists == ("confirmed", "selftest")

    def test_missing_file_and_folder(self, tmp_path: Path) -> None:
        """A wrong path would end in a traceback."""
        for path in (tmp_path / "none.yaml", tmp_path):
            with pytest.raises(PolicyError, match="cannot be read"):
                load_policy(path)

    def test_all_mistakes_are_reported_together(self, tmp_path: Path) -> None:
        """An operator would correct one mistake a restart."""
        path = write(tmp_path, "rules:\n  - {name: a, when: 'x > 1'}\n  - {name: b, severity: no, when: 'true'}\n")
        with pytest.raises(PolicyError) as caught:
            load_policy(path)
        for field in ("version", "rules[0].severity", "rules[0].when", "rules[1].severity"):
            assert field in str(caught.value)


class TestConditions:
    @pytest.mark.parametrize(
        "condition",
        [
            'score("m/none") > 0.5',
            'scores["m/none"] > 0.5',
            'stream.metadata.room == "blue"',
            'stream.metadata["room"] == "blue"',
        ],
    )
    def test_missing_data_does_not_hold(self, tmp_path: Path, condition: str) -> None:
        """A sample without a score, or a stream without metadata, would count as a failed check."""
        evaluation = with_condition(tmp_path, condition).evaluate(LIVE, SAMPLE)
        assert evaluation.hits == ()
        assert evaluation.problems == ()

    def test_sees_all_facts(self, tmp_path: Path) -> None:
        """A rule could not use documented facts."""
        condition = (
            'matches.exists(m, m.list == "x" && m.entry == "1" && m.distance <= 2) && scores["m/a"] > 0.5'
            ' && score("m/a") > 0.5 && matched("x") && stream.id == "cam-1" && stream.purpose == "drill"'
            ' && stream.drill && stream.audience == "public" && stream.risk_prior >= 0.25'
            ' && stream.metadata.room == "blue" && sample.pts_seconds >= 1.0 && sample.reason == "keyframe"'
            " && sample.quality == 90 && sample.capture_ms == 1000"
        )
        stream = replace(LIVE, purpose="drill", risk_prior=0.25, metadata={"room": "blue"})
        policy = with_condition(tmp_path, condition)
        assert rules_hit(policy, stream, replace(near("x"), scores={"m/a": 1.0})) == ["mine"]

    def test_a_failure_is_reported_and_other_rules_go_on(self, tmp_path: Path) -> None:
        """One rule that cannot be evaluated would stop moderation, or fail unnoticed."""
        policy = load_policy(
            write(
                tmp_path,
                "version: 1\nrules:\n"
                "  - {name: broken, severity: high, when: 'stream.metadata.age + 1 > 5'}\n"
                "  - {name: sound, severity: high, when: 'matched(\"x\")'}\n",
            )
        )
        evaluation = policy.evaluate(replace(LIVE, metadata={"age": "many"}), near("x"))
        assert [hit.rule for hit in evaluation.hits] == ["sound"]
        assert evaluation.problems == ("rule-failed:broken",)

    def test_hostile_metadata_stops_nothing(self, tmp_path: Path) -> None:
        """Metadata that CEL cannot represent would hide a match."""
        policy = with_condition(tmp_path, 'matched("x")')
        for notes in ({"a": "\ud800"}, {"a": 2**200}, {"a": [{"b": None}]}):
            assert [hit.rule for hit in policy.evaluate(replace(LIVE, metadata=notes), near("x")).hits] == ["mine"]

    def test_scores_that_are_no_numbers_are_reported(self, tmp_path: Path) -> None:
        """NaN compares as false: a broken classifier would look like a clean stream."""
        policy = with_condition(tmp_path, 'score("m/a") > 0.5')
        evaluation = policy.evaluate(LIVE, replace(SAMPLE, scores={"m/a": float("nan")}))
        assert evaluation.problems == ("score-not-finite:m/a",)

    @given(st.text(max_size=60))
    def test_any_text_is_refused_or_usable(self, text: str) -> None:
        """A typo could end the worker without a message."""
        from config.policy.cel.expressions import Context
        from config.policy.cel.mistakes import ConditionError
        from config.policy.cel.trial import compile_condition

        try:
            condition = compile_condition(text)
        except ConditionError:
            return
        assert Context(LIVE, SAMPLE, Surroundings()).holds(condition) in (True, False)


class TestPersistence:
    @pytest.mark.parametrize(
        ("captures_ms", "met_at"),
        [
            ([0, 5_000, 10_000], 10_000),
            ([0, 5_000, 10_001], None),
            ([10_000, 0, 5_000], 10_000),
            ([0, 0, 0], None),
            ([0, 20_000, 20_001, 20_002, 20_003], 20_002),
            ([], None),
        ],
    )
    def test_counts_instants_by_capture_time(self, captures_ms: list[int], met_at: int | None) -> None:
        """One frame counted three times would call a moderator, or three frames out of order would not."""
        assert Persistence(hits=3, within_seconds=10).met_by(map(RuleHeld, captures_ms)) == met_at


class TestSamplesInARow:
    COUNTED = Persistence(hits=3, of_samples=5)

    @pytest.mark.parametrize(
        ("ordinals", "met_at"),
        [([1, 2, 3], 2_000), ([1, 3, 5], 2_000), ([1, 3, 6], None), ([1, 2, 6, 7, 8], 4_000), ([1, 2], None)],
    )
    def test_counts_samples_whenever_they_were_taken(self, ordinals: list[int], met_at: int | None) -> None:
        """Three of five pictures would be counted as three of four, or of six."""
        seen = [RuleHeld(at * 1_000, (), ordinal) for at, ordinal in enumerate(ordinals)]
        assert self.COUNTED.met_by(seen) == met_at
        assert self.COUNTED.met_by(reversed(seen)) == met_at

    def test_look_back_findings_count_with_nearby_ones(self) -> None:
        """A new hash on three old pictures would call nobody, or one of last week would count with one of today."""
        assert self.COUNTED.met_by(map(RuleHeld, (0, 40_000, 120_000))) == 120_000
        assert self.COUNTED.met_by(map(RuleHeld, (0, 40_000, 120_001))) is None
        newest = RuleHeld(120_001, (), 77)
        earlier = (RuleHeld(0), RuleHeld(1), RuleHeld(1, (), 73), RuleHeld(1, (), 72))
        assert [self.COUNTED.remembers(seen, newest) for seen in earlier] == [False, True, True, False]

    @pytest.mark.parametrize(
        ("given", "told"),
        [
            ({"hits": 6, "of_samples": 5}, "6 of 5 samples: expected no more hits than samples"),
            ({"of_samples": 5, "within_seconds": 9}, "it stands in place of within_seconds"),
            ({"of_samples": 5, "video_frames": 3}, "it stands in place of within_seconds"),
        ],
    )
    def test_a_meaningless_persistence_is_refused(self, given: dict[str, int], told: str) -> None:
        """A rule could never hold, or would count something else than its author thinks."""
        with pytest.raises(ValidationError, match=told):
            Persistence(**given)


def test_the_version_distinguishes_two_files(tmp_path: Path) -> None:
    """Two policies that state the same version could not be distinguished in an event."""
    rule = "{name: a, severity: high, when: 'true'}"
    one = load_policy(write(tmp_path, f"version: 7\nrules: [{rule}]"))
    other = load_policy(write(tmp_path, f"version: 7\nrules: [{rule}]\n"))
    assert one.version.startswith("7+")
    assert one.version != other.version


@pytest.mark.parametrize("version", ["1", "2026-11-25", "1.5", "'7'"])
def test_any_plain_version(tmp_path: Path, version: str) -> None:
    """An operator's version would be refused because YAML takes it for a number or a date."""
    text = f"version: {version}\nrules: [{{name: a, severity: high, when: 'true'}}]"
    assert load_policy(write(tmp_path, text)).stated_version == version.strip("'")


def test_profiles_change_built_in_ones(tmp_path: Path) -> None:
    """An operator could not change how closely streams are sampled."""
    text = (
        "version: '1'\nsampling: mine\nrules: [{name: a, severity: high, when: 'true'}]\n"
        "profiles: {mine: {max_gap_seconds: 1}, vigilant: {max_gap_seconds: 0.25}}\n"
    )
    policy = load_policy(write(tmp_path, text))
    assert policy.profile == BALANCED.model_copy(update={"name": "mine", "max_gap_seconds": 1.0})
    assert policy.profiles["vigilant"] == VIGILANT.model_copy(update={"max_gap_seconds": 0.25})
