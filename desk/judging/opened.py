"""Pictures of a case that a person opened, as the audit log has them: "reviewed" means that somebody looked."""

from collections.abc import Sequence
from datetime import datetime

from redis import Redis

from desk.cases.case_view import CaseView
from worker.audit.person_views import PersonView, views_by
from worker.errors import StoreError
from worker.evidence.item_states import records_of
from worker.evidence.record import EvidenceRecord
from worker.people.actor import Actor

BEFORE_MS = 24 * 3_600_000
"""A picture of a look may be older than the incident, and Redis's clock may have gone back."""


def pictures_of(redis: Redis, view: CaseView) -> dict[str, Sequence[EvidenceRecord]]:
    """Records of the pictures of a case, by incident.

    Raises:
        StoreError: Redis failed.
    """
    ids = [str(one["incident_id"]) for one in view.records]
    return {one: records_of(redis, one) for one in ids}


def opened_by(redis: Redis, view: CaseView, actor: Actor) -> tuple[PersonView, ...] | None:
    """Views of the case's pictures by that person, the newest first; None: the audit log cannot be read, and nobody
    knows."""
    try:
        refs = [record.ref for records in pictures_of(redis, view).values() for record in records]
        return views_by(redis, actor.name, refs, since_ms=_since_ms(view))
    except StoreError:
        return None


def has_opened(redis: Redis, view: CaseView, actor: Actor) -> bool | None:
    """Returns whether that person opened a picture of the case; None: nobody knows."""
    found = opened_by(redis, view, actor)
    return None if found is None else bool(found)


def _since_ms(view: CaseView) -> int:
    raised = [str(one["raised"]) for one in view.records if one["raised"]]
    if len(raised) < len(view.records):
        return 0
    return max(0, int(datetime.fromisoformat(min(raised)).timestamp() * 1000) - BEFORE_MS)
