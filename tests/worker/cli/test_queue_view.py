"""The page of an incident, as `queue next` and `queue show` print it."""

from io import StringIO
from typing import Any

import pytest
from rich.console import Console
from scene import Scene

from worker.cli.queue_view import SHOWN_PICTURES, evidence_line, incident_table

REFS = [f"{number:032x}" for number in range(SHOWN_PICTURES + 2)]


@pytest.fixture
def data(scene: Scene) -> dict[str, Any]:
    """The data of an escalation that was published."""
    scene.raise_incident("cam-1")
    found: dict[str, Any] = scene.published("lw:escalations:critical")[0]["data"]
    return found


def page(data: dict[str, Any]) -> str:
    console = Console(width=120, file=StringIO())
    console.print(incident_table(data))
    return console.file.getvalue()  # type: ignore[attr-defined, no-any-return]


def test_the_page_names_pictures_and_how_to_list_them(data: dict[str, Any]) -> None:
    """A moderator who takes an incident would not learn that there is a picture, or by which reference to see it."""
    entry = {"sha256": "0" * 64, "picture_sha256": "0" * 64, "capture_ms": 1_795_785_460_856}
    data |= {"evidence": [{"ref": ref, "kind": "hit", **entry} for ref in REFS]}
    data.pop("evidence_none")
    text = page(data)
    assert f"{REFS[0]}  hit, 2026-11-27T13:17:40.856Z" in text
    assert [ref in text for ref in REFS] == [True] * SHOWN_PICTURES + [False] * 2
    assert "and 2 more" in text
    assert evidence_line(data) == f"livewarden evidence list {data['incident_id']}"


def test_the_page_says_why_there_is_no_picture(data: dict[str, Any]) -> None:
    """A moderator would search for a picture where none is kept."""
    data |= {"evidence": [], "evidence_none": "no-recipients"}
    assert "none: no-recipients" in page(data)
    assert evidence_line(data), "a look adds one"


def test_the_page_has_what_is_known_of_the_stream(data: dict[str, Any]) -> None:
    """A moderator would decide without the platform's reports and the stream's earlier decisions."""
    decided = {"incident_id": "0" * 24, "rule": "likely", "decided": "2026-11-27T13:00:00Z", "decided_by": "lea"}
    data |= {
        "risk": 0.8125,
        "signals": {"viewer-reports": 3.0},
        "earlier_decisions": [{"outcome": "adult_tos", **decided}],
    }
    text = page(data)
    for part in ("risk", "0.81", "viewer-reports 3", "adult_tos, rule likely, 2026-11-27T13:00:00Z"):
        assert part in text


def test_the_page_says_that_a_picture_is_of_another_rendition(data: dict[str, Any]) -> None:
    """A moderator would search the watched rendition for it, and take it for a mistake."""
    assert "rendition" not in page(data)
    data["segment"] = {"media_sequence": 7, "uri": "https://cdn.example/high/7.ts", "rendition": "1280x720"}
    assert "1280x720, which is not watched" in page(data)


def test_an_event_of_an_older_version_has_a_page(data: dict[str, Any]) -> None:
    """Nobody could take what was raised before an upgrade."""
    for name in ("evidence", "evidence_none", "risk", "signals", "earlier_decisions", "case_id", "needs_role"):
        data.pop(name, None)
    assert data["incident_id"] in page(data)
    assert evidence_line(data) == ""
