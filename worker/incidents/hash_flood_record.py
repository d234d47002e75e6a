"""The record of a group incident, and the updates that name the streams which have joined it."""

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis import Redis

from config.policy.policy import Policy
from worker.incidents.events import Event, NamedStreams
from worker.incidents.findings import Incident
from worker.incidents.hash_flood_events import streams_joined
from worker.incidents.keys import FLOODS_DUE, groups_owner, incident_key, incidents_key, named_key
from worker.incidents.rule_state import RuleState, StreamIncidents, encode
from worker.incidents.store import event_record, group_field, incident_record, read_groups
from worker.store.redis_client import now_ms, run_script_to_disk, store_errors

_log = logging.getLogger(__name__)

FORGOTTEN_MS = 3_600_000
"""For which a group's state stays after the cooldown: it covers nothing any more."""

MAX_GROUPS_AT_ONCE = 100


@dataclass(frozen=True, kw_only=True)
class FloodGroup:
    """A group and its state to be kept."""

    purpose: str
    name: str
    """Its first hash, as "list/entry"."""
    state: RuleState
    changed: bool = False
    """The state is to be written, though nothing is published."""

    def write(
        self,
        redis: Redis,
        groups: StreamIncidents,
        *,
        streams: Mapping[str, int],
        due_ms: int,
        events: Sequence[Event] = (),
        named_count: int | None = None,
        captured_ms: int | None = None,
    ) -> bool:
        """Writes the changes, if `groups` still holds.

        Args:
            streams: those that join, with the time by Redis's clock.
            due_ms: when to publish which have joined, unless `events` do.
            named_count: how many streams `events` name.
            captured_ms: when the picture was live with which a stream joins.

        Returns:
            True: it was written. False: the groups have changed since `groups` was read.
        """
        incident = self.state.incident
        assert incident is not None
        keeps = self.changed or bool(events)
        owner = groups_owner(self.purpose)
        answer = run_script_to_disk(
            redis,
            "flood_write",
            keys=[incidents_key(owner), named_key(incident.incident_id), FLOODS_DUE],
            args=[
                groups.version,
                group_field(self.name),
                encode(self.state) if keeps else "",
                json.dumps(
                    [
                        group_field(name)
                        for name, state in groups.rules.items()
                        if _is_over(state, incident.published_ms)
                    ]
                ),
                json.dumps({stream: str(joined_ms) for stream, joined_ms in streams.items()}),
                json.dumps(group_record(self.purpose, self.name, incident, events[0])) if events else "",
                json.dumps([event_record(event) for event in events]),
                due_member(self.purpose, self.name),
                due_ms,
                "" if named_count is None else named_count,
                incident.incident_id,
                "" if captured_ms is None else captured_ms,
            ],
        )
        return str(answer) == "written"


def group_record(purpose: str, name: str, incident: Incident, event: Event) -> dict[str, object]:
    """A group's incident as the scripts take it; `event` is its newest."""
    return incident_record(
        str(json.loads(event.text)["subject"]),
        incident,
        captured_first_ms=str(incident.finding.captured_first_ms),
        kept_under=groups_owner(purpose),
        kept_as=name,
        streams=str(incident.finding.hits),
        needs_role="lead",  # an older version's incident does not have it
    )


def due_member(purpose: str, name: str) -> str:
    """Names a group among those with streams to publish."""
    return f"{purpose} {name}"


def _is_over(state: RuleState, now_ms: int) -> bool:
    return state.incident is None and (state.decided is None or state.decided.quiet_until_ms + FORGOTTEN_MS < now_ms)


def publish_due(redis: Redis, *, deployment: str, policy: Policy) -> int:
    """Publishes which streams have joined groups, where it is due; returns how many groups were due.

    Raises:
        StoreError: Redis failed; the next call publishes the rest.
    """
    with store_errors():
        now = now_ms(redis)
        # A time further ahead than any that is set was written before Redis's clock went back.
        spans = (("-inf", str(now)), (f"({now + update_ms(policy)}", "+inf"))
        found = (redis.zrangebyscore(FLOODS_DUE, *span, start=0, num=MAX_GROUPS_AT_ONCE) for span in spans)
        due = [str(member) for members in found for member in members]
        for member in due:
            purpose, _, name = member.partition(" ")
            try:
                publish_joined(redis, purpose, name, deployment=deployment, policy=policy)
            except (ValueError, TypeError, KeyError) as error:
                _log.warning("group %s: its incident's record cannot be read: %r", member, error)
                redis.zrem(FLOODS_DUE, member)
    return len(due)


def publish_joined(redis: Redis, purpose: str, name: str, *, deployment: str, policy: Policy) -> None:
    """Publishes one update that names all streams. If the group changes meanwhile, the next tick publishes that."""
    groups = read_groups(redis, purpose)
    state = groups.rules.get(name, RuleState())
    if state.incident is None:
        redis.zrem(FLOODS_DUE, due_member(purpose, name))
        return
    now = now_ms(redis)
    incident = state.incident
    record = redis.hgetall(incident_key(incident.incident_id))
    streams = streams_of(redis, named_key(incident.incident_id))
    finding = replace(
        incident.finding,
        hits=len(streams),
        captured_first_ms=int(record["captured_first_ms"]),
        captured_last_ms=int(record["captured_last_ms"]),
    )
    incident = replace(incident, finding=finding, published_ms=now)
    event = streams_joined(
        json.loads(str(record["event"])), incident, NamedStreams.of(list(streams)), deployment=deployment, now_ms=now
    )
    group = FloodGroup(purpose=purpose, name=name, state=replace(state, incident=incident))
    group.write(redis, groups, streams={}, events=[event], named_count=len(streams), due_ms=now + update_ms(policy))


def streams_of(redis: Redis, key: str) -> dict[str, int]:
    """A set of streams with their times in ms, the earliest first."""
    found: Any = redis.zrange(key, 0, -1, withscores=True)
    return {str(stream): int(at_ms) for stream, at_ms in found}


def update_ms(policy: Policy) -> int:
    """The least time between two events of an incident."""
    return round(policy.update_seconds * 1000)
