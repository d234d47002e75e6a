"""What the pipeline says of a segment, and of each picture taken from it."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from config.facts import Hit, ListMatch, SampleFacts
from models.pdq.variants import Variants
from sampler.frames import SampleReason, Stretch
from worker.bank.mark import BankMark
from worker.moderation.accounting import LedgerShare, account
from worker.moderation.gate import GateState
from worker.moderation.stages import Turns


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
    """One picture: why it was taken, and what was found."""

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
    """Hashes of the picture turned, in those ways that a list in force asks for."""
    matches: tuple[ListMatch, ...]
    scores: Mapping[str, float]
    """By "<model>/<label>"; those of the repeated picture, where `deduplicated`."""
    deduplicated: bool
    """It repeats the picture last classified, whose scores count for it."""
    concealed: bool
    """Parts of it are made up: it was hashed, and speaks for nothing."""
    looked_at: bool
    """It had its classifier turn: every classifier that had cause, and that live rules may ask, gave its scores; or it
    is deduplicated."""
    flat: str | None
    """"black", "white" or "blank": it shows nothing."""
    frozen: bool
    """The picture has not changed for a while (`worker.moderation.gate.FROZEN_AFTER_MS`)."""
    hits: tuple[Hit, ...]
    """The policy's rules that hold, before persistence; not those that are judged in order."""

    @property
    def nearest(self) -> tuple[ListMatch, ...]:
        """Of the matches, the nearest of each list: what a person reads."""
        nearest: dict[str, ListMatch] = {}
        for match in sorted(self.matches, key=lambda match: match.order):
            nearest.setdefault(match.list, match)
        return tuple(nearest.values())

    @property
    def facts(self) -> SampleFacts:
        """What rules may know of it."""
        return SampleFacts(
            capture_ms=self.capture_ms,
            pts_seconds=self.pts_seconds,
            reason=str(self.reason),
            pdq_quality=self.pdq_quality,
            matches=self.matches,
            scores=self.scores,
            looked_at=self.looked_at,
            pdq=self.pdq or "",
        )

    def to_record(self) -> dict[str, Any]:
        """As `livewarden scan --json` prints it."""
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
            **({} if self.looked_at else {"classified": False}),
        }


@dataclass(frozen=True, kw_only=True)
class SegmentVerdict:
    """All that is known of one segment once the pipeline has seen it."""

    samples: tuple[SampleVerdict, ...]
    """By presentation time."""
    duration_seconds: float
    unmoderated: tuple[Stretch, ...]
    """Stretches out of reach of every sample that was decoded, hashed and had its classifier turn; times from the
    segment's first picture."""
    unhashable_seconds: float
    """Of what is moderated: where every sample in reach was unhashable."""
    frames_total: int
    frames_decoded: int
    max_gap_seconds: float
    """The longest stretch without a sample, both ends of the segment included."""
    cpu_seconds: CpuSeconds
    gate: GateState | None
    """After this segment; None: nothing was classified yet."""
    turns: Mapping[str, Turns] = field(default_factory=dict)
    """By model: how many pictures it looked at, and for how long."""
    list_versions: Mapping[str, str] = field(default_factory=dict)
    """Hash list -> version of it that the pictures were compared with."""
    bank: BankMark = field(default_factory=BankMark)
    """Which state of all lists that was."""
    degraded: tuple[str, ...] = ()
    """Slugs of what did not work although the verdict stands, each once, sorted."""
    notes: tuple[str, ...] = field(default=())
    """The sampler's, on the input."""

    @property
    def hits(self) -> tuple[Hit, ...]:
        """Of all samples, by presentation time."""
        return tuple(hit for sample in self.samples for hit in sample.hits)

    @property
    def counts(self) -> dict[str, int]:
        """How many samples there were, and of them: deduplicated, unhashable, frozen, flat by kind, and looked at by
        which model."""
        flat = Counter(sample.flat for sample in self.samples if sample.flat is not None)
        return {
            "samples": len(self.samples),
            "deduplicated": sum(sample.deduplicated for sample in self.samples),
            "unhashable": sum(sample.pdq is None for sample in self.samples),
            "frozen": sum(sample.frozen for sample in self.samples),
            **flat,
            **{
                f"{what} by {model}": count
                for model, turns in self.turns.items()
                for what, count in turns.counts.items()
            },
        }

    @property
    def unmoderated_seconds(self) -> float:
        return sum((stretch.seconds for stretch in self.unmoderated), 0.0)

    def ledger_share(self, extinf_ms: int) -> LedgerShare:
        """What the segment, of `extinf_ms` by its playlist, adds to the coverage ledger."""
        return account(
            extinf_ms,
            duration_seconds=self.duration_seconds,
            unmoderated=self.unmoderated,
            unhashable_seconds=self.unhashable_seconds,
        )
