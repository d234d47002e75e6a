"""Inputs and outputs of a policy: plain values that every package may know."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

from pydantic import Field

SELFTEST = "selftest"
"""The built-in list that holds the test card."""
ALLOW = "allow"
"""The list of pictures that a lead found harmless; a match on it is no match on known material."""

FLOOD_RULE = "hash-flood"
"""Livewarden's own rule, by which one hash that matches many streams becomes one incident; no policy has it."""

COVERAGE_GAP_RULE = "coverage-gap"
"""Livewarden's own rule, by which a stream that alone cannot be sampled for long becomes an incident."""


IMMINENT_DANGER_RULE = "imminent-danger"
"""Livewarden's own rule, by which a platform's report of imminent danger becomes an incident without any finding; the
signal has the same name."""


OVER_BUDGET = "over-budget"
LEADING_UNSEEN = "leading-unseen"
OWN_SIGNALS: Mapping[str, tuple[str, ...]] = {OVER_BUDGET: ("budget",), LEADING_UNSEEN: ("leading", "concealed")}
"""Signals that Livewarden makes of reasons in the ledger: the share of a segment's time, 0 to 1, that was lost for
these reasons, the highest of late."""
SUBTITLE_PICTURES = "subtitle-pictures"
PADDED_PICTURES = "padded-pictures"
RENDITIONS_DIFFER = "renditions-differ"
NOTE_SIGNALS: Mapping[str, str] = {
    "subtitle_pictures": SUBTITLE_PICTURES,
    "padded": PADDED_PICTURES,
    "renditions_differ": RENDITIONS_DIFFER,
}
"""Notes on a segment to the signals that Livewarden makes of them: 1 where there is such a note."""


class Severity(StrEnum):
    """Urgency of a review; in falling order."""

    CRITICAL = "critical"
    HIGH = "high"
    REVIEW = "review"

    @property
    def rank(self) -> int:
        """0 is the most urgent."""
        return tuple(Severity).index(self)


def most_urgent(*severities: Severity) -> Severity:
    """The most urgent one."""
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


class SegmentPosition(NamedTuple):
    """A segment's position among those of one watch and epoch of a stream: smaller is earlier."""

    capture_ms: int
    key: str


@dataclass(frozen=True, kw_only=True)
class SegmentSource:
    """Source of a segment, for people who search for it at its origin or in a recording."""

    uri: str
    """Without user, query and fragment, where tokens are; empty: unknown."""
    media_sequence: int
    rendition: str = ""
    """Name of the rendition, or of the other video, that was audited. Empty: it is the watched one's segment."""


@dataclass(frozen=True, kw_only=True)
class ListMatch:
    """A picture is near one on a hash list."""

    list: str
    entry: str
    distance: int
    """Hamming distance of the PDQ hashes, 0 to 31; of a guess at what was cropped off, or the one that chance reaches
    as rarely."""
    video: str | None = None
    """The video of which the listed picture is a frame; ids of videos belong to their list."""
    seconds: float | None = None
    """Time in that video, in seconds."""
    variant: str | None = None
    """Transformation of the sampled picture that matched: mirror, rotate or crop; None: it matched as it was."""
    version: str = ""
    """Version of the list when the match was found; empty: unknown."""
    tags: tuple[str, ...] = ()
    """Tags of the entry, from the list's source."""
    source: str = ""
    """Source of the list, such as NCMEC; empty: unknown."""
    category: str = ""
    """Category of the list's entries; empty: unknown."""
    max_distance: int | None = None
    """Distance up to which (<=) the list matches; None: unknown."""
    allowed: bool = False
    """A lead found this very picture harmless: the match calls for no more than a review, and interrupts nothing."""

    @property
    def order(self) -> tuple[int, str, str]:
        """The nearest first; the names make the order total."""
        return (self.distance, self.list, self.entry)

    @property
    def harmless(self) -> bool:
        """A lead allowed it, or it is the entry of `allow` by which another match is allowed."""
        return self.allowed or self.list == ALLOW

    @property
    def listed(self) -> ListedHash:
        """The hash that was matched."""
        return ListedHash(self.list, self.entry)


@dataclass(frozen=True, kw_only=True)
class StreamFacts:
    """The stream that a sample was taken from."""

    stream_id: str
    purpose: str = "live"
    """live, drill or canary."""
    audience: str = "public"
    risk_prior: float = 0.0
    """0 to 1."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """The platform's own notes: JSON values."""
    signals: Mapping[str, float] = field(default_factory=dict)
    """Numbers that the platform reports, by name, such as viewers' reports; they change while the stream is live."""
    risk: float = 0.0
    """0 to 1: all reasons to watch it closely, as they stood when this was read (config/policy/risk.py)."""
    state: str = ""
    """As the registry had it: live, stalled, ended, and so on; empty: unknown. Rules do not see it."""

    @property
    def drill(self) -> bool:
        """Nothing on this stream is real: drills and canaries."""
        return self.purpose in ("drill", "canary")


@dataclass(frozen=True, kw_only=True)
class SampleFacts:
    """Findings about one sampled picture."""

    capture_ms: int
    """Time when the picture was live, in milliseconds of Redis's clock; on a file, of its presentation time."""
    pts_seconds: float
    """Seconds from the first picture of its segment; on a file, of the complete input."""
    reason: str
    """Reason of the sample: keyframe, cut, gap or audit."""
    pdq_quality: int
    """0 to 100."""
    matches: tuple[ListMatch, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    """By "<model>/<label>"; empty where no classifier ran."""
    classified: Annotated[bool, Field(alias="looked_at")] = True
    """Every classifier that was due gave its scores. Other samples do not lower the shares that rules use. JSON that
    waits in Redis has it as `looked_at`, also for workers of other versions."""
    pdq: str = field(default="", repr=False)
    """64 hex digits; empty: unhashable, or unknown. For events alone: rules do not see it, and logs must not."""
    source: SegmentSource | None = None
    """Place of another rendition's segment that it was taken from, likewise. None: it is of the watched one."""


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """A segment's time by its outcome, as the ledger has it."""

    segment_seconds: float = 0.0
    moderated_seconds: float = 0.0
    unhashable_seconds: float = 0.0
    """Part of the moderated time in which no hash list could match."""
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
    """The surroundings of a sample, known once its segment and all before it have ended."""

    answers: Mapping[str, int | float] = field(default_factory=dict)
    """Results of windows, by the variable of the call (config/policy/cel/windows.py)."""
    coverage: Coverage = Coverage()
    """Coverage of the sample's segment."""


@dataclass(frozen=True, kw_only=True)
class SegmentFacts:
    """Findings about one segment of a stream."""

    key: str
    series: str = ""
    """Its watch generation and epoch: only what is of one series has an order."""
    capture_ms: int
    """Time when its first picture was live, in milliseconds, as of its samples."""
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
    def position(self) -> SegmentPosition:
        """Orders the segments of one watch and epoch; two never have the same."""
        return SegmentPosition(self.capture_ms, self.key)


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A rule that holds for a sample."""

    rule: str
    severity: Severity
    capture_ms: int
    pts_seconds: float
    reason: str
    principles: tuple[int, ...]
    """Voluntary Principles by number, ascending: always 5 (livestreams), 1 for known material, 2 for a classifier."""
    matches: tuple[ListMatch, ...] = ()
    scores: Mapping[str, float] = field(default_factory=dict)
    grounds: tuple[ListMatch, ...] = ()
    """Matches each of which alone makes the rule hold, if it would not hold without any."""
    frames: tuple[VideoFrame, ...] = ()
    """For a rule that counts frames of one video: those that this sample shows."""
    segment: str = ""
    """Key of the sample's segment, of a rule that is judged in order: it may be another than the one that ended."""
    ordinal: int | None = None
    """The sample's number in capture order, likewise. Only differences count; those of other epochs are far away."""
    pdq: str = field(default="", repr=False)
    """The sample's, 64 hex digits; empty: unhashable, or unknown."""
    source: SegmentSource | None = None
    """Place of the sample's segment, if it may be another than the one that ended."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """Result of a policy for one sample."""

    hits: tuple[Hit, ...]
    """In the order of the policy's rules; shadow rules among them."""
    problems: tuple[str, ...] = ()
    """Slugs for `degraded`: rules that could not be evaluated."""
