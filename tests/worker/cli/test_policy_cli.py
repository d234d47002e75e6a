"""`livewarden policy check` as policy authors run it."""

import secrets
from pathlib import Path

import pytest
from commandline import livewarden
from redis import Redis

from config.policy.policy import load_policy
from worker.bank.imports import import_file
from worker.bank.snapshot_storage import SnapshotStorage

POLICY = """
version: "7"
rules:
  - {name: known, when: 'matched("known")', severity: critical, cooldown_seconds: 60}
  - {name: nude, when: 'score("open-nsfw/nsfw") > 0.5', severity: review, persistence: {hits: 3, within_seconds: 10}}
  - {name: tried, when: 'window.count("open-nsfw/nsfw", 0.8, "20s") >= 2', severity: high, mode: shadow}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    return tmp_path


class TestCheck:
    def test_a_good_policy_is_reported_rule_by_rule(self, folder: Path) -> None:
        """An author could not check that a policy was read as intended."""
        ran = livewarden("policy", "check", folder / "policy.yaml")
        assert ran.status == 0
        assert "3 in 10 s" in ran.out
        assert "No mistakes in 3 rules." in ran.out
        (record,) = livewarden("policy", "check", folder / "policy.yaml", "--json").records
        assert (record["ok"], record["version"]) == (True, load_policy(folder / "policy.yaml").version)

    def test_all_mistakes_are_reported_with_their_places(self, folder: Path) -> None:
        """Each mistake would take another run to find."""
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
            "policy.yaml:5:15:",
            "policy.yaml:7:11:",
        ]
        assert "did you mean 'open-nsfw/nsfw'?" in lines[0]
        assert "rule 'nude-too'" in lines[2]
        assert lines[3] == "3 mistakes: workers refuse this policy"
        *mistakes, summary = livewarden("policy", "check", "policy.yaml", "--json", folder=folder).records
        assert [(one["line"], one["column"], one["rule"]) for one in mistakes] == [
            (4, 18, "nude"),
            (5, 15, "nude"),
            (7, 11, "nude-too"),
        ]
        assert (summary["ok"], summary["mistakes"]) == (False, 3)

    def test_an_unknown_score_is_reported(self, folder: Path) -> None:
        """A rule with a misspelt score would never hold, and look like the others."""
        (folder / "policy.yaml").write_text(POLICY.replace("> 0.5'", '> 0.5 && score("safety-s/nsfw") > 0.5\''))
        ran = livewarden("policy", "check", "policy.yaml", folder=folder)
        assert ran.status == 0
        assert ran.out.splitlines()[-1].startswith("policy.yaml: rule 'nude': safety-s/nsfw is always 0.0: ")
        warning, record = livewarden("policy", "check", "policy.yaml", "--json", folder=folder).records
        assert (warning["type"], warning["rule"], record["ok"]) == ("warning", "nude", True)

    def test_a_list_that_a_deployment_lacks_is_reported(self, folder: Path, redis_url: str, redis: Redis) -> None:
        """A typo would keep the rule for the worst material from ever holding."""
        (folder / "policy.yaml").write_text(POLICY.replace('matched("known")', 'matched("ncmecc")'))
        (folder / "lists").mkdir()
        (folder / "lists" / "police.csv").write_text(f"hash\n{secrets.token_hex(32)}\n")
        ran = livewarden("policy", "check", "policy.yaml", folder=folder)
        assert (ran.status, "ncmecc" in ran.out) == (0, False)
        assert "lists that rules name were not compared: Redis: " in ran.err
        assert ran.err.count("\n") == 1
        environment = {
            "LIVEWARDEN_REDIS_URL": redis_url,
            "LIVEWARDEN_LISTS_DIR": "lists",
            "LIVEWARDEN_BANK_DIR": "bank",
        }
        assert redis.ping()
        storage = SnapshotStorage(root=folder / "bank", dedicated=True)
        for small_changes in (5_000, 0):  # in Redis, and in a snapshot
            ran = livewarden("policy", "check", "policy.yaml", folder=folder, environment=environment)
            assert (ran.status, ran.err) == (0, "")
            reported = ran.out.splitlines()[-1]
            assert reported.startswith("policy.yaml:4:35: rule 'known': no list 'ncmecc' is in this deployment: ")
            assert ("did you mean 'ncmec'?" in reported) == (small_changes == 0)
            assert "police" in reported
            assert reported.endswith("; this rule never fires")
            import_file(redis, storage, "ncmec", folder / "lists" / "police.csv", small_changes=small_changes)
        ran = livewarden("policy", "check", "policy.yaml", "--json", folder=folder, environment=environment)
        warning, record = ran.records
        assert ran.status == 0
        assert record["lists_compared"] is True
        assert {name: warning[name] for name in ("type", "rule", "kind", "name", "nearest", "never_fires", "line")} == {
            "type": "warning",
            "rule": "known",
            "kind": "list",
            "name": "ncmecc",
            "nearest": "ncmec",
            "never_fires": True,
            "line": 4,
        }
        import_file(redis, storage, "ncmecc", folder / "lists" / "police.csv", small_changes=0)
        (record,) = livewarden(
            "policy", "check", "policy.yaml", "--json", folder=folder, environment=environment
        ).records
        assert record["ok"]

    def test_an_unknown_model_is_reported_with_place_and_hint(self, folder: Path) -> None:
        """An author who mistypes a model's name would get no place and no hint, and a program no record."""
        cascade = "cascade:\n  - {model: open-nsfw}\n  - {model: open-nfsw2}\n  - {model: safetys}\n"
        (folder / "policy.yaml").write_text(POLICY + cascade)
        first = POLICY.count("\n") + 3
        ran = livewarden("policy", "check", "policy.yaml", folder=folder)
        assert ran.status == 1
        reported, second, summary = ran.out.splitlines()
        hint = "unknown model 'open-nfsw2': did you mean 'open-nsfw'? known are age, open-nsfw, safety-s, testcard"
        assert reported == f"policy.yaml:{first}:13: cascade[1].model: {hint}"
        assert second.startswith(f"policy.yaml:{first + 1}:13: cascade[2].model: unknown model 'safetys': did you mean")
        assert summary == "2 mistakes: workers refuse this policy"
        ran = livewarden("policy", "check", "policy.yaml", "--json", folder=folder)
        assert ran.status == 1
        mistake, _, last = ran.records
        assert (mistake["line"], mistake["column"], mistake["text"]) == (first, 13, hint)
        assert (last["ok"], last["mistakes"]) == (False, 2)

    def test_a_missing_file(self, tmp_path: Path) -> None:
        """A mistyped path would look like a mistake in the policy."""
        ran = livewarden("policy", "check", tmp_path / "none.yaml")
        assert ran.status == 2
        assert ran.message == f"{tmp_path}/none.yaml: cannot be read: No such file or directory"
