"""The section of what waits at this moment: no record says what waited at an earlier time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Final

from redis import Redis

from config.facts import Severity
from worker.incidents.keys import incident_key, open_key
from worker.insight.sections import ReportSection, count, seconds, table, text
from worker.people.roster import read_roster
from worker.queue.record_fields import lease_left_ms, number_of
from worker.store.redis_client import now_ms, store_errors

ALL: Final = "all"

READ_AT_ONCE: Final = 500
"""Records of one answer of Redis, without their events: some 100 kB."""

_FIELDS: Final = ("purpose", "raised_ms", "outcome", "holder", "lease_until_ms", "needs_role", "kept_under")


@dataclass(frozen=True, kw_only=True)
class WaitingIncident:
    """An undecided incident."""

    severity: Severity
    purpose: str
    held: bool
    """A person holds it."""
    age_seconds: float
    """Since it was raised."""


def waiting_incidents(redis: Redis) -> Iterator[WaitingIncident]:
    """Yields all undecided incidents, without their events, and without a bound: a backlog of 100,000 has a
    gigabyte of these.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now, roster = now_ms(redis), read_roster(redis)
        queued = iter(
            [(severity, str(one)) for severity in Severity for one in redis.zrange(open_key(severity), 0, -1)]
        )
    while asked := list(islice(queued, READ_AT_ONCE)):
        with store_errors(), redis.pipeline(transaction=False) as pipe:
            for _, incident_id in asked:
                pipe.hmget(incident_key(incident_id), _FIELDS)
            found = pipe.execute(raise_on_error=False)
        for (severity, _), values in zip(asked, found, strict=True):
            named = zip(_FIELDS, values, strict=True) if isinstance(values, list) else ()
            fields = {name: str(value) for name, value in named if value is not None}
            if "outcome" not in fields:  # else it was decided meanwhile
                raised_ms = number_of(fields, "raised_ms")
                yield WaitingIncident(
                    severity=severity,
                    purpose=fields.get("purpose", ""),
                    held=lease_left_ms(fields, now, roster) > 0,
                    age_seconds=0.0 if raised_ms is None else max(0, now - raised_ms) / 1000,
                )


@dataclass(kw_only=True)
class _Waiting:
    waiting: int = 0
    held: int = 0
    oldest_seconds: float = 0.0


def backlog_section(waiting: Iterable[WaitingIncident], *, purpose: str, as_of: str, undecided: int) -> ReportSection:
    """Incidents on which nobody has decided, and the age of the oldest.

    Args:
        waiting: of all purposes.
        as_of: when they were read.
        undecided: of the period's incidents.
    """
    found = {str(severity): _Waiting() for severity in Severity} | {ALL: _Waiting()}
    for incident in waiting:
        if incident.purpose == purpose:
            for of in (found[incident.severity], found[ALL]):
                of.waiting += 1
                of.held += incident.held
                of.oldest_seconds = max(of.oldest_seconds, incident.age_seconds)
    return ReportSection(
        name="backlog",
        title="Backlog",
        answers={
            "Principle 11": "What is found and not acted on yet.",
            "Ofcom": "ICU C4: whether review is resourced for its targets.",
            "DSA": "Article 15(1)(c): timeliness of moderation by people.",
        },
        notes=(f"As of {as_of}, whatever the period is; the backlog of earlier times is on no record.",),
        tables=(
            table(
                "backlog",
                "Undecided incidents now",
                (text("severity"), count("waiting"), count("held"), seconds("oldest_seconds")),
                [(of, one.waiting, one.held, one.oldest_seconds if one.waiting else None) for of, one in found.items()],
            ),
            table("undecided", "Raised in the period and undecided now", (count("incidents"),), [(undecided,)]),
        ),
    )
