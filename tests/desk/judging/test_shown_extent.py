"""Marks of how bad an incident was when a page showed it."""

from typing import Any

import pytest

from desk.judging.shown_extent import extent_mark, listed_in

MATCH = {"list": "known", "entry": "7", "distance": 4}


def record(severity: str = "high", matches: object = (MATCH,), **more: object) -> dict[str, Any]:
    data = {"severity": severity, "matches": list(matches) if isinstance(matches, tuple) else matches, **more}
    return {"incident_id": "i", "event": {"data": data}}


@pytest.mark.parametrize(
    "worse",
    [
        record("critical"),
        record(matches=({**MATCH, "distance": 3},)),
        record(matches=(MATCH, {**MATCH, "entry": "8"})),
        record(matches=(MATCH, {**MATCH, "list": "other"})),
    ],
)
def test_worse_evidence_has_another_mark(worse: dict[str, Any]) -> None:
    """A page from before would decide what it never showed."""
    assert extent_mark(worse) != extent_mark(record())


def test_more_of_the_same_has_the_same_mark() -> None:
    """Each update of a live stream would refuse the decision that is being made."""
    more = record(matches=({**MATCH, "distance": 9}, MATCH), hits=40, scores={"m/nsfw": 0.99})
    assert extent_mark(more) == extent_mark(record())


@pytest.mark.parametrize("event", [None, {"data": {}}, {"data": {"matches": 5}}, {"data": {"matches": [5, {}]}}])
def test_damaged_events_have_a_mark_too(event: object) -> None:
    """An event of a newer version would make its case undecidable."""
    damaged = {"incident_id": "i", "event": event}
    assert len(extent_mark(damaged)) == 16
    assert listed_in(damaged) in {(), ("None",)}
