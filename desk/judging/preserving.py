"""Legal holds on a case: nothing of it is deleted, whatever its term is."""

from redis import Redis

from desk.cases.case_view import CaseView
from desk.errors import JudgementRefusedError
from desk.texts.catalogue import Texts
from desk.texts.clock import day_clock
from worker.errors import PeopleError, RetentionError
from worker.people.actor import Actor
from worker.retention.holds import MAX_REASON, check_reason, hold, holds_on
from worker.retention.reports import incidents_of


def preserve(redis: Redis, view: CaseView, actor: Actor, *, reason: str) -> None:
    """Places a hold on each incident of a case.

    Raises:
        JudgementRefusedError: the reason is missing or too long, or an incident takes no hold; others have theirs.
        StoreError: Redis failed; some holds may have been placed.
    """
    try:
        check_reason(reason)
    except RetentionError as error:
        raise JudgementRefusedError("judging.refused_preserve_reason", most=MAX_REASON) from error
    rules = {str(one["incident_id"]): str(one["rule"]) for one in view.records}
    refused = []
    # A page shows some incidents of a case; what it does not show is preserved as well.
    for incident_id in incidents_of(redis, view.case_id) or rules:
        try:
            hold(redis, incident_id, actor, reason=reason)
        except (RetentionError, PeopleError):
            refused.append(rules.get(incident_id, incident_id))
    if refused:
        raise JudgementRefusedError("judging.refused_preserve", rules=", ".join(refused))


def holds_in_words(redis: Redis, view: CaseView, texts: Texts) -> tuple[str, ...]:
    """The holds on a case, each once: one act of a person is a hold on each incident.

    Raises:
        StoreError: Redis failed.
    """
    lines = [
        texts("judging.preserved", by=one.by, at=day_clock(one.placed_ms, view.now_ms, texts), reason=one.reason)
        for record in view.records
        for one in holds_on(redis, str(record["incident_id"]))
    ]
    return tuple(dict.fromkeys(lines))
