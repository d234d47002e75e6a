"""Counters of the queue: how many cases wait, how long, and who holds what."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from config.facts import Severity
from desk.cases.queue_filter import DRILLS
from worker.people.actor import Role, folded
from worker.queue.case_order import LongestWaits, OpenCase

MOST_CHOICES: Final = 50
"""Rules, and lists, that a page offers: a policy has some dozen."""
MOST_ALARMS: Final = 50
"""Critical cases by which a page knows that one is new; in a flood it has sounded anyway."""


@dataclass(frozen=True, kw_only=True)
class SeverityCount:
    """The cases of one severity."""

    severity: Severity
    cases: int
    oldest_ms: int | None
    """Redis's clock when the oldest was raised; None: there is none."""
    past: bool
    """The oldest waits longer than its severity may."""


@dataclass(frozen=True, kw_only=True)
class QueueCounts:
    """All counters, of all open cases."""

    open: int
    severities: tuple[SeverityCount, ...]
    """The most urgent first."""
    live: int
    held: int
    holders: int
    shows: Mapping[str, int]
    """Cases by the parts of the queue that are the same for everybody."""
    mine: Mapping[str, int]
    """Cases that a person holds, by their folded name."""
    for_me: Mapping[str, int]
    """Cases that were handed over to a person, by their folded name."""
    rules: tuple[str, ...]
    lists: tuple[str, ...]
    critical: tuple[str, ...]
    """Case ids of the critical cases that were raised last."""

    def of_show(self, show: str, reader: str) -> int:
        """Cases of one part of the queue."""
        personal = {"mine": self.mine, "for_me": self.for_me}.get(show)
        return self.shows[show] if personal is None else personal.get(folded(reader), 0)


def count_cases(cases: Iterable[OpenCase], *, now_ms: int, waits: LongestWaits) -> QueueCounts:
    """Counts open cases in one pass."""
    total = live = 0
    by_severity: dict[Severity, list[int]] = {severity: [] for severity in Severity}
    shows, mine, for_me = Counter[str](), Counter[str](), Counter[str]()
    rules, lists = Counter[str](), Counter[str]()
    critical: list[tuple[int, str]] = []
    for case in cases:
        total += 1
        live += case.live
        by_severity[case.severity].append(case.raised_ms)
        rules[case.rule] += 1
        named = case.ground.get("list")
        if named is not None:
            lists[str(named)] += 1
        if case.needs_role == Role.LEAD:
            shows["lead"] += 1
        if case.purpose in DRILLS:
            shows["drills"] += 1
        if case.severity is Severity.CRITICAL:
            critical.append((case.raised_ms, case.case_id))
        if case.holder is not None:
            mine[folded(case.holder)] += 1
        if case.help:
            shows["help"] += 1
        if case.handed_to:
            for_me[folded(case.handed_to)] += 1
    severities = []
    for severity, raised in by_severity.items():
        oldest = min(raised, default=None)
        past = oldest is not None and now_ms - oldest > waits.of_ms(severity)
        severities.append(SeverityCount(severity=severity, cases=len(raised), oldest_ms=oldest, past=past))
    return QueueCounts(
        open=total,
        severities=tuple(severities),
        live=live,
        held=mine.total(),
        holders=len(mine),
        shows={"all": total, "live": live, **{show: shows[show] for show in ("lead", "drills", "help")}},
        mine=mine,
        for_me=for_me,
        rules=_choices(rules),
        lists=_choices(lists),
        critical=tuple(case_id for _, case_id in sorted(critical, reverse=True)[:MOST_ALARMS]),
    )


def _choices(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, _ in counted.most_common(MOST_CHOICES)))
