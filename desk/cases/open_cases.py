"""Open cases: undecided incidents of one case together, in the order in which the queue gives them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis

from config.facts import Severity
from worker.errors import QueueError
from worker.people.actor import Role, folded
from worker.queue.claims import OpenIncident, open_incidents
from worker.queue.record import describe_incident

MOST_SHOWN: Final = 50
"""Cases of one page: each reads a record, and nobody reads further down than that."""

SHOWS: Final = ("all", "mine", "lead", "drills")
"""Filters of a queue page."""
DRILLS: Final = frozenset({"drill", "canary"})
"""Purposes of streams on which nothing is real."""


@dataclass(frozen=True, kw_only=True)
class OpenCase:
    """One row of the queue."""

    incidents: tuple[OpenIncident, ...]
    """At least one, the most urgent first."""
    data: Mapping[str, Any] = field(default_factory=dict)
    """`data` of the first one's newest event; empty: not read, unreadable, or decided meanwhile."""

    @property
    def first(self) -> OpenIncident:
        """The most urgent incident, which the row is about."""
        return self.incidents[0]

    @property
    def case_id(self) -> str:
        """The case's id; of an incident from an older version, which has none, its own."""
        return self.first.case_id or self.first.incident_id

    @property
    def holders(self) -> tuple[str, ...]:
        """People who hold an incident of the case, each once."""
        return tuple(dict.fromkeys(one.holder for one in self.incidents if one.holder is not None))

    def is_held_by(self, name: str) -> bool:
        """Returns whether that person holds an incident of the case."""
        return any(folded(holder) == folded(name) for holder in self.holders)


@dataclass(frozen=True, kw_only=True)
class SeverityCount:
    """A counter at the head of the queue."""

    severity: Severity
    cases: int
    oldest_seconds: float | None
    """None: there is none."""


def cases_of(incidents: Sequence[OpenIncident]) -> list[OpenCase]:
    """Groups incidents by case; a case stands where its first incident does."""
    grouped: dict[str, list[OpenIncident]] = {}
    for one in incidents:
        grouped.setdefault(one.case_id or one.incident_id, []).append(one)
    return [OpenCase(incidents=tuple(found)) for found in grouped.values()]


def chosen(cases: Sequence[OpenCase], *, show: str, find: str, reader: str) -> list[OpenCase]:
    """Filters cases, and keeps their order: `show` is one of SHOWS, `find` a part of a stream's or case's id."""
    found = [case for case in cases if find.casefold() in f"{case.case_id} {case.first.stream_id}".casefold()]
    match show:
        case "mine":
            return [one for one in found if one.is_held_by(reader)]
        case "lead":
            return [one for one in found if one.first.needs_role == Role.LEAD]
        case "drills":
            return [one for one in found if one.first.purpose in DRILLS]
        case _:
            return found


def counts_of(cases: Sequence[OpenCase]) -> list[SeverityCount]:
    """Counts the cases of each severity, the most urgent first."""
    counts = []
    for severity in Severity:
        ages = [case.first.age_seconds for case in cases if case.first.severity is severity]
        counts.append(SeverityCount(severity=severity, cases=len(ages), oldest_seconds=max(ages, default=None)))
    return counts


def read_cases(redis: Redis) -> list[OpenCase]:
    """Returns all open cases, without their events.

    Raises:
        StoreError: Redis failed.
    """
    return cases_of(open_incidents(redis))


def with_events(redis: Redis, cases: Sequence[OpenCase]) -> list[OpenCase]:
    """Reads the newest event of each case's first incident; at most `MOST_SHOWN` cases are given.

    Raises:
        StoreError: Redis failed.
    """
    return [OpenCase(incidents=case.incidents, data=_data(redis, case.first.incident_id)) for case in cases]


def _data(redis: Redis, incident_id: str) -> Mapping[str, Any]:
    try:
        event = describe_incident(redis, incident_id)["event"]
    except QueueError:  # decided and gone since the queue was read
        return {}
    data = (event or {}).get("data")
    return data if isinstance(data, dict) else {}
