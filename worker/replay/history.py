"""What was: the incidents that were raised in the time looked at, or before it, and what people decided on them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any, NamedTuple, Self

from config.facts import COVERAGE_GAP_RULE, FLOOD_RULE, Severity, most_urgent
from worker.incidents.findings import Extent, NearestMatch
from worker.verdictlog.outcome_rows import DECIDED, REVISED
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
"""In the key of what looking back settled."""


@dataclass(frozen=True, kw_only=True)
class IncidentEvent:
    """An event of an incident: it was raised, or has changed."""

    at_ms: int
    severity: Severity
    segment_key: str
    nearest: tuple[NearestMatch, ...] | None = None
    """Matches that it named; None: the log is of version 0.1.0, which did not keep them."""

    @property
    def extent(self) -> Extent:
        """What was told."""
        return Extent(severity=self.severity, nearest=self.nearest)


class Revision(NamedTuple):
    """A change of the decision on an incident."""

    at_ms: int
    outcome: str


@dataclass(frozen=True, kw_only=True)
class WasIncident:
    """An incident that was raised."""

    incident_id: str
    stream_id: str
    generation: int
    rule: str
    severity: Severity
    """With which it was raised; of one that was raised before the records begin, the first that they have."""
    purpose: str
    raised_ms: int
    at_ms: int
    """Of the event that the rest is from: the first on record."""
    captured_first_ms: int
    captured_last_ms: int
    captured_ms: int
    """When the picture that gave cause was live."""
    segment_key: str = ""
    """In which its cause was found."""
    policy_version: str = ""
    streams: int | None = None
    """Of a flood's incident."""
    decided_ms: int | None = None
    """When it was decided first: what followed from that is what is gone through again."""
    outcome: str | None = None
    """What people found, in the end."""
    revisions: tuple[Revision, ...] = ()
    """In their order."""
    told: tuple[IncidentEvent, ...] = ()
    """Of each extent the first event, live and looking back apart: updates that say nothing new are many."""

    @property
    def ours(self) -> bool:
        """Livewarden's own rule raised it, none of the policy's."""
        return self.rule in (FLOOD_RULE, COVERAGE_GAP_RULE)

    def extent_at(self, at_ms: int) -> Extent:
        """All that was told until then (<=)."""
        told = (told.extent for told in self.told if told.at_ms <= at_ms)
        return reduce(Extent.joined, told, Extent(severity=self.severity))

    @property
    def worst(self) -> Severity:
        """The gravest that was told at all."""
        return most_urgent(self.severity, *(told.severity for told in self.told))

    def is_open_at(self, at_ms: int) -> bool:
        """Whether it was raised before (<) then, and not decided before."""
        return self.raised_ms < at_ms and (self.decided_ms is None or self.decided_ms >= at_ms)


@dataclass(frozen=True)
class History:
    """Incidents by stream, in the order in which they were raised."""

    by_stream: Mapping[str, tuple[WasIncident, ...]]

    @classmethod
    def read(cls, store_url: str, *, until_ms: int, left_out: LeftOut = log_left_out) -> Self:
        """All that is on record until then (<); `left_out` is told of files that are damaged.

        Raises:
            ObjectStoreError: the store is away.
        """
        batches = read_log(store_url, 0, until_ms, _COLUMNS, of=OUTCOMES, left_out=left_out)
        return cls.of(row for batch in batches for row in batch.to_pylist())

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Self:
        """Of rows of the outcomes, in any order, some of them twice."""
        known: dict[str, WasIncident] = {}
        told: dict[str, dict[tuple[Extent, bool], IncidentEvent]] = {}
        revised: dict[str, set[Revision]] = {}
        for row in rows:
            incident_id = row["incident_id"]
            before = known.get(incident_id)
            if row["kind"] in (DECIDED, REVISED):
                now = _of(row) if before is None else before
                if row["kind"] == DECIDED:
                    now = replace(now, decided_ms=row["at_ms"], outcome=row["outcome"])
                else:
                    # The log may reach back to the change of a decision, and not to the decision.
                    now = replace(now, decided_ms=row["decided_ms"])
                    revised.setdefault(incident_id, set()).add(Revision(row["at_ms"], row["outcome"]))
                known[incident_id] = now
                continue
            event = _told(row)
            events = told.setdefault(incident_id, {})
            first = events.setdefault((event.extent, LOOKED_BACK in event.segment_key), event)
            if event.at_ms < first.at_ms:
                events[event.extent, LOOKED_BACK in event.segment_key] = event
            if before is None or not before.segment_key or event.at_ms < before.at_ms:
                now = _of(row)
                known[incident_id] = (
                    now if before is None else replace(now, decided_ms=before.decided_ms, outcome=before.outcome)
                )
        by_stream: dict[str, list[WasIncident]] = {}
        for incident in known.values():
            events = told.get(incident.incident_id, {})
            in_order = sorted(events.values(), key=lambda event: (event.at_ms, event.severity.rank))
            revisions = tuple(sorted(revised.get(incident.incident_id, ())))
            outcome = revisions[-1].outcome if revisions else incident.outcome
            by_stream.setdefault(incident.stream_id, []).append(
                replace(incident, told=tuple(in_order), revisions=revisions, outcome=outcome)
            )
        return cls(
            {
                stream: tuple(sorted(incidents, key=lambda one: (one.raised_ms, one.incident_id)))
                for stream, incidents in by_stream.items()
            }
        )


def _told(row: Mapping[str, Any]) -> IncidentEvent:
    nearest = row.get("nearest")
    return IncidentEvent(
        at_ms=row["at_ms"],
        severity=Severity(row["severity"]),
        segment_key=row["segment_key"],
        nearest=None if nearest is None else tuple(NearestMatch(**near) for near in nearest),
    )


def _of(row: Mapping[str, Any]) -> WasIncident:
    return WasIncident(
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
