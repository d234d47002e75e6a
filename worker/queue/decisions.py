"""Decisions of people on incidents: each incident is decided once, from whichever place."""

from dataclasses import dataclass, replace
from enum import StrEnum

from redis import Redis

from worker.audit.entries import Act, audit_entry
from worker.errors import QueueError, StoreError
from worker.incidents.decision_events import decision_made
from worker.incidents.events import escalation_closed
from worker.incidents.incident_end import close
from worker.incidents.keys import DECISIONS, FLOODS_DUE, entries_key, incident_key, incidents_key, named_key
from worker.incidents.rule_state import encode
from worker.incidents.store import rounds
from worker.people.actor import Actor
from worker.queue.leases import not_held
from worker.queue.record_fields import LONGEST_LEASE_MS
from worker.queue.undecided import Undecided
from worker.store import redis_keys
from worker.store.redis_client import run_script_to_disk, store_errors

MAX_NOTE_LENGTH = 2000
"""Characters. A note explains a decision; a report belongs elsewhere."""

PATIENCE_SECONDS = 10.0
"""The time for which a decision is tried again while segments of the stream change its incidents."""

KEPT_SECONDS = redis_keys.INCIDENT.seconds
"""The time for which the record of a decided incident stays: the year for which the REPORT Act requires reports to be
preserved, and a month for an inquiry."""


class Outcome(StrEnum):
    """The judgement of a person on an incident."""

    CSEA_APPARENT = "csea_apparent"
    CSEA_SUSPECTED = "csea_suspected"
    CHILD_AT_RISK = "child_at_risk"
    ADULT_TOS = "adult_tos"
    """Adult content against the platform's terms."""
    OTHER_HARM = "other_harm"
    HARMLESS = "harmless"
    CANNOT_JUDGE = "cannot_judge"


@dataclass(frozen=True, kw_only=True)
class Decision:
    """A recorded decision."""

    incident_id: str
    stream_id: str
    rule: str
    outcome: Outcome
    by: str
    decided_ms: int
    """Redis's clock."""
    verified: bool
    """The person proved to be `by`, by a token."""
    event: str
    """The CloudEvent that was published, JSON on one line."""
    previous: Outcome | None = None
    """The outcome before a revision; None: it is the first decision."""


def decide_incident(
    redis: Redis, incident_id: str, outcome: str, *, by: str | Actor, note: str = "", deployment: str
) -> Decision:
    """Records a decision, publishes it, and acknowledges every entry of the incident; it is then on Redis's disk.

    On a group's incident it holds for the streams that were shown; those that joined since become an incident of their
    own. An incident that was never taken counts as shown.

    Raises:
        QueueError: the incident is unknown, decided already, held by another person, or worse than when it was last
            taken; or `outcome`, `by` or `note` is invalid, or a match on a list is called harmless without a note.
            Nothing was written.
        PeopleError: the roster does not have `by` any more, or the incident needs a role that `by` does not have.
        StoreError: Redis failed, or did not confirm that it is on disk; the decision may have been recorded.
    """
    judged, actor = check_outcome(outcome), Actor.named(by)
    check_note(note)
    for _ in rounds(PATIENCE_SECONDS):
        with store_errors():
            found = Undecided.read(redis, incident_id)
        if found is None:
            continue
        incident, named, now = found.incident, found.named, found.now_ms
        taken_ms = found.taken_ms(actor.name)
        closing = escalation_closed(
            found.newest, outcome=judged, deployment=deployment, now_ms=now, named=named, taken_ms=taken_ms
        )
        made = decision_made(
            incident,
            newest=found.newest,
            stream_id=found.stream_id,
            deployment=deployment,
            outcome=judged,
            by=actor.name,
            note=note,
            now_ms=now,
            named=named,
            taken_ms=taken_ms,
            verified=actor.verified,
        )
        left = found.left(deployment)
        after = close(found.before, now_ms=now, ended=found.ended)
        if left is not None:
            after = replace(after, incident=left.incident)
        refusal = _refusal(found, judged, note)
        answer = run_script_to_disk(
            redis,
            "decide",
            keys=[
                incident_key(incident_id),
                entries_key(incident_id),
                incidents_key(found.kept.owner),
                DECISIONS,
                *([] if named is None else [named_key(incident_id)]),
                *([] if left is None else [named_key(left.incident.incident_id), FLOODS_DUE]),
            ],
            args=[
                incident_id,
                actor.name,
                judged,
                note,
                now,
                found.kept.version,
                found.kept.field,
                encode(after),
                made.text,
                closing.stream_key,
                closing.text,
                LONGEST_LEASE_MS,
                KEPT_SECONDS,
                found.fields.get("take_token", ""),
                int(bool(refusal)),
                actor.proof,
                audit_entry(Act.DECISION, by=actor.name, verified=actor.verified, subject=incident_id, outcome=judged),
                *([] if named is None else [len(found.streams)]),
                *([] if left is None else left.as_args()),
            ],
        )
        if answer[0] == "decided":
            return Decision(
                incident_id=incident_id,
                stream_id=found.stream_id,
                rule=found.fields["rule"],
                outcome=judged,
                by=actor.name,
                decided_ms=now,
                verified=actor.verified,
                event=made.text,
            )
        if answer[0] == "refused":
            raise QueueError(f"incident {incident_id}: {refusal}")
        if answer[0] != "clash":
            raise not_held(incident_id, answer, actor)
    raise StoreError(f"incident {incident_id}: its stream's incidents keep changing: try again")


def _refusal(found: Undecided, outcome: Outcome, note: str) -> str:
    """Reason why nobody may make this decision; empty: it may be made."""
    if found.worse:
        return f"{found.worse} came since: take it again"
    if outcome is Outcome.HARMLESS and found.listed and not note.strip():
        # A person has classified that picture as known material before.
        return f"it matches list {', '.join(found.listed)}: `harmless` needs a note that says why (--note)"
    return ""


def check_outcome(outcome: str) -> Outcome:
    """Returns the outcome of that name.

    Raises:
        QueueError: there is none.
    """
    try:
        return Outcome(outcome)
    except ValueError:
        raise QueueError(f"outcome {outcome[:100]!r}: expected one of {', '.join(Outcome)}") from None


def check_note(note: str) -> None:
    """Checks a note.

    Raises:
        QueueError: it is too long, or not valid text.
    """
    if len(note) > MAX_NOTE_LENGTH:
        raise QueueError(f"--note: {len(note)} characters: expected at most {MAX_NOTE_LENGTH}")
    try:
        note.encode()
    except UnicodeEncodeError as error:
        raise QueueError(f"--note: character {error.start + 1}: expected UTF-8 text") from error
