"""Leading pictures of open GOPs: decoded with the GOP before, or reported; never passed over in silence."""

from collections.abc import Iterator

import pytest
from kinds import CLOSED, GOP, HEVC_OPEN_GOP, MPEG2, OPEN_GOP, x265
from media import (
    RATE,
    Recipe,
    cut,
    encode,
    fragments,
    keyframes,
    level_error,
    number_in,
    steady,
    x264,
)

from config.profiles import BALANCED, VIGILANT
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

DENSE = VIGILANT.model_copy(update={"audits_per_minute": 60.0})
H264_16 = x264(open_gop=1, bframes=16, b_adapt=0, **CLOSED)
HEVC_16 = x265(open_gop=1, bframes=16, b_adapt=0, rc_lookahead=20)
OPEN = {
    "h264": OPEN_GOP,
    "h264, 16 b-frames": H264_16,
    "hevc": HEVC_OPEN_GOP,
    "hevc, 16 b-frames": HEVC_16,
    "mpeg-2": MPEG2,
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


def halves(recipe: Recipe) -> tuple[bytes, bytes, bytes, int]:
    """Init section, two segments that meet at a keyframe, and the number of the second one's first picture."""
    data = encode(recipe, steady(2 * GOP))
    if recipe.container == "mpegts":
        edge = keyframes(data)[1]
        first, second = cut(data, [0, edge, 2 * GOP])
        return b"", first.data, second.data, second.numbers[0]
    init, parts = fragments(data)
    return init, parts[-2], parts[-1], 0


def assert_right(segment: SampledSegment, first_number: int) -> None:
    for frame in segment.frames:
        assert not frame.concealed
        assert number_in(frame.picture.luma()) == first_number + round(frame.pts_seconds * RATE)
        assert level_error(frame.picture.luma()) < 4


@pytest.mark.parametrize("recipe", OPEN.values(), ids=OPEN.keys())
def test_without_the_gop_before_leading_pictures_are_reported(decoder: Decoder, recipe: Recipe) -> None:
    """An insert in them would go unseen and count as moderated."""
    _, _, second, first_number = halves(recipe)
    segment = decoder.sample(second, profile=BALANCED, seed=b"leading")
    (stretch,) = segment.unmoderated

    assert (stretch.start_seconds, stretch.reason) == (0, "leading")
    assert number_in(segment.frames[0].picture.luma()) == first_number + round(stretch.end_seconds * RATE)
    assert segment.leading_seconds == pytest.approx(stretch.seconds)
    assert_right(segment, first_number)


@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "in a second pass"])
@pytest.mark.parametrize("recipe", OPEN.values(), ids=OPEN.keys())
def test_with_the_segment_before_leading_pictures_are_sampled(decoder: Decoder, recipe: Recipe, at_once: bool) -> None:
    """x265 opens its GOPs by default: each of its segments would have a stretch that nobody sees."""
    _, first, second, first_number = halves(recipe)
    segment = decoder.sample(second, profile=BALANCED, seed=b"leading", before=first if at_once else None)
    if not at_once:
        leading = decoder.sample(second, profile=BALANCED, seed=b"leading", before=first, leading_only=True)
        assert all(frame.pts_seconds < segment.frames[0].pts_seconds for frame in leading.frames)
        segment = segment.with_leading(leading)

    assert segment.unmoderated == ()
    assert segment.leading_seconds == 0
    assert GOP <= segment.frames_total <= GOP + 16
    assert segment.frames[0].pts_seconds == 0
    assert_right(segment, first_number)
