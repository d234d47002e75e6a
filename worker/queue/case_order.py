"""The order of open cases: live ones first, then severity, known material, the longest waiting.

A severity has a longest wait. Of every four turns one goes to the case that is longest past its own, so that no flood
of more urgent cases, which a broadcaster can make, keeps another from a person for good; the other three turns keep
what is live and worst in front, however many others are past their wait. Turns are counted over takes, not over places
of one page: a fourth place that is worked out anew after each take would never be reached.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
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


def order_cases(
    cases: Sequence[OpenCase], *, now_ms: int, waits: LongestWaits | None = None, turn: int = 0
) -> list[OpenCase]:
    """Orders cases by their claim on the next person.

    A case within its wait never stands before one of a higher claim. One that is past its wait, and n others
    longer past theirs, are taken within `TURNS` * (n + 1) takes. Cases of the same claim stand by their ids, so that
    two pages show the same order.

    Args:
        turn: takes from the queue so far, by anybody.
    """
    given = LongestWaits() if waits is None else waits
    # Enums hash slowly, and their values are looked up slowly: a dictionary by severity would take half of the time.
    critical_ms, high_ms, review_ms = (given.of_ms(severity) for severity in Severity)
    keyed: list[tuple[float, str, int, int]] = []
    for index, case in enumerate(cases):
        severity, raised_ms = case.severity, case.raised_ms
        if severity is Severity.CRITICAL:
            rank, due_ms = 0, raised_ms + critical_ms
        elif severity is Severity.HIGH:
            rank, due_ms = _RANK, raised_ms + high_ms
        else:
            rank, due_ms = 2 * _RANK, raised_ms + review_ms
        claim = rank + case.certainty + (0 if case.live else _ENDED)
        keyed.append((claim * _CLAIM_MS + raised_ms, case.case_id, index, due_ms))
    keyed.sort()
    past = [(due_ms, case_id, place) for place, (_, case_id, _, due_ms) in enumerate(keyed) if due_ms < now_ms]
    by_claim = [cases[index] for _, _, index, _ in keyed]
    if not past:
        return by_claim
    past.sort()
    return _with_turns(by_claim, [place for _, _, place in past], turn)


def _with_turns(by_claim: Sequence[OpenCase], past: Sequence[int], turn: int) -> list[OpenCase]:
    """Gives each `TURNS`-th turn to the next of `past`: places in `by_claim`, the longest past its wait first."""
    ordered: list[OpenCase] = []
    placed = bytearray(len(by_claim))
    longest, highest, turn = 0, 0, turn % TURNS
    while len(ordered) < len(by_claim):
        while longest < len(past) and placed[past[longest]]:
            longest += 1
        while placed[highest]:
            highest += 1
        place = past[longest] if turn == TURNS - 1 and longest < len(past) else highest
        placed[place] = 1
        ordered.append(by_claim[place])
        turn = (turn + 1) % TURNS
    return ordered
