"""`livewarden report draft|lint|package`, as people and scripts run them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from commandline import Ran, livewarden
from drafted_cases import ANSWERS
from evidence_items import Pair, identity_file
from kept_evidence import KeptEvidence
from scene import Scene


@pytest.fixture
def kept(scene: Scene, tmp_path: Path) -> KeptEvidence:
    return KeptEvidence(scene=scene, folder=tmp_path)


@pytest.fixture
def environment(kept: KeptEvidence, redis_url: str) -> dict[str, str]:
    return {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_STORE_URL": str(kept.folder / "store"),
        "LIVEWARDEN_SPOOL_DIR": str(kept.folder / "spool"),
        "LIVEWARDEN_EVIDENCE_IDENTITY": str(identity_file(kept.folder / "key.txt", kept.pair)),
    }


def test_from_lint_to_draft(kept: KeptEvidence, environment: dict[str, str]) -> None:
    """A lead could not see what a report lacks, nor draft it once nothing is missing."""
    incident = kept.incident(outcome="csea_apparent")

    def run(*arguments: str | Path) -> Ran:
        return livewarden("report", *map(str, arguments), environment=environment)

    bare = run("lint", incident[:8], "--form", "cybertipline")
    assert bare.status == 1, bare.err
    assert "cybertipline: missing: account: Nothing names the account" in bare.out
    refused = run("draft", incident, "--form", "cybertipline")
    assert refused.status == 2
    assert "no draft: [incident_type]" in refused.message
    answers = kept.folder / "answers.yaml"
    answers.write_text(yaml.safe_dump(ANSWERS))
    complete = run("lint", incident, "--answers", answers, "--json")
    assert complete.status == 0, complete.err
    assert {(one["field"], one["blocks"]) for one in complete.records} == {("pictures", False)}
    shown = kept.folder / "picture.png"
    ref = min(kept.refs(incident))
    seen = livewarden(
        *("evidence", "show", ref, "--clear", "--reason", "judge", "--by", "mo", "--out", str(shown)),
        environment=environment,
    )
    assert seen.status == 0, seen.err
    out = kept.folder / "draft.xml"
    drafted = run("draft", incident, "--form", "cybertipline", "--answers", answers, "--out", out)
    assert (drafted.status, drafted.err) == (0, "")
    assert out.stat().st_mode & 0o777 == 0o600
    files = ElementTree.parse(out).getroot().findall("fileDetails")
    assert {one.findtext("fileId"): one.findtext("fileViewedByEsp") for one in files} == {
        one: "true" if one == ref else "false" for one in kept.refs(incident)
    }
    for form in ("nca", "dsa"):
        other = run("draft", incident, "--form", form, "--answers", answers)
        assert other.status == 0, other.err
        assert json.loads(other.out)["draft"] is True


def test_case_that_ncmec_has_is_not_drafted_for_the_nca(kept: KeptEvidence, environment: dict[str, str]) -> None:
    """A person who is in a hurry would report the same case twice."""
    incident = kept.incident(outcome="csea_apparent")
    recorded = livewarden(
        *("report", "record", incident, "--authority", "NCMEC", "--id", "77", "--by", "lea", "--role", "lead"),
        environment=environment,
    )
    assert recorded.status == 0, recorded.err
    refused = livewarden("report", "draft", incident, "--form", "nca", "--incomplete", environment=environment)
    assert refused.status == 2
    assert "reported to NCMEC as 77" in refused.message


def test_two_people_package_a_case(kept: KeptEvidence, environment: dict[str, str]) -> None:
    """Two people could not hand a case to the police, or one person could alone."""
    incident = kept.incident(outcome="csea_apparent")
    out, court = kept.folder / "case.zip.age", Pair()
    arguments = ("report", "package", incident, "--to", court.public, "--out", str(out))
    first = livewarden(*arguments, "--by", "mo", environment=environment)
    assert (first.status, out.exists()) == (4, False), first.err
    assert "mo agrees; a second person runs the same command" in first.out
    second = livewarden(*arguments, "--by", "lea", "--role", "lead", "--json", environment=environment)
    assert second.status == 0, second.err
    (record,) = second.records
    assert ([one["by"] for one in record["agreements"]], record["pictures"]) == (["mo", "lea"], 2)
    assert court.identity.decrypt(out.read_bytes())[:2] == b"PK"
