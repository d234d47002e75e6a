"""The parts of a segment that its samples cover."""

from collections.abc import Sequence
from dataclasses import dataclass

from sampler.frames import SampledSegment, Stretch
from sampler.plan.intervals import Interval, length, without
from worker.moderation.accounting import reach
from worker.moderation.verdict import SampleVerdict

CLASSIFIER_FAILED = "classifier_failed"
"""Ledger reason: pictures were hashed and matched, and a classifier did not work on them."""

Instant = tuple[float, SampleVerdict]
"""Seconds from the segment's first picture, and the sample there."""


@dataclass(frozen=True, kw_only=True)
class SampleCoverage:
    """The parts of a segment that its samples cover."""

    segment: SampledSegment
    reach_seconds: float
    """The profile's `max_gap_seconds`."""
    instants: Sequence[Instant]

    def unmoderated(self) -> tuple[Stretch, ...]:
        """The sampler's stretches, and those that only samples with a failed classifier cover."""
        found = list(self.segment.unmoderated)
        if not all(sample.classified for _, sample in self.instants):
            decoded = self._reach([instant for instant, _ in self.instants])
            seen = self._reach([instant for instant, sample in self.instants if sample.classified])
            dark = without(without(decoded, seen), [(stretch.start_seconds, stretch.end_seconds) for stretch in found])
            found += [Stretch(start_seconds=start, end_seconds=end, reason=CLASSIFIER_FAILED) for start, end in dark]
        return tuple(sorted(found, key=lambda stretch: stretch.start_seconds))

    def unhashable_seconds(self) -> float:
        classified = [(instant, sample) for instant, sample in self.instants if sample.classified]
        moderated = self._reach([instant for instant, _ in classified])
        hashed = self._reach([instant for instant, sample in classified if sample.pdq is not None])
        holes = [(stretch.start_seconds, stretch.end_seconds) for stretch in self.segment.unmoderated]
        return length(without(without(moderated, hashed), holes))

    def _reach(self, instants: Sequence[float]) -> list[Interval]:
        return reach(instants, self.reach_seconds, self.segment.duration_seconds)
