"""The pipeline's verdict on a segment, and on each picture sampled from it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.facts import Hit, ListMatch, SampleFacts, SegmentSource
from models.pdq.variants import Variants
from sampler.frames import SampleReason, Stretch
from worker.bank.lists_in_force import BankMark
from worker.incidents.segment_evidence import NO_EVIDENCE, SegmentEvidence
from worker.moderation.accounting import LedgerShare, account
from worker.moderation.gate import GateState
from worker.moderation.stages import ModelTally


@dataclass(frozen=True, kw_only=True)
class CpuSeconds:
    """CPU time of this process and of its decoder child."""

    demux: float = 0.0
    decode: float = 0.0
    hash: float = 0.0
    match: float = 0.0
    classify: float = 0.0
    total: float = 0.0
    """All of the work, so at least the sum of the others; not the loading of models and lists."""

    def __add__(self, other: "CpuSeconds") -> "CpuSeconds":
        return CpuSeconds(**{name: value + getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True, kw_only=True)
class SampleVerdict:
    """One picture: the reason that it was sampled, and its findings."""

    pts_seconds: float
    """From the first picture of the input; for a playlist that is the one of its first segment."""
    capture_ms: int
    reason: SampleReason
    keyframe: bool
    width: int
    """In pixels, as shown; so is `height`."""
    height: int
    pdq: str | None
    """64 hex digits; None: unhashable (quality < 50), which is not "no match"."""
    pdq_quality: int
    variants: Variants = field(default_factory=dict)
    """Hashes of the transformed picture, in those ways that a list in force needs."""
    matches: tuple[ListMatch, ...]
    scores: Mapping[str, float]
    """By "<model>/<label>"; those of the repeated picture, where `deduplicated`."""
    deduplicated: bool
    """It repeats a picture that was classified, and takes over its scores."""
    concealed: bool
    """The decoder made parts of it up: it was hashed, and covers nothing."""
    classified: bool
    """Classified: every classifier that was due, and whose scores live rules may use, gave them; or the picture is
    deduplicated."""
    flat: str | None
    """"black", "white" or "blank": it shows nothing."""
    frozen: bool
    """The picture has not changed for a while (`worker.moderation.gate.FROZEN_AFTER_MS`)."""
    hits: tuple[Hit, ...]
    """The policy's rules that hold, before persistence; not those that are evaluated in order."""
    source: SegmentSource | None = None
    """Another rendition's segment that it was taken from. None: the watched one."""

    @property
    def nearest(self) -> tuple[ListMatch, ...]:
        """The nearest match of each list, which a person reads."""
        nearest: dict[str, ListMatch] = {}
        for match in sorted(self.matches, key=lambda match: match.order):
            nearest.setdefault(match.list, match)
        return tuple(nearest.values())

    @property
    def facts(self) -> SampleFacts:
        """The facts of it that rules may use."""
        return SampleFacts(
            capture_ms=self.capture_ms,
            pts_seconds=self.pts_seconds,
            reason=str(self.reason),
            pdq_quality=self.pdq_quality,
            matches=self.matches,
            scores=self.scores,
            classified=self.classified,
            pdq=self.pdq or "",
            source=self.source,
        )

    def to_record(self) -> dict[str, Any]:
        """Returns it as `livewarden scan --json` prints it."""
        return {
            "type": "sample",
            "pts_seconds": round(self.pts_seconds, 6),
            "reason": str(self.reason),
            "pdq": self.pdq,
            "pdq_quality": self.pdq_quality,
            "matches": [
                {"list": match.list, "entry": match.entry, "distance": match.distance} for match in self.matches
            ],
            "scores": {name: round(score, 6) for name, score in self.scores.items()},
            "deduplicated": self.deduplicated,
            **({} if self.classified else {"classified": False}),
        }


@dataclass(frozen=True, kw_only=True)
class SegmentVerdict:
    """The verdict on one segment."""

    samples: tuple[SampleVerdict, ...]
    """By presentation time."""
    duration_seconds: float
    unmoderated: tuple[Stretch, ...]
    """Stretches out of reach of every sample that was decoded, hashed and classified; times from the segment's first
    picture."""
    unhashable_seconds: float
    """The moderated time where every sample in reach was unhashable."""
    frames_total: int
    frames_decoded: int
    max_gap_seconds: float
    """The longest stretch without a sample, both ends of the segment included."""
    cpu_seconds: CpuSeconds
    gate: GateState | None
    """After this segment; None: nothing was classified yet."""
    model_tallies: Mapping[str, ModelTally] = field(default_factory=dict)
    """By model: its pictures and its CPU time."""
    parameter_sets: bytes = b""
    """Those in force at the segment's end, for the next one; b"": not known."""
    list_versions: Mapping[str, str] = field(default_factory=dict)
    """Hash list -> version of it that the pictures were compared with."""
    bank: BankMark = field(default_factory=BankMark)
    """The state of all lists then."""
    degraded: tuple[str, ...] = ()
    """Slugs of failures although the verdict stands, each once, sorted."""
    notes: tuple[str, ...] = field(default=())
    """The sampler's, on the input."""
    reordered_seconds: float = 0.0
    """The sampler's (`SampledSegment.reordered_seconds`)."""
    origin_seconds: float = 0.0
    """Time of its first picture by the container's clock (`SampledSegment.origin_seconds`)."""
    audit_counts: Mapping[str, int] = field(default_factory=dict)
    """Its audit in another rendition, for the stream's record."""
    evidence: SegmentEvidence = NO_EVIDENCE
    """Sealed pictures, and the reason that some are missing."""

    @property
    def hits(self) -> tuple[Hit, ...]:
        """Hits of all samples, by presentation time."""
        return tuple(hit for sample in self.samples for hit in sample.hits)

    @property
    def counts(self) -> dict[str, int]:
        """Counts of samples, and of those deduplicated, unhashable, frozen, flat by kind, and classified by model."""
        flat = Counter(sample.flat for sample in self.samples if sample.flat is not None)
        return {
            "samples": len(self.samples),
            "deduplicated": sum(sample.deduplicated for sample in self.samples),
            "unhashable": sum(sample.pdq is None for sample in self.samples),
            "frozen": sum(sample.frozen for sample in self.samples),
            **flat,
            **self.audit_counts,
            **{
                f"{name} by {model}": count
                for model, tally in self.model_tallies.items()
                for name, count in tally.counts.items()
            },
        }

    @property
    def unmoderated_seconds(self) -> float:
        return sum((stretch.seconds for stretch in self.unmoderated), 0.0)

    def ledger_share(self, extinf_ms: int) -> LedgerShare:
        """Returns what the segment, of `extinf_ms` by its playlist, adds to the coverage ledger."""
        return account(
            extinf_ms,
            duration_seconds=self.duration_seconds,
            reordered_seconds=self.reordered_seconds,
            unmoderated=self.unmoderated,
            unhashable_seconds=self.unhashable_seconds,
        )
