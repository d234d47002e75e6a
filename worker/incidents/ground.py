"""The ground of an incident in a few labels: its nearest match or its highest score, for a queue of thousands.

The newest event of an incident has all of it, in some kilobytes; a page of the queue reads this instead.
"""

import json
from collections.abc import Mapping
from typing import Any, Final

from config.facts import COVERAGE_GAP_RULE, IMMINENT_DANGER_RULE
from worker.incidents.findings import Incident

FIELD: Final = "ground"
"""Field of an incident's record that has it."""

MAX_GROUND_CHARACTERS: Final = 200
"""Limit for a list's category, and for the name of a score."""

Ground = Mapping[str, str | int | float]
"""`kind`: known (with list, distance and, where known, category and variant), score (with name and value), reported,
unseen, or other."""


def ground_of(incident: Incident) -> dict[str, str | int | float]:
    """Returns the ground of an incident. A match that a lead allowed is none, nor is the entry of `allow`."""
    finding = incident.finding
    nearest = next((match for match in finding.matches if not match.harmless), None)
    if nearest is not None:
        known = {"category": nearest.category[:MAX_GROUND_CHARACTERS], "variant": nearest.variant}
        told = {name: value for name, value in known.items() if value}
        return {"kind": "known", "list": nearest.list, "distance": nearest.distance, **told}
    if incident.rule == IMMINENT_DANGER_RULE:
        return {"kind": "reported"}
    if incident.rule == COVERAGE_GAP_RULE:
        return {"kind": "unseen"}
    highest = max(finding.scores.items(), key=lambda one: (one[1], one[0]), default=None)
    if highest is None:
        return {"kind": "other"}
    return {"kind": "score", "name": highest[0][:MAX_GROUND_CHARACTERS], "value": round(highest[1], 4)}


def read_ground(text: str) -> dict[str, str | int | float]:
    """Reads a stored ground; empty: there is none, of an older version, or it is damaged."""
    try:
        found: Any = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {str(name): value for name, value in found.items() if isinstance(value, str | int | float)}
