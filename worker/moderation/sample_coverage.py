"""The parts of a segment that its samples cover."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

from sampler.frames import SampledSegment, Stretch
from sampler.plan.intervals import Interval, joined, length, without
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
    tracks: Sequence[Sequence[Instant]]
    """The samples of each video track that is sampled. Which one a player shows is unknown: each is to be covered by
    its own."""

    def unmoderated(self) -> tuple[Stretch, ...]:
        """The sampler's stretches, and those that only samples with a failed classifier cover."""
        found = list(self.segment.unmoderated)
        for start, end in without(joined(chain.from_iterable(map(self._dark, self.tracks))), self._holes):
            found.append(Stretch(start_seconds=start, end_seconds=end, reason=CLASSIFIER_FAILED))
        return tuple(sorted(found, key=lambda stretch: stretch.start_seconds))

    def unhashable_seconds(self) -> float:
        unhashable = joined(chain.from_iterable(map(self._unhashable, self.tracks)))
        return length(without(unhashable, [(one.start_seconds, one.end_seconds) for one in self.unmoderated()]))

    @property
    def _holes(self) -> list[Interval]:
        return [(stretch.start_seconds, stretch.end_seconds) for stretch in self.segment.unmoderated]

    def _dark(self, instants: Sequence[Instant]) -> list[Interval]:
        """The parts that only samples with a failed classifier cover."""
        if all(sample.classified for _, sample in instants):
            return []
        decoded = self._reach([instant for instant, _ in instants])
        return without(decoded, self._reach([instant for instant, sample in instants if sample.classified]))

    def _unhashable(self, instants: Sequence[Instant]) -> list[Interval]:
        """The moderated parts that only samples without a hash cover."""
        moderated = self._reach([instant for instant, sample in instants if sample.classified])
        hashed = [instant for instant, sample in instants if sample.classified and sample.pdq is not None]
        return without(moderated, self._reach(hashed))

    def _reach(self, instants: Sequence[float]) -> list[Interval]:
        return reach(instants, self.reach_seconds, self.segment.duration_seconds)
