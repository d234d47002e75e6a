"""All undecided incidents, in the order of their severity."""

from collections.abc import Mapping
from dataclasses import dataclass

from redis import Redis
from redis.exceptions import ResponseError

from config.facts import Severity
from worker.incidents.keys import incident_key, open_key
from worker.people.actor import Role
from worker.people.roster import read_roster
from worker.queue.record_fields import UNREADABLE, lease_left_ms, number_of, role_needed
from worker.store.redis_client import now_ms, store_errors


@dataclass(frozen=True, kw_only=True)
class OpenIncident:
    """An undecided incident as `queue list` shows it."""

    incident_id: str
    stream_id: str
    rule: str
    severity: Severity
    purpose: str
    hits: int
    age_seconds: float
    """Since it was raised."""
    holder: str | None
    lease_seconds: float
    """Until the holder's lease ends; 0 without one."""
    streams: int = 1
    """More than one: one hash raised it on so many, and a lead decides; `stream_id` is one of them."""
    case_id: str | None = None
    """None: an older version raised it."""
    needs_role: str = Role.MODERATOR
    """Role of the person who decides, or a higher one."""
    judged: bool = False
    """One person has judged it, and a second person is to."""


def open_incidents(redis: Redis) -> list[OpenIncident]:
    """Returns all undecided incidents, in the order in which they are taken."""
    with store_errors():
        now = now_ms(redis)
        with redis.pipeline(transaction=False) as pipe:
            for severity in Severity:
                pipe.zrange(open_key(severity), 0, -1)
            queued = [
                (severity, str(incident_id))
                for severity, found in zip(Severity, pipe.execute(), strict=True)
                for incident_id in found
            ]
        with redis.pipeline(transaction=False) as pipe:
            for _, incident_id in queued:
                pipe.hgetall(incident_key(incident_id))
            records = pipe.execute(raise_on_error=False)
    roster = read_roster(redis)
    # One may have been decided between the two reads.
    return [
        _open_incident(incident_id, severity, {} if isinstance(fields, ResponseError) else fields, now, roster)
        for (severity, incident_id), fields in zip(queued, records, strict=True)
        if isinstance(fields, ResponseError) or "outcome" not in fields
    ]


def _open_incident(
    incident_id: str, severity: Severity, fields: dict[str, str], now: int, roster: Mapping[str, str]
) -> OpenIncident:
    """Reads the valid fields of a record; `severity`: of the queue that it is in."""
    lease_ms = lease_left_ms(fields, now, roster)
    raised_ms = number_of(fields, "raised_ms")
    return OpenIncident(
        incident_id=incident_id,
        stream_id=fields.get("stream_id", UNREADABLE),
        rule=fields.get("rule", UNREADABLE),
        severity=severity,
        purpose=fields.get("purpose", UNREADABLE),
        hits=number_of(fields, "hits") or 0,
        age_seconds=0.0 if raised_ms is None else max(0, now - raised_ms) / 1000,
        holder=fields.get("holder") if lease_ms else None,
        lease_seconds=lease_ms / 1000,
        streams=number_of(fields, "streams") or 1,
        case_id=fields.get("case") or None,
        needs_role=role_needed(fields),
        judged="judged_by" in fields,
    )
