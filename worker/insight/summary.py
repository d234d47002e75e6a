"""A report on a period: gathers its sources, and makes its sections."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any, Final

from redis import Redis

from worker.audit.search import AuditSearch
from worker.audit.segments import Cipher
from worker.events.cloudevent import rfc3339
from worker.health.redis_epoch import read_epoch
from worker.ingest.coverage.totals import DayTotals, totals_on
from worker.insight.actions import ActionCounts, actions_section, count_acts, count_interrupts
from worker.insight.backlog import backlog_section, waiting_incidents
from worker.insight.decided import DecidedReading
from worker.insight.durations import DurationSketch
from worker.insight.judgements import Judgements
from worker.insight.limits import (
    OpenWork,
    ReportLimit,
    limits_of_actions,
    limits_of_days,
    limits_of_loss,
    limits_of_now,
    limits_of_records,
)
from worker.insight.period import Period
from worker.insight.sections import ReportSection
from worker.insight.totals_sections import coverage_section, decisions_section, escalations_section
from worker.store import redis_keys
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms, store_errors

SCHEMA: Final = "urn:livewarden:schema:insight.v1"
"""`$id` of config/schemas/insight.v1.json."""


@dataclass(frozen=True, kw_only=True)
class PeriodReport:
    """A report, of numbers about streams and incidents, and none about a person."""

    period: Period
    purpose: str
    generated: str
    """RFC 3339, Redis's clock."""
    limits: tuple[ReportLimit, ...]
    """Facts that it cannot know."""
    sections: tuple[ReportSection, ...]
    days: tuple[DayTotals, ...]
    """Totals of its purpose, the oldest first: for plots."""
    times: Mapping[date, DurationSketch]
    """Times to the decision, by its day: for plots."""

    def to_data(self) -> dict[str, Any]:
        """Returns it as `--format json` prints it."""
        return {
            "schema": SCHEMA,
            "generated": self.generated,
            "from": self.period.first.isoformat(),
            "to": self.period.last.isoformat(),
            "purpose": self.purpose,
            "limits": [{"code": limit.code, "text": limit.text} for limit in self.limits],
            "sections": {
                section.name: {
                    "title": section.title,
                    "answers": dict(section.answers),
                    "notes": list(section.notes),
                    "tables": {table.name: table.records() for table in section.tables},
                }
                for section in self.sections
            },
        }


def period_report(
    redis: Redis, store: ObjectStore, period: Period, *, purpose: str = "live", opened: Cipher | None = None
) -> PeriodReport:
    """Makes the report on a period. Its sources are read one after another: decisions made meanwhile may be in one
    section and not yet in another.

    Args:
        opened: opens sealed segments of the audit log; None: their acts are not counted, which the report says.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        now, epoch = now_ms(redis), read_epoch(redis)
    days = tuple(one for one in totals_on(redis, period.days()) if one.purpose == purpose)
    reading, judgements, counts = DecidedReading(redis, period, purpose), Judgements(), ActionCounts()
    for incident in reading.incidents():
        judgements.add(incident)
    count_interrupts(redis, period, purpose, counts)
    count_acts(AuditSearch(redis, store, opened=opened), period, counts)
    generated = rfc3339(now)
    return PeriodReport(
        period=period,
        purpose=purpose,
        generated=generated,
        limits=(
            *limits_of_days(period, days, now),
            *limits_of_now(period, open_work(redis), now),
            *limits_of_loss(period, epoch),
            *limits_of_records(days, judgements.total, reading),
            *limits_of_actions(period, days, counts, now),
        ),
        sections=(
            coverage_section(days),
            escalations_section(days),
            decisions_section(days),
            judgements.accuracy_section(),
            judgements.times_section(),
            backlog_section(waiting_incidents(redis), purpose=purpose, as_of=generated, undecided=reading.undecided),
            judgements.agreement_section(),
            actions_section(counts),
        ),
        days=days,
        times=judgements.by_day,
    )


def open_work(redis: Redis) -> OpenWork:
    """Reads what is under way.

    Raises:
        StoreError: Redis failed.
    """
    keys = (
        *(redis_keys.DUE, redis_keys.DUE_SLOW, redis_keys.DUE_NEW),
        *(redis_keys.OVERDUE, redis_keys.STREAMS_MISSING),
    )
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        for key in keys:
            pipe.zcard(key.name)
        found = [one if isinstance(one, int) else 0 for one in pipe.execute(raise_on_error=False)]
    *polled, segments, missing = found
    return OpenWork(streams=sum(polled), segments=segments, missing=missing)
