"""Limits of a report: what cannot be known of its period, each said in a sentence with its numbers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

from config.counts import counted
from worker.events.cloudevent import rfc3339
from worker.health.redis_epoch import Epoch
from worker.incidents.keys import DECISIONS
from worker.ingest.coverage.ledger import KINDS
from worker.ingest.coverage.totals import KEPT_DAYS, DayTotals
from worker.insight.actions import ActionCounts
from worker.insight.decided import DecidedReading
from worker.insight.period import Period, day_of, spans
from worker.queue.trimming import KEPT_DAYS as EVENTS_KEPT_DAYS

UNSETTLED_SECONDS = 0.5
"""Below which times that were not settled on their day are roundings."""


@dataclass(frozen=True, kw_only=True)
class ReportLimit:
    """Something that a report cannot know."""

    code: str
    """For programs; stays the same."""
    text: str


@dataclass(frozen=True, kw_only=True)
class OpenWork:
    """Work that is under way at this moment, and therefore in no total yet; of all purposes."""

    streams: int
    """Streams that are polled."""
    segments: int
    """Segments that were listed and are not settled."""
    missing: int
    """Streams that cannot be read or do not go on: their missed time is added when its cause is known."""


def limits_of_days(period: Period, days: Sequence[DayTotals], now_ms: int) -> Iterator[ReportLimit]:
    """Yields days of which there is no number, or not all of them.

    Args:
        days: with totals of the report's purpose.
    """
    today = day_of(now_ms)
    oldest = today - timedelta(days=KEPT_DAYS)
    known = {day.day for day in days}
    without = [day for day in period.days() if day not in known]
    if future := [day for day in without if day > today]:
        yield ReportLimit(code="days_to_come", text=f"{_days(future)}: not begun yet.")
    if forgotten := [day for day in without if day <= oldest]:
        yield ReportLimit(
            code="days_forgotten", text=f"{_days(forgotten)}: totals are kept for {KEPT_DAYS} days and are gone."
        )
    if empty := [day for day in without if oldest < day <= today]:
        yield ReportLimit(
            code="days_without_data",
            text=f"{_days(empty)}: nothing was counted. Either no stream was watched, or no worker ran, or Redis lost "
            "the numbers; this report cannot tell which.",
        )
    if today in known:
        yield ReportLimit(code="day_not_over", text=f"{today}: not over; its numbers are those up to now.")
    if unnamed := sum(sum(day.unnamed.values()) for day in days):
        yield ReportLimit(
            code="names_lumped",
            text=f"{counted(unnamed, 'count')} had more rules or lists on a day than are kept by name: see (more).",
        )
    unsettled = sum(
        day.seconds.get("elapsed", 0.0)
        - day.seconds.get("moderated", 0.0)
        - sum(day.kind_seconds(kind) for kind in KINDS)
        for day in days
    )
    if abs(unsettled) > UNSETTLED_SECONDS:
        yield ReportLimit(
            code="time_unsettled",
            text=f"{unsettled:,.1f} s of streamed time were not settled on the same days: they were pending, or were "
            "settled on a day outside of the period (below 0: were listed on such a day).",
        )


def limits_of_now(period: Period, work: OpenWork, now_ms: int) -> Iterator[ReportLimit]:
    """Yields what is under way, if the period reaches into today or yesterday."""
    if period.last >= day_of(now_ms) - timedelta(days=1) and (work.streams or work.segments or work.missing):
        yield ReportLimit(
            code="streams_open",
            text=f"{counted(work.streams, 'stream', 'are')} being watched, of all purposes; "
            f"{counted(work.segments, 'segment', 'wait')} to be moderated, and "
            f"{counted(work.missing, 'stream')} cannot be read: their time since then is in no total until its cause "
            "is known.",
        )


def limits_of_loss(period: Period, epoch: Epoch | None) -> Iterator[ReportLimit]:
    """Yields the loss of Redis's state, if it may have taken numbers of the period."""
    if epoch is not None and epoch.lost and epoch.begun_ms >= period.since_ms:
        seen = "at an unknown time" if epoch.since_ms is None else f"after {rfc3339(epoch.since_ms)}"
        yield ReportLimit(
            code="state_lost",
            text=f"Redis lost its state {seen}, and began anew on {rfc3339(epoch.begun_ms)} "
            f"({'nothing' if epoch.found == 'nothing' else 'an older copy'} was left): numbers from before may be too "
            "low.",
        )


def limits_of_records(days: Iterable[DayTotals], found: int, reading: DecidedReading) -> Iterator[ReportLimit]:
    """Yields decisions of which no record is there any more.

    Args:
        found: decided incidents of the period that were read.
    """
    decided = _decided(days)
    if found != decided:
        yield ReportLimit(
            code="records_differ",
            text=f"{counted(decided, 'decision', 'were')} counted, and records of {found:,} were found: shares, times "
            "and agreement are of these. Records go with the erasure of their stream, 400 days after the decision, or "
            "with a loss of Redis's state.",
        )
    if reading.damaged:
        yield ReportLimit(
            code="records_damaged",
            text=f"{counted(reading.damaged, 'record')} of decided incidents could not be read, and may be of the "
            "period.",
        )


def limits_of_actions(
    period: Period, days: Iterable[DayTotals], counts: ActionCounts, now_ms: int
) -> Iterator[ReportLimit]:
    """Yields gaps of the logs from which actions are counted."""
    decided = _decided(days)
    kept_since = day_of(now_ms) - timedelta(days=EVENTS_KEPT_DAYS)
    if counts.decisions < decided or period.first <= kept_since:
        yield ReportLimit(
            code="events_dropped",
            text=f"{DECISIONS} has {counts.decisions:,} of {counted(decided, 'decision')}: it is kept for "
            f"{EVENTS_KEPT_DAYS} days, and for less where Redis was full. Interruptions are at least those shown.",
        )
    if counts.unread:
        yield ReportLimit(
            code="audit_unread",
            text=f"The audit log in the store could not be read ({counts.unread}): holds, reports and the other acts "
            "are unknown.",
        )
    if counts.unopened:
        yield ReportLimit(
            code="audit_unopened",
            text=f"{counted(counts.unopened, 'segment')} of the audit log could not be opened (set "
            "LIVEWARDEN_EVIDENCE_IDENTITY; `livewarden audit verify` names damaged ones): acts are at least those "
            "shown.",
        )


def _decided(days: Iterable[DayTotals]) -> int:
    return sum(sum(int(row["count"]) for row in day.counts["decided"]) + day.unnamed.get("decided", 0) for day in days)


def _days(days: Sequence[date]) -> str:
    return f"{counted(len(days), 'day')} ({spans(days)})"
