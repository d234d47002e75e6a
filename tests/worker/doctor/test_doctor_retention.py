"""Rows of `livewarden doctor` about retention."""

from pathlib import Path

import pytest
from kept_evidence import LEAD, KeptEvidence
from scene import Scene

from config.policy.retention import DAY_MS, Retention
from worker.doctor.diagnosis import State
from worker.doctor.retention import examine_retention
from worker.retention.purge import STATE, purge
from worker.retention.reports import record_report
from worker.store.redis_client import now_ms


@pytest.fixture
def kept(scene: Scene, tmp_path: Path) -> KeptEvidence:
    """A deployment without evidence yet."""
    return KeptEvidence(scene=scene, folder=tmp_path / "deployment")


def test_no_evidence_is_no_row(kept: KeptEvidence) -> None:
    """A deployment that keeps no pictures would read about their deletion."""
    assert list(examine_retention(kept.redis)) == []


def test_kept_evidence_is_well(kept: KeptEvidence) -> None:
    """An operator could not see that retention works."""
    kept.incident(outcome="adult_tos")
    purge(kept.purge(Retention()))
    (row,) = examine_retention(kept.redis)
    assert (row.state, row.found) == (State.OK, "1 incident with evidence, each checked within the hour")


def test_store_that_refuses_is_reported(kept: KeptEvidence) -> None:
    """Evidence would stay in a read-only store for years, unnoticed."""
    incident = kept.incident()
    kept.redis.hset(STATE, mapping={"error": "store: removing x: denied", "error_ms": 5, "incident": incident})
    (row,) = examine_retention(kept.redis)
    assert row.state is State.WARN
    assert incident in row.found
    assert "denied" in row.found


def test_purge_that_nobody_does_is_reported(kept: KeptEvidence) -> None:
    """Evidence would be kept beyond its term while no worker is alive."""
    incident = kept.incident()
    kept.redis.zadd("lw:evidence:due", {incident: now_ms(kept.redis) - 2 * 3_600_000})
    (row,) = examine_retention(kept.redis)
    assert (row.state, "not checked" in row.found) == (State.WARN, True)


def test_missing_report_is_pointed_out_until_it_is_recorded(kept: KeptEvidence) -> None:
    """A case that had to be reported within days would be forgotten."""
    incident = kept.incident(outcome="csea_apparent")
    purge(kept.purge(Retention()))
    assert [row.name for row in examine_retention(kept.redis)] == ["retention"]
    kept.redis.zadd("lw:evidence:unreported", {incident: now_ms(kept.redis) - 8 * DAY_MS})
    _, row = examine_retention(kept.redis)
    assert (row.name, row.state) == ("reports", State.WARN)
    record_report(kept.redis, incident, LEAD, authority="NCMEC", report_id="1", retention=Retention())
    purge(kept.purge(Retention()))
    assert [row.name for row in examine_retention(kept.redis)] == ["retention"]
