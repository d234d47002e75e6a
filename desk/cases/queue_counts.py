"""Counters of the queue: how many cases wait, how long, and who holds what."""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from config.facts import Severity
from desk.cases.queue_filter import in_part
from worker.people.actor import folded
from worker.queue.case_order import LongestWaits, OpenCase

MOST_CHOICES: Final = 50
"""Rules, and lists, that a page offers: a policy has some dozen."""
MOST_ALARMS: Final = 50
"""Critical cases by which a page knows that one is new; in a flood it has sounded anyway."""
_COUNTED: Final = ("live", "lead", "drills", "help")
"""Parts of the queue that are the same for everybody; all cases are one more."""


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


class QueueTally:
    """Counts open cases as single ones change. Not thread-safe."""

    def __init__(self) -> None:
        self._cases: dict[str, OpenCase] = {}
        self._raised: dict[Severity, list[tuple[int, str]]] = {severity: [] for severity in Severity}
        """Times and ids of cases, the oldest first."""
        self._shows, self._mine, self._for_me = Counter[str](), Counter[str](), Counter[str]()
        self._rules, self._lists = Counter[str](), Counter[str]()

    def put(self, case: OpenCase) -> None:
        """Counts a case, in place of the one of the same id."""
        self.drop(case.case_id)
        self._cases[case.case_id] = case
        insort(self._raised[case.severity], (case.raised_ms, case.case_id))
        self._count(case, 1)

    def drop(self, case_id: str) -> None:
        """Counts a case no more, if it was counted."""
        case = self._cases.pop(case_id, None)
        if case is not None:
            raised = self._raised[case.severity]
            del raised[bisect_left(raised, (case.raised_ms, case_id))]
            self._count(case, -1)

    def _count(self, case: OpenCase, by: int) -> None:
        """Adds a case to each counter that it belongs to, or takes it away."""
        named = case.ground.get("list")
        for counter, key in (
            (self._rules, case.rule),
            (self._lists, None if named is None else str(named)),
            (self._mine, None if case.holder is None else folded(case.holder)),
            (self._for_me, folded(case.handed_to) if case.handed_to else None),
            *((self._shows, show if in_part(case, show, "") else None) for show in _COUNTED),
        ):
            if key is not None:
                counter[key] += by
                if not counter[key]:
                    del counter[key]

    def counts(self, *, now_ms: int, waits: LongestWaits) -> QueueCounts:
        """The counters at this moment."""
        severities = []
        for severity, raised in self._raised.items():
            oldest = raised[0][0] if raised else None
            past = oldest is not None and now_ms - oldest > waits.of_ms(severity)
            severities.append(SeverityCount(severity=severity, cases=len(raised), oldest_ms=oldest, past=past))
        return QueueCounts(
            open=len(self._cases),
            severities=tuple(severities),
            live=self._shows["live"],
            held=self._mine.total(),
            holders=len(self._mine),
            shows={"all": len(self._cases), **{show: self._shows[show] for show in _COUNTED}},
            mine=dict(self._mine),
            for_me=dict(self._for_me),
            rules=_choices(self._rules),
            lists=_choices(self._lists),
            critical=tuple(case_id for _, case_id in reversed(self._raised[Severity.CRITICAL][-MOST_ALARMS:])),
        )


def _choices(counted: Counter[str]) -> tuple[str, ...]:
    return tuple(sorted(name for name, _ in counted.most_common(MOST_CHOICES)))
