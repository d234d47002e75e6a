"""An undecided incident, with all that a decision on it needs."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from redis import Redis

from config.facts import ALLOW
from worker.events.cloudevent import derived_id
from worker.incidents.events import Event, NamedStreams, extent_of
from worker.incidents.findings import Incident, IncidentEnd
from worker.incidents.hash_flood_events import joined_since
from worker.incidents.hash_flood_record import due_member, group_record, streams_of
from worker.incidents.keys import incident_key, named_key
from worker.incidents.rule_state import RuleState, encode
from worker.incidents.store import (
    encode_ended,
    ended_incident,
    event_record,
    group_field,
    read_groups,
    read_incidents,
    state_field,
)
from worker.queue.leases import decided_already, unknown
from worker.queue.record_fields import number_of
from worker.store.redis_client import now_ms


@dataclass(frozen=True, kw_only=True)
class StoredRuleState:
    """The state that an incident is or was kept in: of its rule on its stream, or of its group of streams."""

    owner: str
    """The stream or group whose incidents it is kept with."""
    field: str
    version: int
    """The version of those incidents."""
    state: RuleState | None
    """None: there is none any more."""

    @classmethod
    def read(cls, redis: Redis, record: Mapping[str, str]) -> "StoredRuleState":
        """Reads the state for the incident of that record."""
        if "kept_under" in record:
            # A group of streams is kept separately from the stream that its record names.
            state = read_groups(redis, record["purpose"])
            owner, name, field = record["kept_under"], record["kept_as"], group_field(record["kept_as"])
        else:
            state = read_incidents(redis, record["stream_id"], record["purpose"])
            owner, name = record["stream_id"], record["rule"]
            field = state_field(name, record["purpose"])
        return cls(owner=owner, field=field, version=state.version, state=state.rules.get(name))


def read_record(redis: Redis, incident_id: str) -> dict[str, str]:
    """Reads the record of an incident.

    Raises:
        QueueError: there is none.
    """
    record = {str(name): str(value) for name, value in redis.hgetall(incident_key(incident_id)).items()}
    if "stream_id" not in record:
        raise unknown(incident_id)
    return record


@dataclass(frozen=True, kw_only=True)
class Undecided:
    """An undecided incident as read before a decision."""

    fields: Mapping[str, str]
    """Its record."""
    kept: StoredRuleState
    before: RuleState
    ended: Incident | None
    """The incident, if it has ended without a decision. None: it is the open one."""
    streams: Mapping[str, int]
    """Streams of a group -> when they joined."""
    now_ms: int

    @classmethod
    def read(cls, redis: Redis, incident_id: str) -> "Undecided | None":
        """Reads an incident; None: it was decided meanwhile, call again.

        Raises:
            QueueError: it is unknown or decided.
        """
        fields = read_record(redis, incident_id)
        if "outcome" in fields:
            raise decided_already(incident_id, fields["outcome"], fields["decided_by"])
        kept = StoredRuleState.read(redis, fields)
        before = RuleState() if kept.state is None else kept.state
        ended = ended_incident(fields)
        if ended is None and (before.incident is None or before.incident.incident_id != incident_id):
            return None
        streams = streams_of(redis, named_key(incident_id)) if "kept_under" in fields else {}
        return cls(fields=fields, kept=kept, before=before, ended=ended, streams=streams, now_ms=now_ms(redis))

    @property
    def incident(self) -> Incident:
        incident = self.before.incident if self.ended is None else self.ended
        assert incident is not None
        return incident

    @property
    def stream_id(self) -> str:
        return self.fields["stream_id"]

    def taken_ms(self, by: str) -> int | None:
        """Redis's time at which this person, its last holder, took it; None: another did, or an older version."""
        return number_of(self.fields, "taken_ms") if self.fields.get("holder") == by else None

    @property
    def newest(self) -> Mapping[str, Any]:
        """Its newest escalation event."""
        event: Mapping[str, Any] = json.loads(self.fields["event"])
        return event

    @property
    def shown(self) -> Mapping[str, Any] | None:
        """`data` of the event that was last shown to a holder; None: it was never taken."""
        text = self.fields.get("shown")
        return json.loads(text)["data"] if text else None

    @property
    def worse(self) -> str:
        """Worse findings since it was shown; empty: none."""
        if self.shown is None:
            return ""
        if not self.incident.worse_published and self.fields["shown"] == self.fields["event"]:
            return ""  # version 0.1.0 left it unpublished: taking it again would show no more
        finding = self.incident.finding
        return extent_of(self.shown).surpassed_by(finding.severity, finding.matches)

    @property
    def interruptible(self) -> bool:
        """An interruption has something to interrupt: no canary, and no stream that has ended."""
        return self.incident.purpose != "canary" and self.incident.ended != IncidentEnd.STREAM_ENDED

    @property
    def interrupts_on_first(self) -> bool:
        """The policy lets a first judgement ask for the interruption, before the second."""
        return self.fields.get("interrupt_on_first", "1") == "1"

    def needing_lead(self) -> tuple[str, str]:
        """The state of the rule, and the kept incident, for a lead to decide on; the latter is empty while the incident
        is the open one."""
        incident = replace(self.incident, needs_role="lead")
        if self.ended is None:
            return encode(replace(self.before, incident=incident)), ""
        return encode(self.before), encode_ended(incident)

    @property
    def listed(self) -> tuple[str, ...]:
        """The lists that it matches, except `allow`, whose pictures a lead found harmless."""
        return tuple(sorted({match.list for match in self.incident.finding.matches} - {ALLOW}))

    @cached_property
    def _joined_since(self) -> tuple[str, ...]:
        seen = self.streams if self.shown is None else set(self.shown.get("streams", ()))
        return tuple(stream for stream in self.streams if stream not in seen)

    @property
    def named(self) -> NamedStreams | None:
        """The streams of a group that are decided on; None: it is not of a group."""
        if "kept_under" not in self.fields:
            return None
        since = set(self._joined_since)
        return NamedStreams.of([stream for stream in self.streams if stream not in since])

    def left(self, deployment: str) -> "JoinedSince | None":
        """The incident of streams that joined a group since it was shown; None: none did."""
        if not self._joined_since:
            return None
        incident = replace(
            self.incident,
            incident_id=derived_id("incident", self.incident.incident_id, "joined since")[:24],
            finding=replace(self.incident.finding, hits=len(self._joined_since)),
            predecessor=self.incident.incident_id,
            raised_ms=self.now_ms,
            published_ms=self.now_ms,
        )
        named = NamedStreams.of(self._joined_since)
        event = joined_since(self.newest, incident, named, deployment=deployment, now_ms=self.now_ms)
        return JoinedSince(
            incident=incident,
            event=event,
            name=self.fields["kept_as"],
            streams={stream: self.streams[stream] for stream in self._joined_since},
        )


@dataclass(frozen=True, kw_only=True)
class JoinedSince:
    """The incident of streams that joined a group after it was shown."""

    incident: Incident
    event: Event
    name: str
    """The group's."""
    streams: Mapping[str, int]
    """Stream -> when it joined."""

    def as_args(self) -> list[str]:
        """The script's arguments."""
        return [
            json.dumps(group_record(self.incident.purpose, self.name, self.incident, self.event)),
            json.dumps([event_record(self.event)]),
            json.dumps({stream: str(joined_ms) for stream, joined_ms in self.streams.items()}),
            due_member(self.incident.purpose, self.name),
        ]
