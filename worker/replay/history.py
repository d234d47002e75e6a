"""The logged incidents up to the end of the replayed time, and the decisions on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple, Self

from config.facts import COVERAGE_GAP_RULE, FLOOD_RULE, IMMINENT_DANGER_RULE, Severity, most_urgent
from worker.incidents.findings import Extent, NearestMatch
from worker.verdictlog.outcome_rows import DECIDED, ENDED, REVISED
from worker.verdictlog.reading import LeftOut, log_left_out, read_log
from worker.verdictlog.tables import OUTCOMES

_COLUMNS = (
    "kind",
    "at_ms",
    "incident_id",
    "stream_id",
    "generation",
    "rule",
    "severity",
    "purpose",
    "raised_ms",
    "captured_first_ms",
    "captured_last_ms",
    "outcome",
    "decided_ms",
    "segment_key",
    "captured_ms",
    "streams",
    "policy_version",
    "nearest",
)

LOOKED_BACK = "~"
"""Part of the segment key of a look-back."""


@dataclass(frozen=True, kw_only=True)
class IncidentEvent:
    """An event of an incident: it was raised, or it changed."""

    at_ms: int
    severity: Severity
    segment_key: str
    nearest: tuple[NearestMatch, ...] | None = None
    """Its matches; None: the log is of version 0.1.0, which did not keep them."""

    @property
    def extent(self) -> Extent:
        """The extent that it published."""
        return Extent(severity=self.severity, nearest=self.nearest)


class Revision(NamedTuple):
    """A change of the decision on an incident."""

    at_ms: int
    outcome: str


@dataclass(frozen=True, kw_only=True)
class LoggedIncident:
    """An incident that was raised."""

    incident_id: str
    stream_id: str
    generation: int
    rule: str
    severity: Severity
    """At its raise; for one that was raised before the records begin, the first on record."""
    purpose: str
    raised_ms: int
    at_ms: int
    """Time of the first event on record, from which the other fields are."""
    captured_first_ms: int
    captured_last_ms: int
    captured_ms: int
    """Capture time of the picture that caused it."""
    segment_key: str = ""
    """Segment of that picture."""
    policy_version: str = ""
    streams: int | None = None
    """Number of streams of a flood's incident."""
    ended_ms: int | None = None
    """Time when it ended without a decision: with its stream, or by silence."""
    decided_ms: int | None = None
    """Time of the first decision: its consequences are replayed."""
    outcome: str | None = None
    """The last outcome that people decided."""
    revisions: tuple[Revision, ...] = ()
    """By time."""
    events: tuple[IncidentEvent, ...] = ()
    """The first event of each extent, live and of look-backs separately: most updates publish nothing new."""

    @property
    def builtin(self) -> bool:
        """A rule of Livewarden itself raised it, not one of the policy."""
        return self.rule in (FLOOD_RULE, COVERAGE_GAP_RULE, IMMINENT_DANGER_RULE)

    def extent_at(self, at_ms: int) -> Extent:
        """The extent that was published until then (<=)."""
        extents = (event.extent for event in self.events if event.at_ms <= at_ms)
        return reduce(Extent.joined, extents, Extent(severity=self.severity))

    @property
    def worst(self) -> Severity:
        """The most urgent severity that was published."""
        return most_urgent(self.severity, *(event.severity for event in self.events))

    def is_open_at(self, at_ms: int) -> bool:
        """Returns whether it was raised before (<) then, and had neither ended nor been decided before."""
        closed = (self.ended_ms, self.decided_ms)
        return self.raised_ms < at_ms and all(one is None or one >= at_ms for one in closed)

    def has_ended_before(self, at_ms: int) -> bool:
        """Returns whether it had ended without a decision before (<) then."""
        return self.ended_ms is not None and self.ended_ms < at_ms


@dataclass(frozen=True)
class History:
    """Incidents by stream, in the order in which they were raised."""

    by_stream: Mapping[str, tuple[LoggedIncident, ...]]

    @classmethod
    def read(cls, store_url: str, *, until_ms: int, left_out: LeftOut = log_left_out) -> Self:
        """All records until then (<); `left_out` is called for each damaged file.

        Raises:
            ObjectStoreError: the store is away.
        """
        batches = read_log(store_url, 0, until_ms, _COLUMNS, of=OUTCOMES, left_out=left_out)
        return cls.of(row for batch in batches for row in batch.to_pylist())

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Builds it from rows of the outcomes, in any order, some of them twice."""
        known: dict[str, LoggedIncident] = {}
        events_of: dict[str, dict[tuple[Extent, bool], IncidentEvent]] = {}
        revised: dict[str, set[Revision]] = {}
        for row in rows:
            incident_id = row["incident_id"]
            before = known.get(incident_id)
            if row["kind"] in (ENDED, DECIDED, REVISED):
                now = _incident(row) if before is None else before
                if row["kind"] == ENDED:
                    now = replace(now, ended_ms=row["at_ms"])
                elif row["kind"] == DECIDED:
                    now = replace(now, decided_ms=row["at_ms"], outcome=row["outcome"])
                else:
                    # The log may reach back to the change of a decision, and not to the decision.
                    now = replace(now, decided_ms=row["decided_ms"])
                    revised.setdefault(incident_id, set()).add(Revision(row["at_ms"], row["outcome"]))
                known[incident_id] = now
                continue
            event = _event(row)
            events = events_of.setdefault(incident_id, {})
            first = events.setdefault((event.extent, LOOKED_BACK in event.segment_key), event)
            if event.at_ms < first.at_ms:
                events[event.extent, LOOKED_BACK in event.segment_key] = event
            if before is None or not before.segment_key or event.at_ms < before.at_ms:
                now = _incident(row)
                if before is not None:
                    now = replace(now, ended_ms=before.ended_ms, decided_ms=before.decided_ms, outcome=before.outcome)
                known[incident_id] = now
        by_stream: dict[str, list[LoggedIncident]] = {}
        for incident in known.values():
            events = events_of.get(incident.incident_id, {})
            in_order = sorted(events.values(), key=lambda event: (event.at_ms, event.severity.rank))
            revisions = tuple(sorted(revised.get(incident.incident_id, ())))
            outcome = revisions[-1].outcome if revisions else incident.outcome
            by_stream.setdefault(incident.stream_id, []).append(
                replace(incident, events=tuple(in_order), revisions=revisions, outcome=outcome)
            )
        return cls(
            {
                stream: tuple(sorted(incidents, key=lambda one: (one.raised_ms, one.incident_id)))
                for stream, incidents in by_stream.items()
            }
        )


def _event(row: Mapping[str, Any]) -> IncidentEvent:
    nearest = row.get("nearest")
    return IncidentEvent(
        at_ms=row["at_ms"],
        severity=Severity(row["severity"]),
        segment_key=row["segment_key"],
        nearest=None if nearest is None else tuple(NearestMatch(**near) for near in nearest),
    )


def _incident(row: Mapping[str, Any]) -> LoggedIncident:
    return LoggedIncident(
        incident_id=row["incident_id"],
        stream_id=row["stream_id"],
        generation=row["generation"],
        rule=row["rule"],
        severity=Severity(row["severity"]),
        purpose=row["purpose"],
        raised_ms=row["raised_ms"],
        at_ms=row["at_ms"],
        captured_first_ms=row["captured_first_ms"],
        captured_last_ms=row["captured_last_ms"],
        segment_key=row["segment_key"] or "",
        captured_ms=row["captured_ms"] or row["captured_first_ms"],
        policy_version=row["policy_version"] or "",
        streams=row["streams"],
    )
