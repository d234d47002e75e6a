"""The result of a scan: samples, findings and unmoderated time."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from config.facts import SELFTEST, ListMatch, SampleFacts, Severity, StreamFacts
from config.policy.persistence import RuleHeld
from config.policy.policy import Policy
from config.policy.rules import Rule
from sampler.frames import Stretch
from sampler.plan.coverage import longest_gap_seconds
from worker.moderation.stages import ModelTally
from worker.moderation.verdict import CpuSeconds, SampleVerdict

SCANNED = StreamFacts(stream_id="scan", purpose="drill")
"""A scan is a drill, so that the test card counts."""

FILE = "file"
"""`sample.reason` for rules where the file itself is listed."""

FOUND, UNSEEN, CLEAN = 1, 2, 0
"""Exit statuses."""

SLACK_SECONDS = 1e-3
"""Shorter unmoderated time is ignored: timestamps of MPEG-TS count 1/90000 s, and EXTINF is rounded."""


@dataclass(frozen=True, kw_only=True)
class ScanFinding:
    """A rule that persists on a run of consecutive samples."""

    rule: str
    severity: Severity
    pts_seconds: float
    """Presentation time of the first sample."""

    def to_record(self) -> dict[str, Any]:
        """As `livewarden scan --json` prints it."""
        return {
            "type": "finding",
            "rule": self.rule,
            "severity": str(self.severity),
            "pts_seconds": round(self.pts_seconds, 6),
        }


@dataclass(frozen=True, kw_only=True)
class UnmoderatedStretch:
    """An unmoderated stretch of the input."""

    stretch: Stretch
    part: str
    """Name of its part."""
    detail: str = ""
    """Detail of the failure, if there is more than the reason."""


@dataclass(kw_only=True)
class ScanResult:
    """The result so far; grows with each part."""

    file_matches: tuple[ListMatch, ...] = ()
    """Entries that are digests of the file."""
    rendition: str | None = None
    not_scanned: tuple[str, ...] = ()
    """Both as in `Media`."""
    samples: list[SampleVerdict] = field(default_factory=list)
    unseen: list[UnmoderatedStretch] = field(default_factory=list)
    degraded: set[str] = field(default_factory=set)
    duration_seconds: float = 0.0
    pictures_seconds: float = 0.0
    """The part of `duration_seconds` that has pictures."""
    frames_total: int = 0
    frames_decoded: int = 0
    cpu_seconds: CpuSeconds = field(default_factory=CpuSeconds)
    model_tallies: dict[str, ModelTally] = field(default_factory=dict)
    """By model."""

    @property
    def unmoderated_seconds(self) -> float:
        return sum((unseen.stretch.seconds for unseen in self.unseen), 0.0)

    def _unseen_by_reason(self) -> dict[str, float]:
        seconds: dict[str, float] = {}
        for unseen in self.unseen:
            seconds[unseen.stretch.reason] = seconds.get(unseen.stretch.reason, 0.0) + unseen.stretch.seconds
        return seconds

    @property
    def frame_seconds(self) -> float:
        """The mean duration of a frame."""
        return self.pictures_seconds / self.frames_total if self.frames_total else 0.0

    def findings(self, policy: Policy) -> list[ScanFinding]:
        """Rules that hold often enough to call a person: one for each rule and run of consecutive samples, by time."""
        found: list[ScanFinding] = []
        for rule in (rule for rule in policy.rules if rule.mode == "live"):
            persisting = self._persisting(rule)
            found += [
                ScanFinding(rule=rule.name, severity=rule.severity, pts_seconds=self.samples[index].pts_seconds)
                for index in sorted(persisting)
                if index - 1 not in persisting
            ]
        found += self._of_file(policy)
        return sorted(found, key=lambda finding: (finding.pts_seconds, finding.severity.rank))

    def _of_file(self, policy: Policy) -> list[ScanFinding]:
        """Findings by the file's own digest: it is the listed file, so that nothing has to persist."""
        if not self.file_matches:
            return []
        facts = SampleFacts(capture_ms=0, pts_seconds=0.0, reason=FILE, pdq_quality=0, matches=self.file_matches)
        hits = policy.evaluate(SCANNED, facts).hits
        return [
            ScanFinding(rule=hit.rule, severity=hit.severity, pts_seconds=0.0)
            for hit in hits
            if policy.rule(hit.rule).mode == "live"
        ]

    def _persisting(self, rule: Rule) -> set[int]:
        """Indices of the samples on which the rule persists."""
        persisting: set[int] = set()
        held: list[tuple[int, RuleHeld]] = []
        for index, sample in enumerate(self.samples):
            for hit in (hit for hit in sample.hits if hit.rule == rule.name):
                last = RuleHeld(hit.capture_ms, hit.frames, hit.ordinal)
                held = [*((at, one) for at, one in held if rule.persistence.reach(one, last)), (index, last)]
                if rule.persistence.met_by(one for _, one in held) is not None:
                    persisting.update(at for at, _ in held)
        return persisting

    def only_selftest(self, findings: Sequence[ScanFinding]) -> bool:
        """Returns whether all findings are of the test card: each hit of their rules matched it, and no sample matched
        another list."""
        if self.file_matches or any(match.list != SELFTEST for sample in self.samples for match in sample.matches):
            return False
        rules = {finding.rule for finding in findings}
        return all(hit.matches for sample in self.samples for hit in sample.hits if hit.rule in rules)

    def exit_status(self, findings: Sequence[ScanFinding]) -> int:
        """1: there is a finding; else 2: more than one frame's time is unmoderated, or a still picture; else 0."""
        if findings:
            return FOUND
        still = self.unseen and not self.pictures_seconds
        return UNSEEN if still or self.unmoderated_seconds > self.frame_seconds + SLACK_SECONDS else CLEAN

    def playlist_record(self) -> dict[str, Any]:
        """A record of `livewarden scan --json` before all samples, where players may show something besides."""
        return {"type": "playlist", "rendition": self.rendition, "not_scanned": list(self.not_scanned)}

    def file_record(self) -> dict[str, Any]:
        """The first record of `livewarden scan --json`, where the file itself is listed."""
        found = [{"list": match.list, "entry": match.entry, "distance": match.distance} for match in self.file_matches]
        return {"type": "file", "matches": found}

    def summary(self) -> dict[str, Any]:
        """The last record of `livewarden scan --json`."""
        gap = longest_gap_seconds(sorted(sample.pts_seconds for sample in self.samples), self.duration_seconds)
        return {
            "type": "summary",
            "duration_seconds": round(self.duration_seconds, 6),
            "unmoderated_seconds": round(self.unmoderated_seconds, 6),
            "unmoderated": {reason: round(seconds, 6) for reason, seconds in self._unseen_by_reason().items()},
            "degraded": sorted(self.degraded),
            "frames_total": self.frames_total,
            "frames_decoded": self.frames_decoded,
            "samples": len(self.samples),
            "max_gap_seconds": round(gap, 6),
            "cpu_seconds": {stage: round(seconds, 6) for stage, seconds in vars(self.cpu_seconds).items()},
            "models": {model: _model_counts(tally) for model, tally in self.model_tallies.items()},
        }


def _model_counts(tally: ModelTally) -> dict[str, int]:
    return {
        "classified": tally.classified,
        "skipped": tally.skipped,
        "failed": tally.failed,
        "cpu_ms": round(tally.cpu_seconds * 1000),
    }
