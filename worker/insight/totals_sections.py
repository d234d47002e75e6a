"""Sections from daily totals: time watched with its coverage, escalations, and decisions."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from worker.ingest.coverage.ledger import KINDS
from worker.ingest.coverage.totals import COUNTED, DayTotals
from worker.insight.sections import ReportSection, ReportTable, Value, count, seconds, share, table, text

_TIMES: Final = (
    seconds("elapsed_seconds", "streamed"),
    seconds("moderated_seconds"),
    *(seconds(f"{kind}_seconds") for kind in KINDS),
    seconds("unsettled_seconds", "not settled"),
    share("moderated_share"),
)


def coverage_section(days: Sequence[DayTotals]) -> ReportSection:
    """Streams and hours watched, and each reason for which time was not moderated.

    Args:
        days: of one purpose, the oldest first.
    """
    reasons: Counter[tuple[str, str]] = Counter()
    for day in days:
        for name, amount in day.seconds.items():
            kind, separator, reason = name.partition(": ")
            if separator and kind in KINDS:
                reasons[kind, reason] += round(amount * 1000)
    elapsed_ms = sum(round(day.seconds.get("elapsed", 0.0) * 1000) for day in days)
    return ReportSection(
        name="coverage",
        title="Streams watched, and what of them was moderated",
        answers={
            "Principle 11": "How much livestreaming is watched (principle 5), and how much of it goes unseen, and why.",
            "Ofcom": "ICU C9: on how much live content hash matching ran.",
            "DSA": "Article 15(1)(c): the extent of moderation by own initiative with automated means.",
        },
        notes=(
            "A stream counts once on each day on which it listed anything: over several days these are stream-days, "
            "not streams.",
            "Streamed = moderated + skipped + failed + missed + not settled. Skipped: left out on purpose; failed: "
            "fetched but not decoded or classified; missed: never fetched. Without a hash: pictures with too little "
            "detail to be compared with hash lists.",
        ),
        tables=(
            table(
                "coverage_total",
                "The whole period",
                (count("stream_days"), *_TIMES, seconds("unhashable_seconds", "moderated, of it without a hash")),
                [(*_total(days), sum(round(day.seconds.get("unhashable", 0.0) * 1000) for day in days) / 1000)],
            ),
            table(
                "coverage_reasons",
                "Why time was not moderated",
                (text("kind"), text("reason"), seconds("seconds", "time"), share("share", "of streamed")),
                [
                    (kind, reason, ms / 1000, ms / elapsed_ms if elapsed_ms > 0 else None)
                    for (kind, reason), ms in sorted(reasons.items(), key=lambda one: (-one[1], one[0]))
                ],
            ),
            table(
                "coverage_days",
                "By day (UTC)",
                (text("date"), count("streams"), *_TIMES),
                [(day.day.isoformat(), *_total([day])) for day in days],
            ),
        ),
    )


def _total(days: Sequence[DayTotals]) -> tuple[Value, ...]:
    """Streams and the times of `_TIMES`. Milliseconds are summed, so that no rounding shows."""
    elapsed, moderated = (
        sum(round(day.seconds.get(name, 0.0) * 1000) for day in days) for name in ("elapsed", "moderated")
    )
    kinds = [sum(round(day.kind_seconds(kind) * 1000) for day in days) for kind in KINDS]
    times = [elapsed, moderated, *kinds, elapsed - moderated - sum(kinds)]
    return (
        sum(day.streams for day in days),
        *(ms / 1000 for ms in times),
        moderated / elapsed if elapsed > 0 else None,
    )


def escalations_section(days: Sequence[DayTotals]) -> ReportSection:
    """Incidents that were raised, by rule, severity and list."""
    return ReportSection(
        name="escalations",
        title="Escalations",
        answers={
            "Principle 11": "What was found: known material (principle 1, by list) and new findings (principle 2, by "
            "rule).",
            "Ofcom": "ICU C9: what hash matching detects.",
            "DSA": "Article 15(1)(c): what automated means found, by detection method.",
        },
        notes=(
            "An incident counts once by its rule, with the severity it was raised with, and once for each hash list "
            "that it matched.",
        ),
        tables=(
            _counted("raised", "By rule and severity", days),
            _counted("raised-list", "By hash list and severity", days),
        ),
    )


def decisions_section(days: Sequence[DayTotals]) -> ReportSection:
    """First decisions and revisions, by rule, severity, list and outcome."""
    return ReportSection(
        name="decisions",
        title="Decisions of people",
        answers={
            "Principle 11": "What people judged the findings to be.",
            "Ofcom": "ICU C4: how much content was reviewed, with what result.",
            "DSA": "Article 15(1)(c): decisions by type of content; Article 15(1)(e): each was made by a person.",
        },
        notes=(
            "A decision counts on the day on which it was made, whenever its incident was raised; so decisions may "
            "outnumber escalations. A revision changes an earlier decision, and is not among the decisions.",
        ),
        tables=tuple(
            _counted(what, title, days)
            for what, title in (
                ("decided", "By rule, severity and outcome"),
                ("decided-list", "By hash list, severity and outcome"),
                ("revised", "Revised, by rule"),
                ("revised-list", "Revised, by hash list"),
            )
        ),
    )


def _counted(what: str, title: str, days: Iterable[DayTotals]) -> ReportTable:
    labels = COUNTED[what]
    summed: Counter[tuple[str, ...]] = Counter()
    for day in days:
        for row in day.counts[what]:
            summed[tuple(str(row[label]) for label in labels)] += int(row["count"])
        if what in day.unnamed:
            summed[tuple("(more)" for _ in labels)] += day.unnamed[what]
    return table(
        what.replace("-", "_"),
        title,
        (*map(text, labels), count("count")),
        [(*names, found) for names, found in sorted(summed.items(), key=lambda one: (-one[1], one[0]))],
    )
