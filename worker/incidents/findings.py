"""The findings of a rule on a stream so far, and their incident.

Segments of one stream end in any order, so findings are merged by operations that do not know an order: sums, minima,
maxima and unions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import reduce
from typing import NamedTuple

from config.facts import Hit, ListedHash, ListMatch, Severity, VideoFrame, most_urgent
from config.policy.judging import BY_ONE, Judging
from config.policy.persistence import RuleHeld

MAX_MATCHES = 20
"""Nearest matches that an incident keeps, and of each list the nearest: bounds its size, and a person reads no more."""
MIN_INTERRUPT_FRAMES = 2
"""One picture may be a coincidence. Enforced here, outside of any rule."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Hits of one rule, merged."""

    hits: int
    severity: Severity
    """The most urgent of them."""
    captured_first_ms: int
    captured_last_ms: int
    principles: tuple[int, ...]
    matches: tuple[ListMatch, ...] = ()
    """The nearest `MAX_MATCHES` and of each list the nearest, each entry once, nearest first."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The highest of each."""
    interrupt_frames_ms: tuple[int, ...] = ()
    """The first `MIN_INTERRUPT_FRAMES` captures that matched a list for which the rule may interrupt."""
    frames: tuple[VideoFrame, ...] = ()
    """Frames of listed videos, for a rule that counts them, in a total order. An incident does not keep them."""
    ordinal: int | None = None
    """Ordinal of its first sample, for a rule that counts samples. An incident does not keep it."""

    @classmethod
    def of(cls, hit: Hit, interrupt_lists: tuple[str, ...]) -> "Finding":
        """The finding of one hit."""
        # A rule that counts frames waits for them: of each picture it remembers what it counts, and no more.
        matches = hit.grounds if hit.frames else hit.matches
        interrupts = any(match.list in interrupt_lists and not match.allowed for match in matches)
        return cls(
            hits=1,
            severity=hit.severity,
            captured_first_ms=hit.capture_ms,
            captured_last_ms=hit.capture_ms,
            principles=hit.principles,
            matches=matches,
            scores=dict(hit.scores),
            interrupt_frames_ms=(hit.capture_ms,) if interrupts else (),
            frames=tuple(sorted(set(hit.frames))),
            ordinal=hit.ordinal,
        )

    def merged(self, other: "Finding") -> "Finding":
        """Both together; commutative and associative."""
        frames = sorted({*self.interrupt_frames_ms, *other.interrupt_frames_ms})
        return Finding(
            hits=self.hits + other.hits,
            severity=most_urgent(self.severity, other.severity),
            captured_first_ms=min(self.captured_first_ms, other.captured_first_ms),
            captured_last_ms=max(self.captured_last_ms, other.captured_last_ms),
            principles=tuple(sorted({*self.principles, *other.principles})),
            matches=nearest_of((*self.matches, *other.matches)),
            scores=_highest(self.scores, other.scores),
            interrupt_frames_ms=tuple(frames[:MIN_INTERRUPT_FRAMES]),
            frames=tuple(sorted({*self.frames, *other.frames})),
            ordinal=min((one for one in (self.ordinal, other.ordinal) if one is not None), default=None),
        )

    @property
    def seen(self) -> RuleHeld:
        """The part that persistence counts."""
        return RuleHeld(self.captured_first_ms, self.frames, self.ordinal)


def merge(findings: Iterable[Finding]) -> Finding:
    """Merges all of them; at least one is needed."""
    return reduce(Finding.merged, findings)


def concluded(findings: Iterable[Finding]) -> Finding:
    """Merges all of them, as an incident keeps it: nothing is counted any more."""
    return replace(merge(findings), frames=(), ordinal=None)


def nearest_of(matches: Iterable[ListMatch]) -> tuple[ListMatch, ...]:
    """The matches that an incident keeps of these; taken of parts and then of their union it is the same."""
    nearest: dict[ListedHash, ListMatch] = {}
    for match in sorted(matches, key=lambda m: m.order):
        nearest.setdefault(match.listed, match)
    heads: dict[str, ListMatch] = {}
    for match in nearest.values():
        heads.setdefault(match.list, match)
    others = [match for match in nearest.values() if heads[match.list] is not match]
    kept = [*heads.values(), *others[: max(0, MAX_MATCHES - len(heads))]]
    return tuple(sorted(kept, key=lambda m: m.order))


class NearestMatch(NamedTuple):
    """A listed hash, and the Hamming distance of the nearest picture."""

    list: str
    entry: str
    distance: int


@dataclass(frozen=True, kw_only=True)
class Extent:
    """The severity and matches by which a finding is worse than one that a person has seen."""

    severity: Severity
    nearest: tuple[NearestMatch, ...] | None = None
    """None: not recorded, by version 0.1.0; then no match is worse."""

    @classmethod
    def of(cls, finding: Finding) -> "Extent":
        """The extent of a finding."""
        return cls(severity=finding.severity, nearest=near_of(finding.matches))

    def surpassed_by(self, severity: Severity, matches: Iterable[ListMatch]) -> str:
        """Returns the reason that these are worse than this extent, for a person to read; empty: they are not.

        Worse are a higher severity, a match on another list or entry, and a nearer match. Matches beyond the nearest
        that an incident keeps do not count.
        """
        if severity.rank < self.severity.rank:
            return "a higher severity"
        if self.nearest is None:
            return ""
        known: dict[ListedHash, int] = {}
        for list_, entry, distance in self.nearest:
            known[ListedHash(list_, entry)] = min(distance, known.get(ListedHash(list_, entry), distance))
        for match in nearest_of((*matches_of(self.nearest), *matches)):
            if match.listed not in known:
                return "a match on another entry"
            if match.distance < known[match.listed]:
                return "a nearer match"
        return ""

    def joined(self, other: "Extent") -> "Extent":
        """Both together."""
        near = near_of(nearest_of(matches_of((*(self.nearest or ()), *(other.nearest or ())))))
        unknown = self.nearest is None and other.nearest is None
        return Extent(severity=most_urgent(self.severity, other.severity), nearest=None if unknown else near)


def near_of(matches: Iterable[ListMatch]) -> tuple[NearestMatch, ...]:
    """Matches without their details."""
    return tuple(NearestMatch(match.list, match.entry, match.distance) for match in matches)


def matches_of(nearest: Iterable[NearestMatch]) -> tuple[ListMatch, ...]:
    """The reverse of `near_of`."""
    return tuple(ListMatch(list=near.list, entry=near.entry, distance=near.distance) for near in nearest)


def _highest(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    names = sorted({*one, *other})
    return {name: max(one.get(name, float("-inf")), other.get(name, float("-inf"))) for name in names}


class IncidentEnd(StrEnum):
    """Reason why an incident takes no further hits, though no person has decided on it."""

    STREAM_ENDED = "stream-ended"
    SILENCE = "silence"
    """It had no hit for the time that the policy states as `silence_seconds`."""


@dataclass(frozen=True, kw_only=True)
class Incident:
    """Findings for a person to decide on: at most one is open per stream and rule."""

    incident_id: str
    generation: int
    """Watch generation of the stream in which it was raised."""
    rule: str
    purpose: str
    finding: Finding
    raised_ms: int
    published_ms: int
    """Time when an event of it was last published."""
    cooldown_ms: int
    """The rule's, when it was raised: a decision needs no policy."""
    interrupt_requested: bool = False
    worse_published: bool = False
    """Every change for the worse was published immediately. False: version 0.1.0 raised it, which let that wait."""
    case_id: str = ""
    """The case that it belongs to (`worker.incidents.cases`). Empty: an older version raised it."""
    predecessor: str = ""
    """Id of the incident of the same stream, purpose and rule that was closed last before this one was raised."""
    needs_role: str = "moderator"
    """Role of the person who decides: moderator or lead."""
    judging: Judging = BY_ONE
    """Choices of the policy for judging it; by one person, where an older version raised it."""
    hit_ms: int = 0
    """Redis's clock when its last hit was found. 0: unknown, of an older version."""
    silence_ms: int = 0
    """After so much time without a hit it ends. 0: never."""
    ended: str = ""
    """`IncidentEnd`; empty: it is open, or was decided while it was."""
