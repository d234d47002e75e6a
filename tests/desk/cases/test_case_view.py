"""Cases as their pages read them, from a real Valkey."""

import pytest
from scene import Scene

from config.facts import Severity
from desk.cases.case_view import read_case
from desk.errors import UnknownCaseError
from worker.queue.claims import take


def test_a_case_has_its_incidents_the_most_urgent_first(scene: Scene) -> None:
    """A moderator would read about the review, and not about the known material beside it."""
    scene.raise_incident("cam-1", Severity.HIGH)
    worse = scene.raise_incident("cam-1")
    case_id = scene.redis.hget(f"lw:incident:{worse}", "case")
    view = read_case(scene.redis, str(case_id))
    assert [one["severity"] for one in view.records] == ["critical", "high"]
    assert not view.is_held_by("kim")
    take(scene.redis, "kim")
    assert read_case(scene.redis, str(case_id)).is_held_by("Kim")


def test_an_incident_of_an_older_version_is_a_case_of_its_own(scene: Scene) -> None:
    """It could not be opened after an upgrade."""
    incident = scene.raise_incident("cam-1")
    scene.redis.hdel(f"lw:incident:{incident}", "case")
    assert read_case(scene.redis, incident).first["incident_id"] == incident


def test_a_case_that_is_gone_is_unknown(scene: Scene) -> None:
    """A page of nothing would look like a case without findings."""
    with pytest.raises(UnknownCaseError):
        read_case(scene.redis, "0" * 24)
