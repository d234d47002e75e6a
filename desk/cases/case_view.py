"""A case as its page reads it: the records of its incidents, labels only."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis import Redis

from config.facts import Severity
from desk.cases.case_incidents import shown_incidents
from desk.errors import UnknownCaseError
from worker.errors import QueueError
from worker.people.actor import Actor, folded
from worker.queue.record import describe_incident
from worker.store.redis_client import now_ms, store_errors


@dataclass(frozen=True, kw_only=True)
class CaseView:
    """A case at one moment."""

    case_id: str
    records: tuple[Mapping[str, Any], ...]
    """At least one, as `describe_incident` gives them: undecided ones first, then by severity, then the oldest."""
    now_ms: int
    """Redis's clock."""

    @property
    def first(self) -> Mapping[str, Any]:
        """The record that the page is about: the most urgent undecided one; the most urgent, if all are decided."""
        return self.records[0]

    @property
    def undecided(self) -> tuple[Mapping[str, Any], ...]:
        """Records without a decision."""
        return tuple(one for one in self.records if one["state"] != "decided")

    def is_held_by(self, name: str) -> bool:
        """Returns whether that person holds an undecided incident of the case."""
        return any(folded(one["holder"] or "") == folded(name) for one in self.undecided)


def read_case(redis: Redis, case_id: str, *, viewer: Actor | None = None) -> CaseView:
    """Reads a case, takes nothing and renews no lease.

    Args:
        case_id: of a case; or of an incident, whose case is read, or which an older version raised without one.
        viewer: who is shown it; a judgement that waits for a second person is shown to its own judge alone.

    Raises:
        UnknownCaseError: there is none of that id.
        StoreError: Redis failed.
    """
    with store_errors():
        ids = shown_incidents(redis, case_id)
        now = now_ms(redis)
    records = _records(redis, ids or [case_id], viewer)
    if not ids and records and (of_case := records[0]["case_id"]):
        return read_case(redis, of_case, viewer=viewer)  # a link named the incident
    if not records:
        raise UnknownCaseError(case_id)
    ranks = {one.value: one.rank for one in Severity}
    records.sort(
        key=lambda one: (
            one["state"] == "decided",
            ranks.get(one["severity"], len(ranks)),
            one["raised"] or "",
            one["incident_id"],
        )
    )
    return CaseView(case_id=case_id, records=tuple(records), now_ms=now)


def _records(redis: Redis, incident_ids: Sequence[str], viewer: Actor | None) -> list[dict[str, Any]]:
    records = []
    for incident_id in incident_ids:
        try:
            records.append(describe_incident(redis, incident_id, viewer=viewer))
        except QueueError:  # deleted: its retention ended
            continue
    return records
