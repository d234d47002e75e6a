"""Undecided incidents, each by itself, in the order of their severity."""

from dataclasses import dataclass

from redis import Redis

from config.facts import Severity
from worker.people.actor import Role
from worker.queue.case_order import OpenCase
from worker.queue.open_cases import read_queued


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
    """Since it was raised; 0: unknown."""
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
    """Returns the undecided incidents, in the order of their severity and then of their age.

    Raises:
        StoreError: Redis failed.
    """
    found, now = read_queued(redis)
    return [open_incident(one, now) for one in found.values()]


def open_incident(one: OpenCase, now: int) -> OpenIncident:
    """Returns an incident that was read as a case of its own (`read_queued`); `now`: Redis's clock in ms."""
    return OpenIncident(
        incident_id=one.incident_id,
        stream_id=one.stream_id,
        rule=one.rule,
        severity=one.severity,
        purpose=one.purpose,
        hits=one.hits,
        age_seconds=one.waited_ms(now) / 1000 if one.raised_ms else 0.0,
        holder=one.holder,
        lease_seconds=one.lease_seconds,
        streams=one.streams,
        case_id=None if one.case_id == one.incident_id else one.case_id,
        needs_role=one.needs_role,
        judged=one.judged,
    )
