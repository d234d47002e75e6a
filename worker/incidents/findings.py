"""What a rule has found on a stream so far, and the incident that people make of it.

Segments of one stream end in any order, so findings are merged by operations that do not know an order: sums, minima,
maxima and unions.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce

from config.facts import Hit, ListMatch, Severity, VideoFrame, most_urgent
from config.persistence import Seen

MAX_MATCHES = 20
"""Nearest matches that an incident keeps: bounds its size, and a person reads no more."""
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
    """The nearest `MAX_MATCHES`, each entry once, nearest first."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """The highest of each."""
    interrupt_frames_ms: tuple[int, ...] = ()
    """The first `MIN_INTERRUPT_FRAMES` captures that matched a list for which the rule may interrupt."""
    frames: tuple[VideoFrame, ...] = ()
    """Of listed videos, for a rule that counts them, in a total order. An incident does not keep them."""
    ordinal: int | None = None
    """Of its first sample, for a rule that counts samples. An incident does not keep it."""

    @classmethod
    def of(cls, hit: Hit, interrupt_lists: tuple[str, ...]) -> "Finding":
        """What one hit tells."""
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
            matches=_nearest((*self.matches, *other.matches)),
            scores=_highest(self.scores, other.scores),
            interrupt_frames_ms=tuple(frames[:MIN_INTERRUPT_FRAMES]),
            frames=tuple(sorted({*self.frames, *other.frames})),
            ordinal=min((one for one in (self.ordinal, other.ordinal) if one is not None), default=None),
        )

    @property
    def seen(self) -> Seen:
        """What persistence counts."""
        return Seen(self.captured_first_ms, self.frames, self.ordinal)


def merge(findings: Iterable[Finding]) -> Finding:
    """All of them together; at least one is needed."""
    return reduce(Finding.merged, findings)


def concluded(findings: Iterable[Finding]) -> Finding:
    """All of them together, as an incident keeps it: nothing is counted any more."""
    return replace(merge(findings), frames=(), ordinal=None)


def _nearest(matches: Iterable[ListMatch]) -> tuple[ListMatch, ...]:
    nearest: dict[tuple[str, str], ListMatch] = {}
    for match in sorted(matches, key=lambda m: m.order):
        nearest.setdefault((match.list, match.entry), match)
    return tuple(nearest.values())[:MAX_MATCHES]


def _highest(one: Mapping[str, float], other: Mapping[str, float]) -> dict[str, float]:
    names = sorted({*one, *other})
    return {name: max(one.get(name, float("-inf")), other.get(name, float("-inf"))) for name in names}


@dataclass(frozen=True, kw_only=True)
class Incident:
    """What a person is asked to judge: at most one is open per stream and rule."""

    incident_id: str
    generation: int
    """Watch generation of the stream in which it was raised."""
    rule: str
    purpose: str
    finding: Finding
    raised_ms: int
    published_ms: int
    """When an event of it was last published."""
    cooldown_ms: int
    """The rule's, when it was raised: who decides needs no policy."""
    interrupt_requested: bool = False
