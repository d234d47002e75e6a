"""Coverage of a segment by its samples, some of which were not classified."""

import pytest

from sampler.frames import SampledSegment, SampleReason
from worker.moderation.sample_coverage import CLASSIFIER_FAILED, SampleCoverage
from worker.moderation.verdict import SampleVerdict


def sample(seconds: float, *, classified: bool, hashed: bool) -> tuple[float, SampleVerdict]:
    return seconds, SampleVerdict(
        pts_seconds=seconds,
        capture_ms=round(seconds * 1000),
        reason=SampleReason.KEYFRAME,
        keyframe=True,
        width=640,
        height=360,
        pdq="00" * 32 if hashed else None,
        pdq_quality=90 if hashed else 0,
        matches=(),
        scores={},
        deduplicated=False,
        concealed=False,
        classified=classified,
        flat=None,
        frozen=False,
        hits=(),
    )


@pytest.mark.parametrize(("hashed", "unhashable_seconds"), [((True, False), 0), ((False, True), 2)])
def test_only_moderated_time_can_be_unhashable(hashed: tuple[bool, bool], unhashable_seconds: float) -> None:
    """Failed time would count as unhashable too, or hide that the lists could not check the rest."""
    segment = SampledSegment(
        frames=(),
        duration_seconds=4.0,
        frames_total=100,
        frames_decoded=2,
        max_gap_seconds=2.0,
        unmoderated=(),
        cpu_seconds={},
    )
    instants = [sample(0.0, classified=True, hashed=hashed[0]), sample(2.0, classified=False, hashed=hashed[1])]
    coverage = SampleCoverage(segment=segment, reach_seconds=2.0, instants=instants)
    (dark,) = coverage.unmoderated()
    assert (dark.start_seconds, dark.end_seconds, dark.reason) == (2.0, 4.0, CLASSIFIER_FAILED)
    assert coverage.unhashable_seconds() == unhashable_seconds
