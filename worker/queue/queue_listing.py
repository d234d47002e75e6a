"""Open incidents as a list for people: in the order of their cases, with what is said of these."""

from dataclasses import dataclass

from redis import Redis

from worker.queue.case_mirror import read_turn
from worker.queue.case_order import LongestWaits, OpenCase, order_cases
from worker.queue.open_cases import cases_of, read_queued
from worker.queue.open_incidents import OpenIncident, open_incident


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
    incidents, now = read_queued(redis)
    grouped: dict[str, list[OpenIncident]] = {}
    for one in incidents.values():  # by severity, the oldest first
        grouped.setdefault(one.case_id, []).append(open_incident(one, now))
    ordered = order_cases(cases_of(incidents.values()), now_ms=now, waits=waits, turn=read_turn(redis))
    return [
        ListedIncident(
            incident=one,
            case=case,
            waited_seconds=case.waited_ms(now) / 1000,
            longest_wait_seconds=waits.of_ms(case.severity) / 1000,
            past_wait=case.is_past(waits, now),
        )
        for case in ordered
        for one in grouped[case.case_id]
    ]
