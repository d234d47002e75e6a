"""Every kind of encoded video: the picture is the one of its time, and no stretch goes without one."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from media import (
    CLOCK,
    FRAME_SECONDS,
    FRAME_TICKS,
    Recipe,
    cut,
    encode,
    fragments,
    in_mp4,
    keyframes,
    level_error,
    number_in,
    remux,
    steady,
    turned_clockwise,
    without_stamps,
    x264,
)

from config.profiles import BALANCED
from sampler.decoder import Decoder
from sampler.frames import SampledSegment

PICTURES = 125
TICK_SECONDS = 1 / CLOCK
MP4_TICK_SECONDS = 0.001
"""More than a tick of any time base that FFmpeg's MP4 muxer chooses here."""

LONG_GOP = x264(keyint=250, scenecut=0)
OPEN_GOP = x264(open_gop=1, bframes=3, keyint=50, min_keyint=50, scenecut=0)
REFRESH = x264(intra_refresh=1, keyint=50, bframes=0, scenecut=0)
X265 = Recipe(
    codec="libx265",
    options={"preset": "ultrafast", "x265-params": "keyint=50:min-keyint=50:bframes=3:scenecut=0:log-level=none"},
)
AV1 = Recipe(codec="libsvtav1", container="mp4", options={"preset": "12", "g": "50", "svtav1-params": "lp=1"})
VP9 = Recipe(codec="libvpx-vp9", container="mp4", options={"deadline": "realtime", "cpu-used": "8", "g": "50"})

KINDS = {
    "b-frames": x264(bframes=3, b_pyramid="strict", keyint=250, scenecut=0),
    "zerolatency": x264(tune="zerolatency", preset="ultrafast", keyint=250, scenecut=0),
    "b-frames in mp4": in_mp4(x264(bframes=3, keyint=50, scenecut=0)),
    "open gop": OPEN_GOP,
    "intra refresh": REFRESH,
    "interlaced": x264(tff=1, keyint=250, scenecut=0),
    "odd size": replace(LONG_GOP, pixel_format="yuv444p", width=161, height=91),
    "cropped": replace(LONG_GOP, width=178, height=98),
    "wide pixels": replace(LONG_GOP, aspect=Fraction(4, 3)),
    "full range": replace(LONG_GOP, pixel_format="yuvj420p"),
    "hevc": X265,
    "hevc in mp4": in_mp4(X265),
    "av1": AV1,
    "av1, cropped": replace(AV1, width=170, height=94),
    "vp9": VP9,
    "vp9 with hidden pictures": Recipe(
        codec="libvpx-vp9",
        container="mp4",
        options={"deadline": "good", "cpu-used": "5", "g": "50", "auto-alt-ref": "1", "lag-in-frames": "16"},
    ),
    "mpeg-2": Recipe(codec="mpeg2video", options={"g": "250", "bf": "2", "b": "1000000"}),
}


@pytest.fixture(scope="module")
def decoder() -> Iterator[Decoder]:
    with Decoder() as shared:
        yield shared


def look(decoder: Decoder, data: bytes, *, init: bytes = b"") -> SampledSegment:
    return decoder.sample(data, init=init, profile=BALANCED, seed=b"kinds")


def assert_pictures_of_their_time(
    segment: SampledSegment, times: list[float], *, first_number: int = 0, tolerance_seconds: float = TICK_SECONDS
) -> None:
    """Each sample shows what was painted for its time; times[i] is that of picture first_number + i."""
    for frame in segment.frames:
        luma = frame.picture.luma()
        number = number_in(luma) - first_number
        assert 0 <= number < len(times)
        assert frame.pts_seconds == pytest.approx(times[number], abs=tolerance_seconds)
        assert level_error(luma) < 4


def assert_bounded(segment: SampledSegment, *, duration_seconds: float, frame_seconds: float = FRAME_SECONDS) -> None:
    """The first picture is taken, the bound holds from end to end, and the segment says the same of itself."""
    times = [frame.pts_seconds for frame in segment.frames]
    assert times[0] == 0
    longest = max(after - before for before, after in pairwise([*times, duration_seconds]))
    assert longest <= BALANCED.max_gap_seconds + frame_seconds + MP4_TICK_SECONDS
    assert segment.max_gap_seconds == pytest.approx(longest, abs=2 * MP4_TICK_SECONDS)
    assert segment.unmoderated == ()


@pytest.mark.parametrize("recipe", KINDS.values(), ids=KINDS.keys())
def test_each_kind_is_seen_whole(decoder: Decoder, recipe: Recipe) -> None:
    """A broadcaster's choice of encoder would show moderators the wrong pictures, or leave a stretch unseen."""
    segment = look(decoder, encode(recipe, steady(PICTURES)))

    assert segment.frames_total == PICTURES
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=MP4_TICK_SECONDS)
    assert {(frame.picture.width, frame.picture.height) for frame in segment.frames} == {(recipe.width, recipe.height)}
    assert {frame.picture.full_range for frame in segment.frames} == {recipe.full_range}
    assert {frame.picture.pixel_aspect for frame in segment.frames} == {float(recipe.aspect)}
    assert segment.frames[0].keyframe
    assert not any(frame.concealed for frame in segment.frames)
    assert_pictures_of_their_time(
        segment, [i * FRAME_SECONDS for i in range(PICTURES)], tolerance_seconds=MP4_TICK_SECONDS
    )
    assert_bounded(segment, duration_seconds=PICTURES * FRAME_SECONDS)


@pytest.mark.parametrize(
    "recipe",
    [x264(bframes=2, keyint=500, scenecut=0), in_mp4(x264(bframes=2, keyint=500, scenecut=0)), X265],
    ids=["h264", "h264 in mp4", "hevc"],
)
def test_variable_frame_rate_keeps_its_times(decoder: Decoder, recipe: Recipe) -> None:
    """A phone's uneven frame rate would put the moderator's clip at the wrong instant, or hide a slow passage."""
    steps = [FRAME_TICKS, 3 * FRAME_TICKS, FRAME_TICKS // 2, 20_000]
    ticks = [0]
    while ticks[-1] < 6 * CLOCK:
        ticks.append(ticks[-1] + steps[len(ticks) // 7 % len(steps)])
    segment = look(decoder, encode(recipe, ticks))

    assert segment.frames_total == len(ticks)
    assert_pictures_of_their_time(segment, [tick / CLOCK for tick in ticks], tolerance_seconds=MP4_TICK_SECONDS)
    assert_bounded(segment, duration_seconds=segment.duration_seconds, frame_seconds=20_000 / CLOCK)
    assert 0 < segment.duration_seconds - ticks[-1] / CLOCK <= 20_000 / CLOCK


def test_a_jump_of_the_clock_inside_a_segment_is_bridged(decoder: Decoder) -> None:
    """An encoder's restart within a segment would count as minutes unseen, or end the sampling there."""
    data = encode(OPEN_GOP, steady(PICTURES))
    segment = look(decoder, remux(data, lambda index, pts: pts + (100 * CLOCK if index >= 50 else 0)))

    assert "pts_jump" in segment.notes
    assert segment.frames_total == PICTURES
    # Leading pictures of the open GOP come after the jump and are shown before its keyframe: up to 3 make room.
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=4 * FRAME_SECONDS)
    assert_bounded(segment, duration_seconds=segment.duration_seconds)
    assert [number_in(frame.picture.luma()) for frame in segment.frames][:2] == [0, 50]


def test_a_clock_that_falls_back_inside_a_segment_is_bridged(decoder: Decoder) -> None:
    """What comes after an encoder's clock was set back would be laid over what came before, and be lost."""
    data = encode(x264(bframes=3, keyint=50, min_keyint=50, scenecut=0), steady(PICTURES))
    before = remux(data, lambda index, pts: pts + 100 * CLOCK if index < 50 else None)
    after = remux(data, lambda index, pts: pts if index >= 50 else None)
    segment = look(decoder, before + after)

    assert "pts_jump" in segment.notes
    assert segment.frames_total == PICTURES
    assert_pictures_of_their_time(
        segment, [index * FRAME_SECONDS for index in range(PICTURES)], tolerance_seconds=3 * FRAME_SECONDS
    )
    assert_bounded(segment, duration_seconds=segment.duration_seconds)


@pytest.mark.parametrize("first_tick", [2**33 - 3 * CLOCK, 2**33 - CLOCK // 2, 2**33 - 10 * FRAME_TICKS])
def test_the_wrap_of_the_33_bit_clock_is_not_seen(decoder: Decoder, first_tick: int) -> None:
    """Once in 26.5 hours of every stream a segment would be lost."""
    data = encode(x264(bframes=3, keyint=50, min_keyint=50, scenecut=0), steady(PICTURES))
    segment = look(decoder, remux(data, lambda index, pts: pts + first_tick))

    assert segment.notes == ()
    assert segment.frames_total == PICTURES
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=TICK_SECONDS)
    assert_pictures_of_their_time(segment, [index * FRAME_SECONDS for index in range(PICTURES)])
    assert_bounded(segment, duration_seconds=segment.duration_seconds)


@pytest.mark.parametrize("every", [1, 3])
def test_pictures_without_time_stamps_are_seen_too(decoder: Decoder, every: int) -> None:
    """A sloppy muxer would leave most of a stream unseen."""
    data = encode(x264(tune="zerolatency", keyint=250, scenecut=0), steady(PICTURES))
    segment = look(decoder, without_stamps(data, lambda place: place % every == every - 1))

    assert "pts_missing" in segment.notes
    assert segment.frames_total == PICTURES
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=TICK_SECONDS)
    assert_pictures_of_their_time(segment, [index * FRAME_SECONDS for index in range(PICTURES)])
    assert_bounded(segment, duration_seconds=segment.duration_seconds)


def test_a_turned_phone_is_shown_upright(decoder: Decoder) -> None:
    """A hash of the picture lying on its side would match no list, and moderators would tilt their heads."""
    data = turned_clockwise(encode(in_mp4(LONG_GOP), steady(50)))
    picture = look(decoder, data).frames[0].picture

    assert (picture.width, picture.height) == (LONG_GOP.height, LONG_GOP.width)
    assert picture.luma().shape == (LONG_GOP.width, LONG_GOP.height)
    assert picture.rgb().shape == (LONG_GOP.width, LONG_GOP.height, 3)
    # The strip of blocks is at the right edge now, read from top to bottom; turned back, it is right.
    assert level_error(np.rot90(picture.luma())) < 4
    assert number_in(np.rot90(picture.luma())) == 0


@pytest.mark.parametrize("recipe", [OPEN_GOP, X265], ids=["h264", "hevc"])
def test_a_segment_that_begins_with_an_open_gop_starts_at_its_keyframe(decoder: Decoder, recipe: Recipe) -> None:
    """Pictures broken for want of the segment before would be hashed, and match nothing."""
    data = encode(recipe, steady(PICTURES))
    for part in cut(data, [*keyframes(data)[1:], PICTURES]):
        segment = look(decoder, part.data)
        leading = segment.frames[0].pts_seconds / FRAME_SECONDS

        assert segment.frames_total == len(part.numbers)
        assert segment.frames[0].keyframe
        assert 0 < leading < 5
        for frame in segment.frames:
            number = part.numbers[0] + round(frame.pts_seconds / FRAME_SECONDS)
            assert number_in(frame.picture.luma()) == number
            assert level_error(frame.picture.luma()) < 4


def test_intra_refresh_is_joined_at_its_recovery_point(decoder: Decoder) -> None:
    """A stream without keyframes, cut anywhere, would be all undecodable, or be seen as nothing but grey smear."""
    data = encode(REFRESH, steady(260))
    recovered = 50 + -(-REFRESH.width // 16) + 1
    """Pictures after which a refresh has begun, and passed over every column of blocks, wherever the cut is."""
    for part in cut(data, [20, 140, 260]):
        segment = look(decoder, part.data)
        assert segment.frames_total == len(part.numbers)
        assert not any(frame.keyframe for frame in segment.frames)
        for frame in segment.frames:
            place = round(frame.pts_seconds / FRAME_SECONDS)
            if frame.concealed:
                assert place < recovered
            else:
                assert number_in(frame.picture.luma()) == part.numbers[place]
                assert level_error(frame.picture.luma()) < 4
        clean = [frame.pts_seconds for frame in segment.frames if not frame.concealed]
        assert clean[0] <= recovered * FRAME_SECONDS
        assert segment.max_gap_seconds <= BALANCED.max_gap_seconds + FRAME_SECONDS


@pytest.mark.parametrize("kind", ["h264", "hevc", "av1", "vp9"])
def test_each_fragment_of_an_mp4_stands_by_itself(decoder: Decoder, kind: str) -> None:
    """A worker that takes a stream's later segments, or takes them in any order, would see nothing of them."""
    recipes = {"h264": in_mp4(x264(bframes=3, keyint=50, min_keyint=50, scenecut=0)), "hevc": in_mp4(X265)}
    recipe = recipes.get(kind, AV1 if kind == "av1" else VP9)
    init, parts = fragments(encode(recipe, steady(PICTURES)))
    first_number = 0
    for part in reversed(parts):
        segment = look(decoder, part, init=init)
        first = segment.frames[0]
        first_number = number_in(first.picture.luma()) - round(first.pts_seconds / FRAME_SECONDS)
        times = [index * FRAME_SECONDS for index in range(segment.frames_total)]
        assert_pictures_of_their_time(segment, times, first_number=first_number, tolerance_seconds=MP4_TICK_SECONDS)
    assert len(parts) >= 3
    assert first_number == 0


def test_pictures_made_up_by_the_decoder_do_not_count_as_seen(decoder: Decoder) -> None:
    """Segments cut inside a GOP would be grey smear, match nothing, and be in the ledger as moderated."""
    recipe = in_mp4(x264(bframes=0, keyint=500, scenecut=0), fragment_seconds=6)
    init, parts = fragments(encode(recipe, steady(300)))
    segment = look(decoder, parts[1], init=init)
    (stretch,) = segment.unmoderated

    assert segment.frames
    assert all(frame.concealed for frame in segment.frames)
    assert (stretch.start_seconds, stretch.reason) == (0, "concealed")
    assert stretch.end_seconds == pytest.approx(segment.duration_seconds)
    assert segment.max_gap_seconds == pytest.approx(segment.duration_seconds)
