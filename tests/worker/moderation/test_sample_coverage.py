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


SEGMENT = SampledSegment(
    frames=(),
    duration_seconds=4.0,
    frames_total=100,
    frames_decoded=2,
    max_gap_seconds=2.0,
    unmoderated=(),
    cpu_seconds={},
)


@pytest.mark.parametrize(("hashed", "unhashable_seconds"), [((True, False), 0), ((False, True), 2)])
def test_only_moderated_time_can_be_unhashable(hashed: tuple[bool, bool], unhashable_seconds: float) -> None:
    """Failed time would count as unhashable too, or hide that the lists could not check the rest."""
    instants = [sample(0.0, classified=True, hashed=hashed[0]), sample(2.0, classified=False, hashed=hashed[1])]
    coverage = SampleCoverage(segment=SEGMENT, reach_seconds=2.0, tracks=[instants])
    (dark,) = coverage.unmoderated()
    assert (dark.start_seconds, dark.end_seconds, dark.reason) == (2.0, 4.0, CLASSIFIER_FAILED)
    assert coverage.unhashable_seconds() == unhashable_seconds


@pytest.mark.parametrize("failing", [0, 1])
def test_a_track_is_covered_by_its_own_samples_alone(failing: int) -> None:
    """A classifier that fails on one track would go unnoticed, since the other track's pictures are in reach."""
    tracks = [
        [sample(seconds, classified=track != failing or not seconds, hashed=True) for seconds in (0.0, 2.0)]
        for track in (0, 1)
    ]
    coverage = SampleCoverage(segment=SEGMENT, reach_seconds=2.0, tracks=tracks)
    assert [(one.start_seconds, one.end_seconds, one.reason) for one in coverage.unmoderated()] == [
        (2.0, 4.0, CLASSIFIER_FAILED)
    ]


def test_time_is_unhashable_where_one_track_is() -> None:
    """A listed picture could be shown where no list can match it, beside a track that is in order."""
    tracks = [
        [sample(seconds, classified=True, hashed=hashed or not seconds) for seconds in (0.0, 2.0)]
        for hashed in (True, False)
    ]
    coverage = SampleCoverage(segment=SEGMENT, reach_seconds=2.0, tracks=tracks)
    assert coverage.unmoderated() == ()
    assert coverage.unhashable_seconds() == 2
