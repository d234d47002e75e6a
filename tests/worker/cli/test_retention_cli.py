"""`livewarden evidence hold|release|holds|purge` and `livewarden report`, as people and scripts run them."""

import json
from pathlib import Path

import pytest
from commandline import livewarden
from kept_evidence import KeptEvidence
from scene import Scene

POLICY = """
version: 1
retention: {harmless_hours: 0.0000001}
rules: [{name: known, when: 'matched("known")', severity: critical}]
"""


@pytest.fixture
def kept(scene: Scene, tmp_path: Path) -> KeptEvidence:
    """A deployment whose policy deletes what is harmless at once."""
    (tmp_path / "rules.yaml").write_text(POLICY)
    return KeptEvidence(scene=scene, folder=tmp_path)


@pytest.fixture
def environment(kept: KeptEvidence, redis_url: str) -> dict[str, str]:
    return {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_POLICY_FILE": str(kept.folder / "rules.yaml"),
        "LIVEWARDEN_STORE_URL": str(kept.folder / "store"),
        "LIVEWARDEN_SPOOL_DIR": str(kept.folder / "spool"),
    }


def test_from_hold_to_purge(kept: KeptEvidence, environment: dict[str, str]) -> None:
    """A lead could not keep evidence for a court, or an operator not show that it was deleted afterwards."""
    incident = kept.incident(outcome="harmless", pictures=2)

    def run(*arguments: str, status: int = 0):  # type: ignore[no-untyped-def]
        ran = livewarden("evidence", *arguments, environment=environment)
        assert ran.status == status, ran.err
        return ran

    held = run("hold", incident[:8], "--by", "mo", "--reason", "court 4711", "--json").records[0]
    assert (held["incident_id"], held["pictures"], held["reason"]) == (incident, 2, "court 4711")
    assert "0 pictures of 0 incidents would be deleted" in run("purge", "--dry-run").out
    term = run("holds", incident, "--json").records[0]
    assert (term["kept_until"], term["why"], len(term["holds"])) == (None, "hold", 1)
    refused = run("release", incident, "--by", "mo", "--role", "moderator", "--reason", "x", status=2)
    assert "only a lead may release a hold" in refused.message
    run("release", incident, "--by", "lea", "--role", "lead", "--reason", "over", "--hold", held["hold"])
    assert "only a lead or operator may purge" in run("purge", "--role", "moderator", status=2).message
    (would,) = run("purge", "--dry-run", "--json").records
    assert (would["incident_id"], would["deleted"], len(would["refs"])) == (incident, False, 2)
    assert kept.refs(incident)
    purged = run("purge", "--by", "op", "--role", "operator")
    assert purged.out.splitlines()[-1] == "2 pictures of 1 incident were deleted"
    assert kept.refs(incident) == set()
    (entry,) = kept.entries("purge")
    assert (entry["by"], entry["verified"]) == ("op", False)


def test_stored_texts_make_no_lines_of_their_own(kept: KeptEvidence, environment: dict[str, str]) -> None:
    """Whoever writes to Redis could have a lead read a hold, or a report, that nobody placed."""
    incident = kept.incident()
    forged = "x\n00000000  2026-11-27T00:00:00Z  lea: court\x1b[2J"
    kept.redis.hset(f"lw:evidence:hold:{incident}", "h", json.dumps({"by": "mo", "reason": forged, "placed_ms": 1}))
    case = str(kept.redis.hget(f"lw:incident:{incident}", "case"))
    report = {"authority": "NCMEC", "report_id": forged, "by": "mo", "recorded_ms": 1}
    kept.redis.hset(f"lw:reports:{case}", "NCMEC 1", json.dumps(report))
    for command, lines in ((("evidence", "holds", incident), 2), (("report", "list", case), 1)):
        ran = livewarden(*command, environment=environment)
        assert (ran.status, len(ran.out.splitlines())) == (0, lines), ran.err


def test_report_is_recorded_and_listed(kept: KeptEvidence, environment: dict[str, str]) -> None:
    """A lead could not start the terms of a report, nor see whether a colleague did."""
    incident = kept.incident(outcome="csea_apparent")
    arguments = ("report", "record", incident, "--authority", "NCMEC", "--id", "77", "--by", "lea", "--role", "lead")
    first = livewarden(*arguments, "--json", environment=environment)
    assert first.status == 0, first.err
    (recorded,) = first.records
    assert (recorded["authority"], recorded["id"], recorded["again"]) == ("NCMEC", "77", False)
    again = livewarden(*arguments, environment=environment)
    assert f"report NCMEC 77 was recorded {recorded['recorded']}" in again.out
    listed = livewarden("report", "list", recorded["case_id"], "--json", environment=environment)
    assert [one["id"] for one in listed.records] == ["77"]
    assert json.dumps(listed.records)  # nothing that JSON has no form for


def test_stream_is_erased_once_nothing_keeps_it(kept: KeptEvidence, environment: dict[str, str]) -> None:
    """An operator who must erase a person's data could not, or would erase what a court wants."""
    incident = kept.incident("cam-1")
    asked = ("streams", "forget", "cam-1")
    (plan,) = livewarden(*asked, "--by", "op", "--dry-run", "--json", environment=environment).records
    assert (plan["incidents"], plan["pictures"]) == (1, 2)
    assert plan["obstacles"] == [f"incident {incident}: nobody has decided on it"]
    refused = livewarden(*asked, "--by", "op", "--role", "operator", environment=environment)
    assert refused.status == 2
    assert "its data must stay" in refused.message
    kept.decide(incident, "harmless")
    # Rows that processes may still hold are waited for.
    erased = livewarden(*asked, "--by", "op", "--role", "operator", "--json", environment=environment)
    assert erased.status == 0, erased.err
    (record,) = erased.records
    assert (record["stream_id"], record["erased"], record["incidents"], record["pictures"]) == ("cam-1", True, 1, 2)
    assert not kept.redis.exists(f"lw:incident:{incident}")
