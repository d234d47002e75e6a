"""Findings and summary of a scan."""

import pytest

from config.facts import Hit, Severity
from config.policy.policy import Policy
from sampler.frames import SampleReason
from worker.moderation.verdict import SampleVerdict
from worker.scan.result import ScanResult


def sample(seconds: float, *, held: bool = False) -> SampleVerdict:
    hit = Hit(
        rule="shown",
        severity=Severity.HIGH,
        scores={},
        matches=(),
        capture_ms=round(1000 * seconds),
        pts_seconds=seconds,
        reason="keyframe",
        principles=(5,),
    )
    return SampleVerdict(
        pts_seconds=seconds,
        capture_ms=hit.capture_ms,
        reason=SampleReason.KEYFRAME,
        keyframe=True,
        width=64,
        height=64,
        pdq=None,
        pdq_quality=0,
        matches=(),
        scores={},
        deduplicated=False,
        concealed=False,
        classified=True,
        flat=None,
        frozen=False,
        hits=(hit,) if held else (),
    )


@pytest.mark.parametrize(
    ("persistence", "held", "found"),
    [
        ({}, {1, 2, 5}, [1.0, 5.0]),
        ({"hits": 2, "within_seconds": 1.0}, {0, 2, 3, 6, 9, 10, 11}, [2.0, 9.0]),
        ({"hits": 3, "within_seconds": 4.0}, {0, 2, 4, 9}, [0.0, 2.0, 4.0]),
        ({"hits": 3, "within_seconds": 2.0}, {0, 2, 4}, []),
    ],
)
def test_a_finding_is_a_run_of_pictures_on_which_a_rule_persists(
    persistence: dict[str, float], held: set[int], found: list[float]
) -> None:
    """A scan would report findings that raise nothing on a stream, or leave out the second scene of a film."""
    rule = {"name": "shown", "when": "true", "severity": "high", "persistence": persistence}
    policy = Policy.model_validate({"version": "1", "rules": [rule]})
    result = ScanResult(samples=[sample(at, held=at in held) for at in range(12)])
    assert [finding.pts_seconds for finding in result.findings(policy)] == found


@pytest.mark.parametrize(
    ("seconds", "gap"), [([3.0, 4.0], 6.0), ([3.0, 9.0, 9.5], 6.0), ([9.5, 3.0, 9.0], 6.0), ([5.5], 5.5), ([], 10.0)]
)
def test_the_longest_gap_includes_both_ends(seconds: list[float], gap: float) -> None:
    """A scan that sampled only the middle of a file would claim to cover all of it."""
    result = ScanResult(samples=[sample(at) for at in seconds], duration_seconds=10.0)
    assert result.summary()["max_gap_seconds"] == gap
