"""The ground of an incident in a few labels."""

import pytest

from config.facts import COVERAGE_GAP_RULE, IMMINENT_DANGER_RULE, ListMatch, Severity
from worker.incidents.findings import Finding, Incident
from worker.incidents.ground import ground_of, read_ground

NEAR = ListMatch(list="ncmec", entry="1", distance=4, category="A2")
ALLOWED = ListMatch(list="ncmec", entry="2", distance=0, allowed=True)
ALLOW_ENTRY = ListMatch(list="allow", entry="e-1", distance=0)


def an_incident(
    rule: str = "r", matches: tuple[ListMatch, ...] = (), scores: dict[str, float] | None = None
) -> Incident:
    finding = Finding(
        hits=1,
        severity=Severity.HIGH,
        captured_first_ms=1,
        captured_last_ms=1,
        principles=(5,),
        matches=matches,
        scores=scores or {},
    )
    return Incident(
        incident_id="i",
        generation=1,
        rule=rule,
        purpose="live",
        finding=finding,
        raised_ms=1,
        published_ms=1,
        cooldown_ms=0,
    )


@pytest.mark.parametrize(
    ("incident", "ground"),
    [
        (
            an_incident(matches=(ALLOWED, NEAR), scores={"m/a": 0.9}),
            {"kind": "known", "list": "ncmec", "distance": 4, "category": "A2"},
        ),
        (an_incident(matches=(ALLOWED,)), {"kind": "other"}),
        (an_incident(matches=(ALLOW_ENTRY, ALLOWED)), {"kind": "other"}),
        (
            an_incident(matches=(ALLOW_ENTRY, NEAR)),
            {"kind": "known", "list": "ncmec", "distance": 4, "category": "A2"},
        ),
        (an_incident(scores={"m/a": 0.2, "m/b": 0.91}), {"kind": "score", "name": "m/b", "value": 0.91}),
        (an_incident(IMMINENT_DANGER_RULE), {"kind": "reported"}),
        (an_incident(COVERAGE_GAP_RULE), {"kind": "unseen"}),
    ],
)
def test_the_ground_is_the_surest_finding(incident: Incident, ground: dict):
    """Known material would stand in the queue behind a score, or a harmless picture before it."""
    assert ground_of(incident) == ground


@pytest.mark.parametrize("text", ["", "x", "[]", "[" * 100_000, "null"])
def test_a_damaged_ground_is_none(text: str):
    """One damaged record would end the page of the queue."""
    assert read_ground(text) == {}
