"""From the samples of a segment to its share of the coverage ledger.

The ledger counts integer milliseconds of EXTINF, so that its equation is exact; decoded media is measured in seconds of
presentation time. Intervals here are (start, end) in seconds from the segment's first picture; they are
lists in ascending order that do not overlap.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from config.facts import Coverage
from sampler.frames import Stretch
from sampler.plan.coverage import BUDGET
from sampler.plan.intervals import Interval, joined
from worker.ingest.coverage.ledger import entry

SHORT = "short"
"""Ledger reason: the segment holds less than its EXTINF promised."""

SKIPPED = frozenset({BUDGET})
"""Reasons of stretches that were left out on purpose: the ledger counts them as skipped, all others as failed."""

ROUNDING_MS = 500
"""By how much, <=, a segment may fall short of its EXTINF without a loss: up to protocol version 2 EXTINF is rounded to
whole seconds (RFC 8216, section 4.3.2.1)."""


@dataclass(frozen=True, kw_only=True)
class LedgerShare:
    """The amounts that one segment adds to the ledger: `moderated_ms` and all of `lost_ms` sum to its EXTINF."""

    moderated_ms: int
    failed_ms: Mapping[str, int]
    """By reason; none is 0."""
    unhashable_ms: int
    """The part of `moderated_ms` where pictures could not be hashed."""
    skipped_ms: Mapping[str, int] = field(default_factory=dict)
    """By reason, of `SKIPPED`; none is 0."""

    @property
    def lost_ms(self) -> Mapping[str, int]:
        """Failed and skipped time by reason."""
        return {**self.failed_ms, **self.skipped_ms}

    @property
    def entries(self) -> Mapping[str, int]:
        """Failed and skipped time by field of the ledger."""
        return {lost_entry(reason): part_ms for reason, part_ms in self.lost_ms.items()}

    def coverage(self, segment_ms: int) -> Coverage:
        """The same as shares of the segment, for rules, to which skipped time is as unseen as failed time."""
        return Coverage.of_ms(
            segment_ms=segment_ms,
            moderated_ms=self.moderated_ms,
            unhashable_ms=self.unhashable_ms,
            failed_ms=sum(self.lost_ms.values()),
        )


def lost_entry(reason: str) -> str:
    """The ledger's field for a stretch with that reason."""
    return entry("skipped" if reason in SKIPPED else "failed", reason)


def reach(instants: Iterable[float], reach_seconds: float, duration_seconds: float) -> list[Interval]:
    """Returns the parts of [0, `duration_seconds`] that `instants` cover, as in sampler/plan/coverage.py: each covers
    `reach_seconds` after it, the first one as long before it as well.
    """
    return joined(
        (max(0.0, instant - (0.0 if index else reach_seconds)), min(duration_seconds, instant + reach_seconds))
        for index, instant in enumerate(sorted(instants))
    )


def account(
    extinf_ms: int,
    *,
    duration_seconds: float,
    unmoderated: Sequence[Stretch],
    unhashable_seconds: float,
    reordered_seconds: float = 0.0,
) -> LedgerShare:
    """Divides a segment's `extinf_ms` by what was moderated of it.

    A segment that is shorter than promised by over `ROUNDING_MS` lacks the difference: for the reasons of the stretches
    before its first picture (there was sound, and no picture yet), and as `failed: short` for what they leave, if that
    is over `ROUNDING_MS` and `reordered_seconds` together. Packagers count from keyframe to keyframe, and with open
    GOPs the next segment's leading pictures are shown before its keyframe. They last no longer than this segment's.
    Otherwise EXTINF and the measured duration mean the same stretch, and the parts are scaled to it.
    """
    measured_ms = round(duration_seconds * 1000)
    excused_ms = ROUNDING_MS + min(round(reordered_seconds * 1000), measured_ms) if measured_ms > 0 else 0
    lost: dict[str, int] = {}
    left_ms = extinf_ms
    if measured_ms <= 0 or extinf_ms - measured_ms > ROUNDING_MS:
        left_ms = min(extinf_ms, max(0, measured_ms))
        lacking_ms = extinf_ms - left_ms
        for stretch in (stretch for stretch in unmoderated if stretch.end_seconds <= 0):
            part_ms = min(lacking_ms, round(stretch.seconds * 1000))
            lost[stretch.reason] = lost.get(stretch.reason, 0) + part_ms
            lacking_ms -= part_ms
        if lacking_ms <= excused_ms:
            left_ms += lacking_ms
        else:
            lost[SHORT] = lacking_ms
    scale = left_ms / measured_ms if left_ms else 0.0
    for stretch in (stretch for stretch in unmoderated if stretch.end_seconds > 0):
        part_ms = min(left_ms, round(stretch.seconds * 1000 * scale))
        lost[stretch.reason] = lost.get(stretch.reason, 0) + part_ms
        left_ms -= part_ms
    return LedgerShare(
        moderated_ms=left_ms,
        failed_ms={reason: part_ms for reason, part_ms in lost.items() if part_ms and reason not in SKIPPED},
        skipped_ms={reason: part_ms for reason, part_ms in lost.items() if part_ms and reason in SKIPPED},
        unhashable_ms=min(left_ms, round(unhashable_seconds * 1000 * scale)),
    )
