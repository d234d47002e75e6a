"""Time stamps of real and hostile broadcasters: every picture keeps its own time, and none is lost for its stamp."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from kinds import AV1, CLOSED, GOP, H264, HEVC_OPEN_GOP, OPEN_GOP, PICTURES, clip, x265
from media import (
    CLOCK,
    FRAME_SECONDS,
    FRAME_TICKS,
    Recipe,
    encode,
    in_mp4,
    level_error,
    number_in,
    remux,
    starting_at,
    steady,
    without_stamps,
    x264,
)

from config.profiles import BALANCED, PROFILES, SamplingProfile
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

TICK_SECONDS = 1 / CLOCK
MP4_TICK_SECONDS = 0.001
"""More than a tick of any time base that FFmpeg's MP4 muxer chooses here."""
STEADY_SECONDS = [number * FRAME_SECONDS for number in range(PICTURES)]
LONG_GOP = x264(bframes=2, keyint=2000, scenecut=0)
UNEVEN = {
    "h264": LONG_GOP,
    "h264 in mp4": in_mp4(LONG_GOP),
    "hevc": HEVC_OPEN_GOP,
    "av1": AV1,
}


def look(decoder: Decoder, data: bytes, profile: SamplingProfile = BALANCED) -> SampledSegment:
    return decoder.sample(data, profile=profile, seed=b"times")


def assert_pictures_of_their_time(
    segment: SampledSegment, times: Sequence[float], *, first_number: int = 0, tolerance_seconds: float = TICK_SECONDS
) -> None:
    """Each sample shows the picture painted for its time; times[i] is that of picture first_number + i."""
    for frame in segment.frames:
        luma = frame.picture.luma()
        number = number_in(luma) - first_number
        assert 0 <= number < len(times)
        assert frame.pts_seconds == pytest.approx(times[number], abs=tolerance_seconds)
        assert level_error(luma) < 4
        assert not frame.concealed


def assert_bounded(
    segment: SampledSegment, *, profile: SamplingProfile = BALANCED, frame_seconds: float = FRAME_SECONDS
) -> None:
    """The first picture is sampled, the bound holds from end to end, and the segment reports the same."""
    times = [frame.pts_seconds for frame in segment.frames]
    longest = max(after - before for before, after in pairwise([*times, segment.duration_seconds]))
    assert times[0] == 0
    assert longest <= profile.max_gap_seconds + frame_seconds + MP4_TICK_SECONDS
    assert segment.max_gap_seconds == pytest.approx(longest)
    assert segment.unmoderated == ()


@pytest.mark.parametrize("recipe", UNEVEN.values(), ids=UNEVEN.keys())
def test_variable_frame_rate_keeps_its_times(decoder: Decoder, recipe: Recipe) -> None:
    """A phone's uneven frame rate would shift the moderator's clip, or hide a slow passage."""
    steps = [FRAME_TICKS, 3 * FRAME_TICKS, FRAME_TICKS // 2, 20_000]
    ticks = [0]
    while ticks[-1] < 6 * CLOCK:
        ticks.append(ticks[-1] + steps[len(ticks) // 7 % len(steps)])
    segment = look(decoder, encode(recipe, ticks))

    assert segment.frames_total == len(ticks)
    assert_pictures_of_their_time(segment, [tick / CLOCK for tick in ticks], tolerance_seconds=MP4_TICK_SECONDS)
    assert_bounded(segment, frame_seconds=20_000 / CLOCK)
    assert 0 < segment.duration_seconds - ticks[-1] / CLOCK <= 20_000 / CLOCK


@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES.keys())
@pytest.mark.parametrize("recipe", [LONG_GOP, in_mp4(LONG_GOP)], ids=["mpeg-ts", "mp4"])
def test_a_screen_share_of_one_picture_a_second_is_sampled(
    decoder: Decoder, recipe: Recipe, profile: SamplingProfile
) -> None:
    """A shared screen sends pictures as it changes, then a burst: both would be counted as 25 a second."""
    slow = [second * CLOCK for second in range(12)]
    ticks = [*slow, *(slow[-1] + (place + 1) * FRAME_TICKS for place in range(50))]
    segment = look(decoder, encode(recipe, ticks), profile)

    assert segment.frames_total == len(ticks)
    assert segment.duration_seconds == pytest.approx(13 + FRAME_SECONDS, abs=MP4_TICK_SECONDS)
    assert_pictures_of_their_time(segment, [tick / CLOCK for tick in ticks], tolerance_seconds=MP4_TICK_SECONDS)
    assert_bounded(segment, profile=profile, frame_seconds=1)


@pytest.mark.parametrize("recipe", [LONG_GOP, x265(keyint=750, min_keyint=750)], ids=["h264", "hevc"])
def test_a_gop_of_thirty_seconds_is_sampled_from_end_to_end(decoder: Decoder, recipe: Recipe) -> None:
    """An encoder with default settings writes a keyframe every half minute; everything between would go unseen."""
    segment = look(decoder, encode(recipe, steady(750)))

    assert segment.frames_total == 750
    assert_pictures_of_their_time(segment, [number * FRAME_SECONDS for number in range(750)])
    assert_bounded(segment)


def test_a_jump_of_the_clock_inside_a_segment_is_bridged(decoder: Decoder) -> None:
    """An encoder's restart within a segment would count as minutes unseen, or end the sampling."""
    data = encode(OPEN_GOP, steady(PICTURES))
    segment = look(decoder, remux(data, lambda index, pts: pts + (100 * CLOCK if index >= GOP else 0)))

    assert "pts_jump" in segment.notes
    assert segment.frames_total == PICTURES
    # Leading pictures of the open GOP come after the jump and are shown before its keyframe: up to 3 make room.
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=4 * FRAME_SECONDS)
    assert_bounded(segment)
    assert {0, GOP} <= {number_in(frame.picture.luma()) for frame in segment.frames}


def test_a_clock_set_back_inside_a_segment_is_bridged(decoder: Decoder) -> None:
    """Pictures after the step would be mapped onto earlier ones, and be lost."""
    data = clip("b-frames")
    before = remux(data, lambda index, pts: pts + 100 * CLOCK if index < GOP else None)
    after = remux(data, lambda index, pts: pts if index >= GOP else None)
    segment = look(decoder, before + after)

    assert "pts_jump" in segment.notes
    assert segment.frames_total == PICTURES
    assert_pictures_of_their_time(segment, STEADY_SECONDS, tolerance_seconds=3 * FRAME_SECONDS)
    assert_bounded(segment)


@pytest.mark.parametrize("kind", ["b-frames", "hevc, open gop", "mpeg-2"])
@pytest.mark.parametrize("first_tick", [2**33 - 3 * CLOCK, 2**33 - CLOCK // 2, 2**33 - 10 * FRAME_TICKS])
def test_the_wrap_of_the_33_bit_clock_is_bridged(decoder: Decoder, kind: str, first_tick: int) -> None:
    """Every 26.5 hours a segment of every stream would be lost."""
    segment = look(decoder, remux(clip(kind), lambda index, pts: pts + first_tick))

    assert segment.notes == ()
    assert segment.frames_total == PICTURES
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=TICK_SECONDS)
    assert_pictures_of_their_time(segment, STEADY_SECONDS)
    assert_bounded(segment)


@pytest.mark.parametrize("every", [1, 3])
def test_pictures_without_time_stamps_are_sampled_too(decoder: Decoder, every: int) -> None:
    """A sloppy muxer would leave most of a stream unseen."""
    data = encode(x264(tune="zerolatency", **CLOSED), steady(PICTURES))
    segment = look(decoder, without_stamps(data, lambda place: place % every == every - 1))

    assert "pts_missing" in segment.notes
    assert segment.frames_total == PICTURES
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=TICK_SECONDS)
    assert_pictures_of_their_time(segment, STEADY_SECONDS)
    assert_bounded(segment)


@pytest.mark.parametrize("recipe", [H264, HEVC_OPEN_GOP], ids=["h264", "hevc"])
def test_the_edit_list_for_b_frames_moves_no_picture(decoder: Decoder, recipe: Recipe) -> None:
    """An uploaded MP4 begins with an edit that compensates its B-frames' delay; every time would be off by it."""
    segment = look(decoder, encode(in_mp4(recipe, whole=True), steady(PICTURES)))

    assert segment.frames_total == PICTURES
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=MP4_TICK_SECONDS)
    assert_pictures_of_their_time(segment, STEADY_SECONDS, tolerance_seconds=MP4_TICK_SECONDS)
    assert_bounded(segment)


def test_pictures_hidden_by_an_edit_list_are_not_sampled(decoder: Decoder) -> None:
    """A trimmed clip would be judged by what was cut away, or none of its pictures would be."""
    data = starting_at(encode(in_mp4(H264, whole=True), steady(PICTURES)), seconds=1)
    segment = look(decoder, data)

    assert_pictures_of_their_time(segment, STEADY_SECONDS, first_number=25, tolerance_seconds=MP4_TICK_SECONDS)
    assert number_in(segment.frames[0].picture.luma()) == 25
    assert_bounded(segment)


@pytest.mark.parametrize("container", ["mpegts", "mp4"])
@pytest.mark.parametrize("profile", PROFILES.values(), ids=PROFILES)
def test_one_picture_a_second_is_shown_for_a_second(decoder: Decoder, profile: SamplingProfile, container: str) -> None:
    """The last second of each segment of a slow camera would be missing from the ledger."""
    clip = encode(x264() if container == "mpegts" else in_mp4(x264()), [index * CLOCK for index in range(4)])
    segment = look(decoder, clip, profile)
    assert segment.duration_seconds == pytest.approx(4.0, abs=0.01)
    assert segment.unmoderated == ()


def test_no_picture_is_shown_for_longer_than_a_second(decoder: Decoder) -> None:
    """A segment cut off in the middle would count to where its broadcaster says that its last picture ends."""
    lasting = look(decoder, encode(x264(), [index * 3 * CLOCK for index in range(3)]))
    assert lasting.duration_seconds == pytest.approx(7.0, abs=0.01)
