"""Open incidents as a list for people: in the order of their cases, with what is said of these."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from config.facts import Severity
from worker.queue.case_mirror import read_turn
from worker.queue.case_order import LongestWaits, OpenCase, order_cases
from worker.queue.open_cases import read_open_cases
from worker.queue.open_incidents import OpenIncident, open_incidents


@dataclass(frozen=True, kw_only=True)
class ListedIncident:
    """An open incident with its case."""

    incident: OpenIncident
    case: OpenCase
    waited_seconds: float
    """Time since its case was raised."""
    longest_wait_seconds: float
    """Time that a case of this severity may wait."""
    past_wait: bool
    """It waits longer."""


def listed_incidents(redis: Redis, waits: LongestWaits) -> list[ListedIncident]:
    """Returns all undecided incidents, the next to be taken first; those of a case together.

    Raises:
        StoreError: Redis failed.
    """
    cases, now = read_open_cases(redis)
    ordered = order_cases(cases, now_ms=now, waits=waits, turn=read_turn(redis))
    return _listed(ordered, open_incidents(redis), waits, now)


def _listed(
    cases: Sequence[OpenCase], incidents: Sequence[OpenIncident], waits: LongestWaits, now_ms: int
) -> list[ListedIncident]:
    grouped: dict[str, list[OpenIncident]] = {}
    for one in incidents:
        grouped.setdefault(one.case_id or one.incident_id, []).append(one)
    ranks = {severity: place for place, severity in enumerate(Severity)}
    return [
        ListedIncident(
            incident=one,
            case=case,
            waited_seconds=case.waited_ms(now_ms) / 1000,
            longest_wait_seconds=waits.of_ms(case.severity) / 1000,
            past_wait=case.is_past(waits, now_ms),
        )
        for case in cases
        # One that was raised between the two reads is in the next list.
        for one in sorted(grouped.get(case.case_id, ()), key=lambda one: (ranks[one.severity], -one.age_seconds))
    ]
