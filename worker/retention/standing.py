"""Reads what decides how long the evidence of incidents is kept."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from config.policy.retention import DAY_MS, RECORD_DAYS, Retention, Standing, Terms, terms_of
from worker.errors import EvidenceError, RetentionError
from worker.evidence.record import EvidenceRecord
from worker.incidents.keys import incident_key
from worker.queue.record_fields import number_of
from worker.retention.holds import evidence_key, hold_key
from worker.retention.reports import AuthorityReport, reports_key
from worker.store.redis_client import store_errors

FIELDS: Final = ("outcome", "decided_ms", "captured_last_ms", "raised_ms", "case", "stream_id")
"""Fields of an incident's record; scripts compare them, in this order, with what was read."""


@dataclass(frozen=True, kw_only=True)
class KeptIncident:
    """An incident with evidence, as it stands."""

    incident_id: str
    fields: Mapping[str, str]
    """Those `FIELDS` of its record that are there; empty: its record has expired, or is damaged."""
    records: Mapping[str, EvidenceRecord | None]
    """Its pictures by reference; None: the record is damaged."""
    holds: int
    reports: tuple[AuthorityReport, ...]

    @property
    def is_known(self) -> bool:
        """Anything at all is on record of it."""
        return bool(self.fields or self.records or self.holds or self.reports)

    @property
    def standing(self) -> Standing | None:
        """All that decides on it; None: nobody knows what was decided, and when."""
        outcome, decided_ms = self.fields.get("outcome", ""), number_of(self.fields, "decided_ms")
        if outcome and decided_ms is None:
            return None
        # By Redis's clock where it is known: a capture time follows from a broadcaster's claims.
        sealed = [record.sealed_ms or record.capture_ms for record in self.records.values() if record is not None]
        seen = [number_of(self.fields, "captured_last_ms"), number_of(self.fields, "raised_ms"), *sealed]
        newest = max((one for one in seen if one is not None), default=None)
        since_ms = decided_ms if outcome else newest
        if since_ms is None:
            return None
        return Standing(
            outcome=outcome,
            since_ms=since_ms,
            reports=tuple(report.as_terms() for report in self.reports),
            holds=self.holds,
        )

    def terms(self, retention: Retention) -> Terms:
        """The terms of its evidence.

        Without a record of the incident nobody knows its outcome: the evidence is kept as long as any record would have
        been, and for the terms of reports and holds.
        """
        standing = self.standing
        if standing is None:
            return Terms(content_until_ms=None, reference_until_ms=None, why="unreadable")
        terms = terms_of(standing, retention)
        if self.fields or terms.content_until_ms is None:
            return terms
        lasting_ms = max(terms.content_until_ms, standing.since_ms + RECORD_DAYS * DAY_MS)
        return Terms(content_until_ms=lasting_ms, reference_until_ms=lasting_ms, why="no-record")

    @property
    def stream_id(self) -> str:
        """Its stream; empty: unknown."""
        streams = [record.stream_id for record in self.records.values() if record is not None]
        return self.fields.get("stream_id", streams[0] if streams else "")

    @property
    def case_id(self) -> str:
        """Its case; of an earlier version's incident its own ID."""
        return self.fields.get("case") or self.incident_id


def read_known(redis: Redis, incident_id: str) -> KeptIncident:
    """Reads an incident.

    Raises:
        RetentionError: nothing of it is on record.
        StoreError: Redis failed.
    """
    (kept,) = read_kept(redis, [incident_id])
    if not kept.is_known:
        raise RetentionError(f"incident {incident_id}: no such incident is on record, and no evidence of it")
    return kept


def read_kept(redis: Redis, incident_ids: Sequence[str]) -> list[KeptIncident]:
    """Reads incidents, in two round trips.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        with redis.pipeline(transaction=False) as pipe:
            for incident_id in incident_ids:
                pipe.hmget(incident_key(incident_id), list(FIELDS))
                pipe.hgetall(evidence_key(incident_id))
                pipe.hlen(hold_key(incident_id))
            found: list[Any] = pipe.execute(raise_on_error=False)
        rows = [(found[at], found[at + 1], found[at + 2]) for at in range(0, len(found), 3)]
        fields = [_fields(row[0]) for row in rows]
        with redis.pipeline(transaction=False) as pipe:
            for incident_id, known in zip(incident_ids, fields, strict=True):
                pipe.hgetall(reports_key(known.get("case") or incident_id))
            reports: list[Any] = pipe.execute(raise_on_error=False)
    return [
        KeptIncident(
            incident_id=incident_id,
            fields=known,
            records={} if _failed(row[1]) else {str(ref): _record(str(text)) for ref, text in row[1].items()},
            # A hold that cannot be read is a hold.
            holds=1 if _failed(row[2]) else int(row[2]),
            reports=_reports(known.get("case") or incident_id, reported),
        )
        for incident_id, row, known, reported in zip(incident_ids, rows, fields, reports, strict=True)
    ]


def _failed(answer: Any) -> bool:
    """Returns whether a key is of another type; any other error is raised."""
    if isinstance(answer, Exception) and not isinstance(answer, ResponseError):
        raise answer
    return isinstance(answer, ResponseError)


def _fields(answer: Any) -> dict[str, str]:
    if _failed(answer):
        return {"outcome": "unreadable"}
    return {name: str(value) for name, value in zip(FIELDS, answer, strict=True) if value is not None}


def _record(text: str) -> EvidenceRecord | None:
    try:
        return EvidenceRecord.read(text)
    except EvidenceError:
        return None


def _reports(case_id: str, answer: Any) -> tuple[AuthorityReport, ...]:
    if _failed(answer):
        return (AuthorityReport.read(case_id, ""),)
    return tuple(AuthorityReport.read(case_id, str(text)) for text in answer.values())
