"""Decisions: people judge incidents, once each, whoever asks for it and from where."""

import json
import secrets
from dataclasses import dataclass
from enum import StrEnum

from redis import Redis

from worker.errors import QueueError, StoreError
from worker.incidents.deciding import close, encode
from worker.incidents.events import decision_made, escalation_closed
from worker.incidents.grouprecord import named_streams
from worker.incidents.store import MAX_ROUNDS, read_incidents
from worker.queue.keys import DECISIONS, entries_key, incident_key, incidents_key, named_key
from worker.queue.taking import check_name
from worker.redisdb import now_ms, run_script_to_disk, store_errors

MAX_NOTE_LENGTH = 2000
"""Characters. A note explains a decision; it is no place for a report."""

KEPT_SECONDS = 400 * 24 * 3600
"""How long the record of a decided incident stays: the year for which the REPORT Act has reports preserved, and a month
to look into it."""


class Outcome(StrEnum):
    """What a person found."""

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
    """A decision as it was recorded."""

    incident_id: str
    stream_id: str
    rule: str
    outcome: Outcome
    by: str
    decided_ms: int
    """Redis's clock."""
    event: str
    """The CloudEvent that was published, JSON on one line."""


def decide(redis: Redis, incident_id: str, outcome: str, *, by: str, note: str = "", deployment: str) -> Decision:
    """Records a decision, publishes it, and acknowledges every entry of the incident; it is then on Redis's disk.

    Raises:
        QueueError: the incident is unknown, decided already, or held by another; or `outcome`, `by` or `note` is not
            usable. Nothing was written.
        StoreError: Redis failed, or did not confirm that it is on disk; the decision may have been recorded.
    """
    judged, name = _check_outcome(outcome), check_name(by)
    _check_note(note)
    token = secrets.token_hex(16)
    for _ in range(MAX_ROUNDS):
        with store_errors():
            record = redis.hgetall(incident_key(incident_id))
            fields = {str(name): str(value) for name, value in record.items()}
            if "stream_id" not in fields:
                raise QueueError(
                    f"incident {incident_id[:100]!r} is not known: `livewarden queue list` shows what is open"
                )
            if "outcome" in fields:
                raise _already(incident_id, fields["outcome"], fields["decided_by"])
            stream_id, rule = fields["stream_id"], fields["rule"]
            # A group of streams is kept apart from the one that its record names.
            owner, kept_as = fields.get("kept_under", stream_id), fields.get("kept_as", rule)
            state = read_incidents(redis, owner)
            named = named_streams(redis, incident_id) if "kept_under" in fields else None
            now = now_ms(redis)
        before = state.rules.get(kept_as)
        if before is None or before.incident is None or before.incident.incident_id != incident_id:
            continue  # it was decided between the two reads
        closing = escalation_closed(
            json.loads(fields["event"]), outcome=judged, deployment=deployment, now_ms=now, named=named
        )
        made = decision_made(
            before.incident,
            stream_id=stream_id,
            deployment=deployment,
            outcome=judged,
            by=name,
            note=note,
            now_ms=now,
            named=named,
        )
        answer = run_script_to_disk(
            redis,
            "decide",
            keys=[
                incident_key(incident_id),
                entries_key(incident_id),
                incidents_key(owner),
                DECISIONS,
                *([] if named is None else [named_key(incident_id)]),
            ],
            args=[
                incident_id,
                name,
                judged,
                note,
                now,
                state.version,
                kept_as,
                encode(close(before, now_ms=now)),
                made.text,
                closing.stream_key,
                closing.text,
                token,
                KEPT_SECONDS,
                *([] if named is None else [named.total]),
            ],
        )
        if answer[0] == "decided":
            return Decision(
                incident_id=incident_id,
                stream_id=stream_id,
                rule=rule,
                outcome=judged,
                by=name,
                decided_ms=now,
                event=made.text,
            )
        if answer[0] == "held":
            raise QueueError(f"incident {incident_id} is held by {answer[1]} for another {answer[2]} s")
        if answer[0] == "already":
            raise _already(incident_id, answer[1], answer[2])
    raise StoreError(f"incident {incident_id}: its stream's incidents changed {MAX_ROUNDS} times meanwhile: try again")


def _check_outcome(outcome: str) -> Outcome:
    try:
        return Outcome(outcome)
    except ValueError:
        raise QueueError(f"outcome {outcome[:100]!r}: expected one of {', '.join(Outcome)}") from None


def _check_note(note: str) -> None:
    if len(note) > MAX_NOTE_LENGTH:
        raise QueueError(f"--note: {len(note)} characters: expected at most {MAX_NOTE_LENGTH}")
    try:
        note.encode()
    except UnicodeEncodeError as error:
        raise QueueError(f"--note: character {error.start + 1}: expected UTF-8 text") from error


def _already(incident_id: str, outcome: str, by: str) -> QueueError:
    return QueueError(f"incident {incident_id} was decided already: {outcome}, by {by}")
