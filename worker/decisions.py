"""Decisions: people judge incidents, once each, whoever asks for it and from where."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

from redis import Redis

from worker import rediskeys
from worker.cloudevent import derived_id
from worker.errors import QueueError, StoreError
from worker.incidents.deciding import RuleState, close, encode
from worker.incidents.events import Event, NamedStreams, decision_made, escalation_closed, extent_of
from worker.incidents.findings import Incident
from worker.incidents.groupevents import joined_since
from worker.incidents.grouprecord import due_member, group_record, streams_of
from worker.incidents.store import event_record, group_field, read_groups, read_incidents, rounds, state_field
from worker.queue.keys import DECISIONS, FLOODS_DUE, entries_key, incident_key, incidents_key, named_key
from worker.queue.taking import LONGEST_LEASE_MS, check_name
from worker.redisdb import now_ms, run_script_to_disk, store_errors

MAX_NOTE_LENGTH = 2000
"""Characters. A note explains a decision; it is no place for a report."""

PATIENCE_SECONDS = 10.0
"""Of a person who decides while segments of the stream end all the time."""

KEPT_SECONDS = rediskeys.INCIDENT.seconds
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

    Of a group's incident it is for the streams that were shown; those that joined since become an incident of their
    own. What nobody ever took counts as shown.

    Raises:
        QueueError: the incident is unknown, decided already, held by another, or worse than it was when it was last
            taken; or `outcome`, `by` or `note` is not usable. Nothing was written.
        StoreError: Redis failed, or did not confirm that it is on disk; the decision may have been recorded.
    """
    judged, name = _check_outcome(outcome), check_name(by)
    _check_note(note)
    for _ in rounds(PATIENCE_SECONDS):
        with store_errors():
            found = _Found.read(redis, incident_id)
        if found is None:
            continue
        incident, named, now = found.incident, found.named, found.now_ms
        closing = escalation_closed(found.newest, outcome=judged, deployment=deployment, now_ms=now, named=named)
        made = decision_made(
            incident,
            newest=found.newest,
            stream_id=found.stream_id,
            deployment=deployment,
            outcome=judged,
            by=name,
            note=note,
            now_ms=now,
            named=named,
        )
        left = found.left(deployment)
        after = close(found.before, now_ms=now)
        if left is not None:
            after = replace(after, incident=left.incident)
        answer = run_script_to_disk(
            redis,
            "decide",
            keys=[
                incident_key(incident_id),
                entries_key(incident_id),
                incidents_key(found.owner),
                DECISIONS,
                *([] if named is None else [named_key(incident_id)]),
                *([] if left is None else [named_key(left.incident.incident_id), FLOODS_DUE]),
            ],
            args=[
                incident_id,
                name,
                judged,
                note,
                now,
                found.version,
                found.field,
                encode(after),
                made.text,
                closing.stream_key,
                closing.text,
                LONGEST_LEASE_MS,
                KEPT_SECONDS,
                found.fields.get("take_token", ""),
                int(bool(found.worse)),
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
                by=name,
                decided_ms=now,
                event=made.text,
            )
        if answer[0] == "held":
            raise QueueError(f"incident {incident_id} is held by {answer[1]} for another {answer[2]} s")
        if answer[0] == "already":
            raise _already(incident_id, answer[1], answer[2])
        if answer[0] == "worse":
            raise QueueError(f"incident {incident_id}: {found.worse} came since: take it again")
    raise StoreError(f"incident {incident_id}: its stream's incidents change all the time: try again")


@dataclass(frozen=True, kw_only=True)
class _Found:
    """An undecided incident as it is read before a decision."""

    fields: Mapping[str, str]
    """Its record."""
    version: int
    """Of the incidents that it is kept with."""
    before: RuleState
    streams: Mapping[str, int]
    """Of a group, by when they joined."""
    now_ms: int

    @classmethod
    def read(cls, redis: Redis, incident_id: str) -> "_Found | None":
        """Reads an incident; None: it was decided meanwhile, read again.

        Raises:
            QueueError: it is unknown or decided.
        """
        fields = {str(name): str(value) for name, value in redis.hgetall(incident_key(incident_id)).items()}
        if "stream_id" not in fields:
            raise QueueError(f"incident {incident_id[:100]!r} is not known: `livewarden queue list` shows what is open")
        if "outcome" in fields:
            raise _already(incident_id, fields["outcome"], fields["decided_by"])
        if "kept_under" in fields:
            state = read_groups(redis, fields["purpose"])
            before = state.rules.get(fields["kept_as"])
            streams = streams_of(redis, named_key(incident_id))
        else:
            state = read_incidents(redis, fields["stream_id"], fields["purpose"])
            before, streams = state.rules.get(fields["rule"]), {}
        if before is None or before.incident is None or before.incident.incident_id != incident_id:
            return None
        return cls(fields=fields, version=state.version, before=before, streams=streams, now_ms=now_ms(redis))

    @property
    def incident(self) -> Incident:
        assert self.before.incident is not None
        return self.before.incident

    @property
    def stream_id(self) -> str:
        return self.fields["stream_id"]

    @property
    def owner(self) -> str:
        # A group of streams is kept apart from the one that its record names.
        return self.fields.get("kept_under", self.stream_id)

    @property
    def field(self) -> str:
        if "kept_as" in self.fields:
            return group_field(self.fields["kept_as"])
        return state_field(self.fields["rule"], self.fields["purpose"])

    @property
    def newest(self) -> Mapping[str, Any]:
        """Its newest escalation event."""
        event: Mapping[str, Any] = json.loads(self.fields["event"])
        return event

    @property
    def shown(self) -> Mapping[str, Any] | None:
        """`data` of the event that its holder was given last; None: nobody took it."""
        text = self.fields.get("shown")
        return json.loads(text)["data"] if text else None

    @property
    def worse(self) -> str:
        """What came since it was shown and is worse; empty: nothing."""
        if self.shown is None:
            return ""
        if not self.incident.worse_published and self.fields["shown"] == self.fields["event"]:
            return ""  # version 0.1.0 left it unpublished: taking it again would show no more
        finding = self.incident.finding
        return extent_of(self.shown).surpassed_by(finding.severity, finding.matches)

    @cached_property
    def _joined_since(self) -> tuple[str, ...]:
        seen = self.streams if self.shown is None else set(self.shown.get("streams", ()))
        return tuple(stream for stream in self.streams if stream not in seen)

    @property
    def named(self) -> NamedStreams | None:
        """Of a group, the streams that are decided on."""
        if "kept_under" not in self.fields:
            return None
        since = set(self._joined_since)
        return NamedStreams.of([stream for stream in self.streams if stream not in since])

    def left(self, deployment: str) -> "_Left | None":
        """What becomes of the streams that joined a group since it was shown."""
        if not self._joined_since:
            return None
        incident = replace(
            self.incident,
            incident_id=derived_id("incident", self.incident.incident_id, "joined since")[:24],
            finding=replace(self.incident.finding, hits=len(self._joined_since)),
            raised_ms=self.now_ms,
            published_ms=self.now_ms,
        )
        named = NamedStreams.of(self._joined_since)
        event = joined_since(self.newest, incident, named, deployment=deployment, now_ms=self.now_ms)
        return _Left(
            incident=incident,
            event=event,
            name=self.fields["kept_as"],
            streams={stream: self.streams[stream] for stream in self._joined_since},
        )


@dataclass(frozen=True, kw_only=True)
class _Left:
    """The incident of streams that joined a group after it was shown."""

    incident: Incident
    event: Event
    name: str
    """The group's."""
    streams: Mapping[str, int]
    """By when they joined."""

    def as_args(self) -> list[str]:
        """As the script takes it."""
        return [
            json.dumps(group_record(self.incident.purpose, self.name, self.incident, self.event)),
            json.dumps([event_record(self.event)]),
            json.dumps({stream: str(joined_ms) for stream, joined_ms in self.streams.items()}),
            due_member(self.incident.purpose, self.name),
        ]


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
