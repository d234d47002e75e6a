"""Leading pictures of open GOPs: decoded with the GOP before, or reported; never passed over in silence."""

import io
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise

import av
import numpy as np
import pytest
from kinds import CLOSED, GOP, HEVC_OPEN_GOP, MPEG2, OPEN_GOP, x265
from media import (
    CLOCK,
    RATE,
    Recipe,
    cut,
    encode,
    encode_pictures,
    fragments,
    in_mp4,
    keyframes,
    level_error,
    number_in,
    photograph,
    remux,
    steady,
    x264,
)
from numpy.typing import NDArray

from config.profiles import BALANCED, VIGILANT
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment, Stretch
from sampler.limits import Limits
from sampler.plan.budget import HANDED_OVER

DENSE = VIGILANT.model_copy(update={"audits_per_minute": 60.0})
PICTURE_MACROBLOCKS = 192 * 108 / 256
H264_16 = x264(open_gop=1, bframes=16, b_adapt=0, **CLOSED)
HEVC_16 = x265(open_gop=1, bframes=16, b_adapt=0, rc_lookahead=20)
OPEN = {
    "h264": OPEN_GOP,
    "h264, 16 b-frames": H264_16,
    "hevc": HEVC_OPEN_GOP,
    "hevc, 16 b-frames": HEVC_16,
    "mpeg-2": MPEG2,
}


def halves(recipe: Recipe) -> tuple[bytes, bytes, bytes, int]:
    """Init section, two segments that meet at a keyframe, and the number of the second one's first picture."""
    data = encode(recipe, steady(2 * GOP))
    if recipe.container == "mpegts":
        edge = keyframes(data)[1]
        first, second = cut(data, [0, edge, 2 * GOP])
        return b"", first.data, second.data, second.numbers[0]
    init, parts = fragments(data)
    return init, parts[-2], parts[-1], 0


def unseen(segment: SampledSegment) -> list[Stretch]:
    """Unmoderated stretches, but for those that a budget refuses."""
    return [stretch for stretch in segment.unmoderated if stretch.reason != "budget"]


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
    (stretch,) = unseen(segment)

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
        leading = decoder.sample(second, profile=BALANCED, seed=b"leading", before=first, first=segment)
        assert all(frame.pts_seconds < segment.frames[0].pts_seconds for frame in leading.frames)
        segment = segment.with_leading(leading)

    assert unseen(segment) == []
    assert segment.leading_seconds == 0
    assert GOP <= segment.frames_total <= GOP + 16
    assert segment.frames[0].pts_seconds == 0
    assert_right(segment, first_number)


def photographed(recipe: Recipe, photographs: Callable[[int], str]) -> tuple[bytes, bytes]:
    """Two segments, of two GOPs and of one, that meet at a keyframe, of photographs that do not move."""

    def luma(index: int) -> NDArray[np.float64]:
        return photograph(photographs(index), recipe.width, recipe.height)

    data = encode_pictures(recipe, steady(3 * GOP), luma)
    first, second = cut(data, [0, keyframes(data)[2], 3 * GOP])
    return first.data, second.data


@pytest.mark.parametrize(("insert", "gap_seconds"), [(False, 2.0), (True, 2.0), (False, 0.2)])
@pytest.mark.parametrize("name", ["h264, 16 b-frames", "hevc, 16 b-frames"])
def test_leading_pictures_are_sampled_where_the_keyframe_s_sample_says_nothing_of_them(
    decoder: Decoder, name: str, *, insert: bool, gap_seconds: float
) -> None:
    """Each segment of x265 would have one more picture classified, which shows what its keyframe shows."""
    shown = range(2 * GOP - 12, 2 * GOP) if insert else range(0)
    first, second = photographed(OPEN[name], lambda index: "coffee" if index in shown else "astronaut")
    profile = BALANCED.model_copy(update={"max_gap_seconds": gap_seconds})
    alone = decoder.sample(second, profile=profile, seed=b"leading")
    leading = decoder.sample(second, profile=profile, seed=b"leading", before=first, first=alone)
    segment = alone.with_leading(leading)

    assert alone.leading_seconds > gap_seconds or gap_seconds == BALANCED.max_gap_seconds
    assert segment.leading_seconds == 0
    assert unseen(segment) == []
    assert bool(leading.frames) is (insert or gap_seconds < BALANCED.max_gap_seconds)


@pytest.mark.parametrize("macroblocks", [500, 2_000, 4_000, 250_000])
@pytest.mark.parametrize("recipe", OPEN.values(), ids=OPEN.keys())
def test_both_passes_keep_to_one_bound(decoder: Decoder, recipe: Recipe, macroblocks: int) -> None:
    """A stream of open GOPs would cost twice what its profile allows, and pictures that there was no budget for look
    like pictures that cannot be decoded."""
    _, first, second, first_number = halves(recipe)
    profile = BALANCED.model_copy(update={"macroblocks_per_second": macroblocks})
    alone = decoder.sample(second, profile=profile, seed=b"leading")
    leading = decoder.sample(second, profile=profile, seed=b"leading", before=first, first=alone)
    pictures = alone.frames_decoded + leading.frames_decoded + HANDED_OVER * len(alone.frames + leading.frames)

    assert pictures * PICTURE_MACROBLOCKS <= macroblocks * alone.duration_seconds
    assert bool(leading.frames) or leading.unmoderated
    segment = alone.with_leading(leading)
    assert {stretch.reason for stretch in segment.unmoderated} <= {"budget"}
    assert segment.leading_seconds == 0
    assert all(before.end_seconds <= after.start_seconds for before, after in pairwise(segment.unmoderated))
    assert all(stretch.end_seconds <= alone.frames[0].pts_seconds for stretch in leading.unmoderated)
    assert_right(segment, first_number)
    if macroblocks == BALANCED.macroblocks_per_second:
        assert leading.frames
        assert segment.unmoderated == ()


def test_fragments_take_the_init_section_of_the_segment_before(decoder: Decoder) -> None:
    """Streams in fMP4 would have their leading pictures unmoderated for good."""
    data = encode(replace(in_mp4(HEVC_OPEN_GOP), fragment_seconds=None), steady(2 * GOP))
    init, parts = fragments(data)
    alone = decoder.sample(parts[1], init=init, profile=BALANCED, seed=b"leading")
    joined = decoder.sample(parts[1], init=init, profile=BALANCED, seed=b"leading", before=parts[0], before_init=init)
    without_init = decoder.sample(parts[1], init=init, profile=BALANCED, seed=b"leading", before=parts[0])

    assert alone.leading_seconds > 0
    assert joined.leading_seconds == 0
    assert unseen(joined) == []
    assert_right(joined, number_in(joined.frames[0].picture.luma()))
    assert unseen(without_init) == unseen(alone)


def test_pictures_that_need_only_their_keyframe_are_sampled_without_the_gop_before(decoder: Decoder) -> None:
    """RADL pictures would be reported as unseen, or be passed over, though all of them can be decoded."""
    data = encode(x265(open_gop=0, radl=3, bframes=4, b_adapt=0), steady(2 * GOP))
    edge = keyframes(data)[1]
    _, second = cut(data, [0, edge, 2 * GOP])
    segment = decoder.sample(second.data, profile=DENSE, seed=b"leading")
    keyframe = next(frame for frame in segment.frames if frame.keyframe)

    assert second.numbers[0] < number_in(keyframe.picture.luma())
    assert segment.frames[0].pts_seconds == 0
    assert unseen(segment) == []
    assert segment.leading_seconds == 0
    assert_right(segment, second.numbers[0])


UNRELATED = (
    "nothing",
    "garbage",
    "an error page",
    "another codec",
    "another size",
    "another clock",
    "not the last but one",
    "itself",
    "one that comes after it",
    "no keyframe",
    "cut off",
    "too large",
)


@cache
def unrelated() -> dict[str, bytes | None]:
    """Bytes in the place of the segment before that cannot lead up to the HEVC segment of `halves`."""
    _, first, second, _ = halves(HEVC_OPEN_GOP)
    later = remux(first, lambda _, pts: pts + 5 * CLOCK)
    return {
        "nothing": b"",
        "garbage": bytes(range(256)) * 100,
        "an error page": b"<html>404</html>",
        "another codec": halves(OPEN_GOP)[1],
        "another size": halves(replace(HEVC_OPEN_GOP, width=320, height=180))[1],
        "another clock": remux(first, lambda _, pts: pts + 3600 * CLOCK),
        "not the last but one": remux(first, lambda _, pts: pts - CLOCK),
        "itself": second,
        "one that comes after it": later,
        "no keyframe": cut(encode(HEVC_OPEN_GOP, steady(GOP + 30)), [5, 40])[0].data,
        "cut off": first[: len(first) // 2],
        "too large": first + bytes(Limits().input_bytes),
    }


@pytest.mark.parametrize("kind", UNRELATED)
def test_bytes_that_do_not_lead_up_to_the_segment_leave_it_as_it_is(decoder: Decoder, kind: str) -> None:
    """Another stream's pictures would be taken for this one's; or a broken segment would spoil the next one."""
    _, _, second, _ = halves(HEVC_OPEN_GOP)
    alone = decoder.sample(second, profile=BALANCED, seed=b"leading")
    joined = decoder.sample(second, profile=BALANCED, seed=b"leading", before=unrelated()[kind])
    only = decoder.sample(second, profile=BALANCED, seed=b"leading", before=unrelated()[kind], first=alone)

    assert joined.unmoderated == alone.unmoderated
    assert [frame.pts_seconds for frame in joined.frames] == [frame.pts_seconds for frame in alone.frames]
    assert only.frames == ()
    assert alone.with_leading(only).unmoderated == alone.unmoderated
    assert alone.with_leading(only).leading_seconds == alone.leading_seconds > 0


@pytest.mark.parametrize("kind", ["h264", "hevc"])
def test_damage_in_the_gop_before_leaves_leading_pictures_unmoderated(decoder: Decoder, kind: str) -> None:
    """What is made up from a broken segment would match nothing, and count as moderated."""
    _, first, second, _ = halves(OPEN[kind])
    damaged = bytearray(first)
    for start in range(len(first) * 3 // 4 // 188 * 188, len(first), 188):
        damaged[start + 20 : start + 188] = bytes(168)
    segment = decoder.sample(second, profile=BALANCED, seed=b"leading", before=bytes(damaged))

    assert segment.leading_seconds > 0
    assert segment.unmoderated[0].reason == "leading"


@pytest.mark.parametrize("kind", ["h264", "hevc", "mpeg-2"])
def test_leading_pictures_at_a_window_s_border_are_sampled(kind: str) -> None:
    """A film is read in windows: what is hidden at their borders would go unseen."""
    recipe = OPEN[kind]
    with Decoder(limits=Limits(window_seconds=1.0)) as decoder:
        segment = decoder.sample(encode(recipe, steady(2 * GOP)), profile=DENSE, seed=b"leading")

    assert [stretch for stretch in segment.unmoderated if stretch.reason == "leading"] == []
    assert segment.leading_seconds == 0
    assert_right(segment, 0)
    assert all(after.pts_seconds - before.pts_seconds <= 0.55 for before, after in pairwise(segment.frames))


def test_a_time_before_its_keyframe_hides_no_picture(decoder: Decoder) -> None:
    """A broadcaster who stamps pictures as shown before their keyframe would have them passed over in silence."""
    data = encode(x264(bframes=0, **CLOSED), steady(GOP))
    segment = decoder.sample(late_keyframe(data), profile=BALANCED, seed=b"leading")
    seen = [frame.pts_seconds for frame in segment.frames]
    hidden = [stretch for stretch in segment.unmoderated if stretch.reason == "leading"]

    assert segment.frames_total == GOP
    assert sum(stretch.seconds for stretch in hidden) == pytest.approx(1, abs=3 / RATE)
    assert not any(stretch.start_seconds <= time < stretch.end_seconds for stretch in hidden for time in seen)


def late_keyframe(data: bytes) -> bytes:
    """The MPEG-TS whose first keyframe is shown a second later, by its stamp, than it is decoded."""
    file = io.BytesIO()
    with av.open(io.BytesIO(data), format="mpegts") as source, av.open(file, "w", format="mpegts") as output:
        stream = output.add_stream_from_template(source.streams.video[0])
        for index, packet in enumerate(packet for packet in source.demux(video=0) if packet.size):
            packet.pts += 0 if index else CLOCK
            packet.stream = stream
            output.mux(packet)
    return file.getvalue()
