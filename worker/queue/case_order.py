"""The order of open cases: live ones first, then severity, known material, the longest waiting.

A severity has a longest wait. Of every four turns one goes to the case that is longest past its own, so that no flood
of more urgent cases, which a broadcaster can make, keeps another from a person for good; the other three turns keep
what is live and worst in front, however many others are past their wait. Turns are counted over takes, not over places
of one page: a fourth place that is worked out anew after each take would never be reached.
"""

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from operator import itemgetter
from types import MappingProxyType
from typing import Final

from config.facts import Severity
from config.settings import Settings
from worker.people.actor import Role

TURNS: Final = 4
"""One turn in so many goes to the case that is longest past its wait: a quarter of the attention is the least with
which reviews move on, and the most that a shift under a flood of critical cases can spare."""

DEFAULT_WAIT_SECONDS: Final[Mapping[Severity, int]] = MappingProxyType(
    {Severity.CRITICAL: 5 * 60, Severity.HIGH: 15 * 60, Severity.REVIEW: 30 * 60}
)
"""The longest wait by severity, unless settings say otherwise. No law or study states one."""

_CLAIM_MS: Final = 2.0**44
"""Milliseconds from 1970 to 2527. A claim and a time are sorted as one float, exact below 2**53, which is faster than
a tuple."""
_RANK: Final = 4
"""Above every certainty."""
_ENDED: Final = 4 * _RANK
"""Above every severity's rank with a certainty."""


class Certainty(IntEnum):
    """Ground of a case, the surest first."""

    KNOWN = 0
    """A picture matches a list of known material."""
    REPORTED = 1
    """The platform reports imminent danger."""
    SCORED = 2
    """A classifier's scores."""
    UNSEEN = 3
    """Nothing was found: the stream cannot be seen."""


@dataclass(frozen=True, kw_only=True)
class LongestWaits:
    """The longest wait of a case by its severity, in seconds."""

    critical: int = DEFAULT_WAIT_SECONDS[Severity.CRITICAL]
    high: int = DEFAULT_WAIT_SECONDS[Severity.HIGH]
    review: int = DEFAULT_WAIT_SECONDS[Severity.REVIEW]

    @classmethod
    def of(cls, settings: Settings) -> "LongestWaits":
        """Those of a deployment."""
        return cls(
            critical=settings.wait_critical_seconds,
            high=settings.wait_high_seconds,
            review=settings.wait_review_seconds,
        )

    def of_ms(self, severity: Severity) -> int:
        """The longest wait of a severity in milliseconds; a case is past it if it waits longer (>)."""
        return 1000 * int(getattr(self, severity.value))


@dataclass(frozen=True, kw_only=True)
class OpenCase:
    """A case with undecided incidents, in labels only."""

    case_id: str
    incident_id: str
    """Its most urgent undecided incident, by which it is taken."""
    incidents: int
    """The number of its undecided ones."""
    stream_id: str
    streams: int = 1
    """More than one: one hash raised it on so many; `stream_id` is one of them."""
    rule: str
    severity: Severity
    certainty: Certainty
    live: bool
    """The broadcast goes on, as far as is known."""
    purpose: str
    hits: int
    raised_ms: int
    """Redis's clock when the oldest of its undecided incidents was raised; 0 if that is unknown."""
    captured_first_ms: int | None = None
    """Capture time of the first finding; None: unknown, an older version raised it."""
    taken_ms: int | None = None
    """Redis's clock when its holder took it; None: nobody holds it, or an older version's."""
    ground: Mapping[str, str | int | float] = field(default_factory=dict)
    """The nearest match or the highest score, in the words of `worker.incidents.ground`; empty: unknown."""
    needs_role: str = Role.MODERATOR
    judged: bool = False
    """One person has judged an incident of it, and a second person is to judge it without knowing what."""
    holder: str | None = None
    lease_seconds: float = 0.0
    """Until the holder's lease ends; 0 without one."""
    hold_why: str = ""
    """Reason that the holder gave for a longer lease; empty: it is a usual one."""
    handed_to: str | None = None
    """Person to whom the holder handed it over, and who has not taken it yet."""
    help: str = ""
    """Question of a holder to all; empty: nobody asked."""
    help_by: str = ""

    def waited_ms(self, now_ms: int) -> int:
        """Time since it was raised. Redis's clock may have gone back since."""
        return max(0, now_ms - self.raised_ms)

    def is_past(self, waits: LongestWaits, now_ms: int) -> bool:
        """Returns whether it waits longer (>) than its severity may."""
        return self.waited_ms(now_ms) > waits.of_ms(self.severity)


_Entry = tuple[float, str, OpenCase]
"""Its rank by which a case is sorted, its id, and the case, which two of them never come to compare."""


class CasesInOrder:
    """Open cases in their order, which is kept up as single ones change. Not thread-safe."""

    def __init__(self, waits: LongestWaits) -> None:
        self._waits = waits
        self._by_claim: list[_Entry] = []
        self._by_due: list[_Entry] = []
        self._entries: dict[str, tuple[_Entry, _Entry]] = {}

    def put(self, case: OpenCase) -> None:
        """Puts a case in its place; it takes that of the same id."""
        self.drop(case.case_id)
        entries = _entries(case, self._waits)
        self._entries[case.case_id] = entries
        insort(self._by_claim, entries[0])
        insort(self._by_due, entries[1])

    def drop(self, case_id: str) -> None:
        """Removes a case, if it is there."""
        entries = self._entries.pop(case_id, None)
        if entries is not None:
            del self._by_claim[bisect_left(self._by_claim, entries[0])]
            del self._by_due[bisect_left(self._by_due, entries[1])]

    def in_turns(self, *, now_ms: int, turn: int) -> Iterator[OpenCase]:
        """The cases as they are now, in the order of `order_cases`; each costs when it is asked for."""
        return _in_turns(self._by_claim.copy(), self._by_due.copy(), now_ms, turn)


def order_cases(
    cases: Iterable[OpenCase], *, now_ms: int, waits: LongestWaits | None = None, turn: int = 0
) -> list[OpenCase]:
    """Orders cases, each of another id, by their claim on the next person.

    A case within its wait never stands before one of a higher claim. One that is past its wait, and n others
    longer past theirs, are taken within `TURNS` * (n + 1) takes. Cases of the same claim stand by their ids, so that
    two pages show the same order.

    Args:
        turn: takes from the queue so far, by anybody.
    """
    given = LongestWaits() if waits is None else waits
    entries = [_entries(case, given) for case in cases]
    by_claim, by_due = (sorted(entry[which] for entry in entries) for which in (0, 1))
    return list(_in_turns(by_claim, by_due, now_ms, turn))


def _entries(case: OpenCase, waits: LongestWaits) -> tuple[_Entry, _Entry]:
    """The case by its claim, and by the time at which its longest wait is over."""
    severity, raised_ms = case.severity, case.raised_ms
    # Enums hash slowly, and looking their values up is slow.
    if severity is Severity.CRITICAL:
        rank, wait_seconds = 0, waits.critical
    elif severity is Severity.HIGH:
        rank, wait_seconds = _RANK, waits.high
    else:
        rank, wait_seconds = 2 * _RANK, waits.review
    claim = rank + case.certainty + (0 if case.live else _ENDED)
    return (claim * _CLAIM_MS + raised_ms, case.case_id, case), (raised_ms + 1000 * wait_seconds, case.case_id, case)


def _in_turns(by_claim: Sequence[_Entry], by_due: Sequence[_Entry], now_ms: int, turn: int) -> Iterator[OpenCase]:
    """Gives each `TURNS`-th turn to the case that is longest past its wait, the others to the highest claim."""
    past = bisect_left(by_due, now_ms, key=itemgetter(0))
    given: set[str] = set()
    longest = highest = 0
    for number in range(turn, turn + len(by_claim)):
        while longest < past and by_due[longest][1] in given:
            longest += 1
        while by_claim[highest][1] in given:
            highest += 1
        its_turn = number % TURNS == TURNS - 1 and longest < past
        _, case_id, case = by_due[longest] if its_turn else by_claim[highest]
        given.add(case_id)
        yield case
