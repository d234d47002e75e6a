"""Scoring of the sampling benchmark."""

import pytest

from bench.clips import ENCODERS, INTRA_REFRESH, Insert, make_clip
from bench.material import Reel
from bench.methods import KeyframesOnly, VideoCapture
from bench.score import Recall, judge


@pytest.mark.parametrize(
    ("seen", "total", "low", "high"),
    [(15, 50, 0.1910, 0.4375), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0.0, 1.0)],
)
def test_wilson(seen: int, total: int, low: float, high: float) -> None:
    """Too narrow an interval would claim more than was measured; figures are from R's prop.test(correct=FALSE)."""
    assert Recall(seen=seen, total=total).wilson() == pytest.approx((low, high), abs=5e-5)


@pytest.mark.parametrize(
    ("instants", "seen"),
    [([], False), ([1.0], True), ([0.999999, 3.0], True), ([35 / 24], True), ([1.5], False), ([0.95, 1.5], False)],
)
def test_an_insert_is_a_half_open_interval(instants: list[float], seen: bool) -> None:
    """A picture after an insert would count as having detected it."""
    assert Insert(start_seconds=1.0, end_seconds=1.5).is_seen(instants) is seen


@pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.name)
def test_hidden_inserts_contain_no_keyframe(encoder) -> None:
    """Recall would be measured on inserts that keyframes show, or on clips without inserts."""
    reel = Reel(["pan", "discs"], width=160, height=96)
    asked = (0.25, 0.5, 1.0, 2.0)
    clip = make_clip(reel, encoder=encoder, base="discs", gop_seconds=2, insert_seconds=asked, seed=(1,))
    keyframes, all_pictures = (
        judge(method.name, clip, method.sample(clip)) for method in (KeyframesOnly(), VideoCapture())
    )
    assert sorted(seconds for seconds, _ in all_pictures.outcomes) == [0.25, 0.5, 1.0]
    assert all(seen for _, seen in all_pictures.outcomes)
    assert not any(seen for _, seen in keyframes.outcomes)
    assert all_pictures.frames_decoded == clip.frames_total
    assert keyframes.frames_decoded == (1 if encoder.name == INTRA_REFRESH else len(clip.segments))
