"""The section of actions: interruptions that were requested, legal holds, reports to authorities, and what followed."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from redis import Redis

from worker.audit.entries import Act
from worker.audit.search import AuditSearch, EntryFilter
from worker.errors import ObjectStoreError
from worker.incidents.events import EventType
from worker.incidents.keys import DECISIONS
from worker.insight.period import Period
from worker.insight.sections import ReportSection, count, table, text
from worker.store.redis_client import store_errors

READ_AT_ONCE: Final = 1_000
"""Decisions' events of one answer of Redis: some 5 MB."""

MOST_NAMES: Final = 200
"""Rules, or authorities, that are counted by name; further ones count together."""

MORE: Final = "(more)"

ACTS: Final[Mapping[str, str]] = {
    Act.HOLD: "legal holds placed",
    Act.RELEASE: "legal holds released",
    Act.REPORT: "reports to authorities recorded",
    Act.EXPORT: "exports of evidence",
    Act.PURGE: "purges of evidence whose term was over, by incident",
    Act.FORGET: "erasures of a stream's data",
}
"""Acts of the audit log that count as actions."""


@dataclass(kw_only=True)
class ActionCounts:
    """Counted actions, and how far their sources reach."""

    interrupts: Counter[str] = field(default_factory=Counter)
    """By rule."""
    decisions: int = 0
    """Decisions that `lw:decisions` still has: fewer than were made show that it was trimmed."""
    acts: Counter[str] = field(default_factory=Counter)
    authorities: Counter[str] = field(default_factory=Counter)
    """Reports by authority."""
    unopened: int = 0
    """Segments of the audit log that could not be opened."""
    unread: str = ""
    """The reason why the audit log could not be read; empty: it was."""


def count_interrupts(redis: Redis, period: Period, purpose: str, counts: ActionCounts) -> None:
    """Counts requests to interrupt, and decisions, among the events of the period.

    Raises:
        StoreError: Redis failed.
    """
    for event in _events(redis, period):
        try:
            kind, data = event["type"], event["data"]
            if data["purpose"] != purpose:
                continue
            if kind == EventType.INTERRUPT_REQUESTED:
                _count(counts.interrupts, str(data["rule"]))
            counts.decisions += kind == EventType.DECISION_MADE
        except (KeyError, TypeError):  # a foreign entry, or one of a later version
            continue


def _events(redis: Redis, period: Period) -> Iterator[Mapping[str, Any]]:
    start, end = str(period.since_ms), str(period.until_ms - 1)
    while True:
        with store_errors():
            entries: Any = redis.xrange(DECISIONS, min=start, max=end, count=READ_AT_ONCE)
        for _, fields in entries:
            try:
                yield json.loads((fields or {}).get("event", ""))
            except (ValueError, RecursionError):
                continue
        if len(entries) < READ_AT_ONCE:
            return
        start = f"({entries[-1][0]}"


def count_acts(search: AuditSearch, period: Period, counts: ActionCounts) -> None:
    """Counts acts in the audit log. Where the store is away, `unread` has the reason.

    Raises:
        StoreError: Redis failed.
    """
    unlinked: set[str] = set()  # those of some seconds; one that is linked meanwhile is found twice
    try:
        for record in search.find(EntryFilter(since_ms=period.since_ms)):
            act, entry_id = str(record["act"]), str(record["id"])  # foreign entries have any values
            if record["n"] is None:
                unlinked.add(entry_id)
            elif entry_id in unlinked:
                continue
            if act in ACTS and period.contains(record["at_ms"]):
                counts.acts[act] += 1
                details = record["details"]
                if act == Act.REPORT and isinstance(details, dict):
                    _count(counts.authorities, str(details.get("authority", "")))
    except ObjectStoreError as error:
        counts.unread = str(error)
    counts.unopened = search.unopened


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < MOST_NAMES else MORE] += 1


def actions_section(counts: ActionCounts) -> ReportSection:
    """Requests to interrupt, and acts of people. Where the audit log could not be read, its counts are unknown."""
    known = not counts.unread
    return ReportSection(
        name="actions",
        title="Actions",
        answers={
            "Principle 11": "What followed: streams interrupted and reports to authorities (principle 5).",
            "Ofcom": "Online Safety Act, section 66: reports of content to the NCA, as people recorded them.",
            "DSA": "Article 15(1)(c): measures by type; Article 18: notifications of suspicions of criminal offences.",
        },
        notes=(
            "An interruption is requested of the platform, by the policy and by a person at most once an incident "
            "each; whether the stream stopped is the platform's to say. Acts are of the audit log, for streams of all "
            "purposes, drills too.",
        ),
        tables=(
            table(
                "interrupts",
                "Interruptions requested, by rule",
                (text("rule"), count("count")),
                counts.interrupts.most_common(),
            ),
            table(
                "acts",
                "Acts on record",
                (text("act"), text("meaning"), count("count")),
                [(str(act), meaning, counts.acts[act] if known else None) for act, meaning in ACTS.items()],
            ),
            table(
                "reports",
                "Reports recorded, by authority",
                (text("authority"), count("count")),
                counts.authorities.most_common() if known else [],
            ),
        ),
    )
