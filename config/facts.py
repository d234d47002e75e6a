"""What a policy is asked about, and what it answers: plain values that every package may know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

SELFTEST = "selftest"
"""The built-in list that holds the test card."""
ALLOW = "allow"
"""The list of pictures that a lead has looked at and found harmless; a match on it is no match on known material."""

FLOOD_RULE = "hash-flood"
"""Livewarden's own rule, by which one hash that matches many streams becomes one incident; no policy has it."""

COVERAGE_GAP_RULE = "coverage-gap"
"""Likewise, by which a stream that alone cannot be seen for long becomes an incident."""


class Severity(StrEnum):
    """How soon a person must look; in falling order."""

    CRITICAL = "critical"
    HIGH = "high"
    REVIEW = "review"

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return tuple(Severity).index(self)


def most_urgent(*severities: Severity) -> Severity:
    """The one that must be looked at first."""
    return min(severities, key=lambda severity: severity.rank)


class ListedHash(NamedTuple):
    """A hash by its name: what it hashes to stays in the bank."""

    list: str
    entry: str


class VideoFrame(NamedTuple):
    """A frame of a listed video."""

    list: str
    video: str
    entry: str


class SegmentPlace(NamedTuple):
    """A segment's place among those of one watch and epoch of a stream: smaller is earlier."""

    capture_ms: int
    key: str


@dataclass(frozen=True, kw_only=True)
class SegmentSource:
    """Where a segment was fetched, for whoever looks for it at its origin or in a recording."""

    uri: str
    """Without user, query and fragment, where tokens are; empty: unknown."""
    media_sequence: int


@dataclass(frozen=True, kw_only=True)
class ListMatch:
    """A picture is near one on a hash list."""

    list: str
    entry: str
    distance: int
    """Hamming distance of the PDQ hashes, 0 to 31."""
    video: str | None = None
    """The video of which the listed picture is a frame; ids of videos belong to their list."""
    seconds: float | None = None
    """When in that video."""
    variant: str | None = None
    """How the sampled picture had to be turned to match: mirror, rotate or crop; None: it matched as it was."""
    version: str = ""
    """Of the list, when the match was found; empty where nobody said."""
    tags: tuple[str, ...] = ()
    """What the list's source says of the entry."""
    source: str = ""
    """Who gave the list, such as NCMEC; empty where nobody said."""
    category: str = ""
    """Of all that is on the list; likewise."""
    max_distance: int | None = None
    """Up to which (<=) the list matches; None where nobody said."""
    allowed: bool = False
    """A lead found this very picture harmless: the match calls for no more than a review, and interrupts nothing."""

    @property
    def order(self) -> tuple[int, str, str]:
        """The nearest first; the names make the order total."""
        return (self.distance, self.list, self.entry)

    @property
    def listed(self) -> ListedHash:
        """The hash that was matched."""
        return ListedHash(self.list, self.entry)


@dataclass(frozen=True, kw_only=True)
class StreamFacts:
    """What is known of the stream that a sample was taken from."""

    stream_id: str
    purpose: str = "live"
    """live, drill or canary."""
    audience: str = "public"
    risk_prior: float = 0.0
    """0 to 1."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The platform's own notes: JSON values."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """What the platform reports of it, by name: numbers such as viewers' reports, that change while it is live."""
    state: str = ""
    """As the registry had it: live, stalled, ended, and so on; empty: unknown. Rules do not see it."""

    @property
    def drill(self) -> bool:
        """Nothing on this stream is real: drills and canaries."""
        return self.purpose in ("drill", "canary")


@dataclass(frozen=True, kw_only=True)
class SampleFacts:
    """What was found out about one sampled picture."""

    capture_ms: int
    """When the picture was live, in milliseconds of Redis's clock; on a file, of its presentation time."""
    pts_seconds: float
    """From the first picture of its segment; on a file, of the whole input."""
    reason: str
    """What made the sampler look: keyframe, cut, gap or audit."""
    pdq_quality: int
    """0 to 100."""
    matches: tuple[ListMatch, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    """By "<model>/<label>"; empty where no classifier ran."""
    looked_at: bool = True
    """It had its classifier turn; those that had none do not thin out the shares that rules ask for."""
    pdq: str = field(default="", repr=False)
    """64 hex digits; empty: unhashable, or unknown. For events alone: rules do not see it, and logs must not."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What became of a segment's time, as the ledger has it."""

    segment_seconds: float = 0.0
    moderated_seconds: float = 0.0
    unhashable_seconds: float = 0.0
    """Of what was moderated: where no hash list could say anything."""
    failed_seconds: float = 0.0

    @classmethod
    def of_ms(cls, *, segment_ms: int, moderated_ms: int, unhashable_ms: int, failed_ms: int) -> "Coverage":
        """From the ledger's milliseconds."""
        return cls(
            segment_seconds=segment_ms / 1000,
            moderated_seconds=moderated_ms / 1000,
            unhashable_seconds=unhashable_ms / 1000,
            failed_seconds=failed_ms / 1000,
        )


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What is known around a sample once its segment and all before it have ended."""

    answers: Mapping[str, int | float] = field(default_factory=dict)
    """Of windows, by the variable of the call (config/policy/cel/windows.py)."""
    coverage: Coverage = Coverage()
    """Of the sample's segment."""


@dataclass(frozen=True, kw_only=True)
class SegmentFacts:
    """What was found out about one segment of a stream."""

    key: str
    series: str = ""
    """Its watch generation and epoch: only what is of one series has an order."""
    capture_ms: int
    """When its first picture was live."""
    stream: StreamFacts
    """As it was known when the segment was moderated."""
    samples: tuple[SampleFacts, ...] = ()
    """By capture time; none of a segment of which nothing was seen."""
    coverage: Coverage = Coverage()
    silent: frozenset[ListedHash] = frozenset()
    """Hashes in quarantine when it ended, and such as flooded: windows do not count what matched them."""
    source: SegmentSource | None = None
    """None: unknown."""

    @property
    def place(self) -> SegmentPlace:
        """Orders the segments of one watch and epoch; two never have the same."""
        return SegmentPlace(self.capture_ms, self.key)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A rule that holds for a sample."""

    rule: str
    severity: Severity
    capture_ms: int
    pts_seconds: float
    reason: str
    principles: tuple[int, ...]
    """Of the Voluntary Principles, ascending: always 5 (livestreams), 1 for known material, 2 for a classifier."""
    matches: tuple[ListMatch, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    grounds: tuple[ListMatch, ...] = ()
    """Of the matches: those each of which alone makes the rule hold, if it would not hold without any."""
    frames: tuple[VideoFrame, ...] = ()
    """For a rule that counts frames of one video: those that this sample shows."""
    segment: str = ""
    """Of a rule that is judged in order: key of the sample's segment, which may be another than the one that ended."""
    ordinal: int | None = None
    """Likewise: the sample's number in capture order. Only differences count; those of other epochs are far away."""
    pdq: str = field(default="", repr=False)
    """The sample's, 64 hex digits; empty: unhashable, or unknown."""
    source: SegmentSource | None = None
    """Of the sample's segment, if that may be another than the one that ended."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """What a policy says of one sample."""

    hits: tuple[Hit, ...]
    """In the order of the policy's rules; shadow rules among them."""
    problems: tuple[str, ...] = ()
    """Slugs for `degraded`: rules that could not be evaluated."""
