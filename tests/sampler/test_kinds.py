"""Every kind of encoded video: each sample is the picture of its time, and no stretch is without one."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hostile_media import of_colours
from kinds import H264, KINDS, PICTURES, SAME, VP9, clip, distance, reference
from media import (
    FRAME_SECONDS,
    RATE,
    encode,
    filtered,
    in_mp4,
    level_error,
    mapped,
    number_in,
    rotated,
    steady,
)

from config.profiles import BALANCED
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.picture import Picture

MP4_TICK_SECONDS = 0.001
"""More than a tick of any time base that FFmpeg's MP4 muxer chooses here."""
SAME_PDQ = 16
"""Bits, of 256: half of the distance of a match."""


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_sampled_as_a_player_shows_it(decoder: Decoder, kind: str) -> None:
    """Some encoder's streams would show moderators the wrong pictures, or have unsampled stretches."""
    recipe = KINDS[kind]
    segment = decoder.sample(clip(kind), profile=BALANCED, seed=b"kinds")

    assert segment.frames_total == PICTURES
    assert segment.duration_seconds == pytest.approx(PICTURES * FRAME_SECONDS, abs=MP4_TICK_SECONDS)
    assert segment.notes == ()
    assert segment.frames[0].keyframe
    for frame in segment.frames:
        picture = frame.picture
        luma = picture.luma()
        number = round(frame.pts_seconds * RATE)
        assert (picture.width, picture.height) == (recipe.width, recipe.height)
        assert picture.full_range is recipe.uses_full_range
        assert picture.pixel_aspect == float(recipe.aspect)
        assert frame.pts_seconds == pytest.approx(number * FRAME_SECONDS, abs=MP4_TICK_SECONDS)
        assert number_in(luma) == number
        assert distance(luma, reference(kind)[number]) < SAME
        shown = hash_luma(np.rint(reference(kind)[number]).astype(np.uint8))
        assert hash_luma(luma).distance(shown) <= SAME_PDQ
        assert not frame.concealed


@pytest.mark.parametrize("kind", KINDS)
def test_no_stretch_of_any_kind_goes_unsampled(decoder: Decoder, kind: str) -> None:
    """An encoder's time stamps, references and keyframes would open gaps to hide in."""
    segment = decoder.sample(clip(kind), profile=BALANCED, seed=b"kinds")
    times = [frame.pts_seconds for frame in segment.frames]
    longest = max(after - before for before, after in pairwise([*times, segment.duration_seconds]))

    assert times[0] == 0
    assert longest <= BALANCED.max_gap_seconds + FRAME_SECONDS + MP4_TICK_SECONDS
    assert segment.max_gap_seconds == pytest.approx(longest)
    assert segment.unmoderated == ()


@pytest.mark.parametrize("mirrored", [False, True], ids=["", "mirrored"])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_rotated_phone_is_shown_upright(decoder: Decoder, degrees: int, mirrored: bool) -> None:
    """A hash of the picture lying on its side would match no list, and moderators would see it rotated."""
    data = rotated(encode(in_mp4(H264), steady(20)), degrees, mirrored=mirrored)
    picture = decoder.sample(data, profile=BALANCED, seed=b"turned").frames[0].picture

    assert_upright(picture, clockwise_degrees=degrees, mirrored=mirrored)


@pytest.mark.parametrize("flip", ["", ":flip=horizontal"], ids=["", "mirrored"])
@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_the_orientation_in_the_bitstream_counts(decoder: Decoder, degrees: int, flip: str) -> None:
    """MPEG-TS has no matrix, so a phone signals its orientation in H.264; without it hashes would match no list."""
    orientation = f"h264_metadata=display_orientation=insert:rotate={degrees}{flip}"
    data = filtered(clip("zerolatency"), orientation)
    picture = decoder.sample(data, profile=BALANCED, seed=b"turned").frames[0].picture

    assert_upright(picture, clockwise_degrees=-degrees, mirrored=flip != "")


@pytest.mark.parametrize(
    "matrix",
    [
        (0.7071, 0.7071, -0.7071, 0.7071),
        (-0.9986, -0.0523, -0.0523, 0.9986),
        (1, 0, 0.5, 1),
        (0.5, 0.0087, -0.0087, 0.5),
    ],
    ids=["45 degrees", "mirrored, 3 degrees", "a slant", "shrunk, 1 degree"],
)
def test_pictures_that_are_shown_at_an_angle_are_unmoderated(
    decoder: Decoder, matrix: tuple[float, float, float, float]
) -> None:
    """Viewers whose players obey would see a listed picture whose hash, as it is stored, matches no list."""
    seen = decoder.sample(mapped(encode(in_mp4(H264), steady(20)), matrix), profile=BALANCED, seed=b"turned")

    assert seen.notes == ("turned",)
    assert [stretch.reason for stretch in seen.unmoderated] == ["turned"]


def test_an_angle_in_the_bitstream_leaves_pictures_unmoderated(decoder: Decoder) -> None:
    """MPEG-TS has no matrix, so the angle would be in the pictures' own data."""
    orientation = "h264_metadata=display_orientation=insert:rotate=30"
    seen = decoder.sample(filtered(clip("zerolatency"), orientation), profile=BALANCED, seed=b"turned")

    assert "turned" in seen.notes
    assert {stretch.reason for stretch in seen.unmoderated} == {"turned"}


@pytest.mark.parametrize("matrix", [(2, 0, 0, 1), (0, 0, 0, 0), (0.00002, 1, -1, 0.00002), (1, 0.002, -0.002, 1)])
def test_a_matrix_that_turns_nothing_is_no_angle(decoder: Decoder, matrix: tuple[float, float, float, float]) -> None:
    """What rounds, or stretches only, would leave a phone's stream unmoderated."""
    seen = decoder.sample(mapped(encode(in_mp4(H264), steady(20)), matrix), profile=BALANCED, seed=b"turned")

    assert seen.notes == ()
    assert seen.unmoderated == ()


@pytest.mark.parametrize(("number", "matrix"), [(8, "ycgco"), (14, "bt601"), (12, "bt601")])
def test_colours_that_few_players_know_are_noted(decoder: Decoder, number: int, matrix: str) -> None:
    """Skin would be green to the classifier, on a stream that looks like any other."""
    data = filtered(clip("zerolatency"), f"h264_metadata=matrix_coefficients={number}")
    seen = decoder.sample(data, profile=BALANCED, seed=b"colours")

    assert {frame.picture.matrix for frame in seen.frames} == {matrix}
    assert seen.notes == ("odd_colours",)
    assert seen.unmoderated == ()


@pytest.mark.parametrize("number", [1, 2, 5, 6, 9])
def test_colours_that_all_players_know_are_not(decoder: Decoder, number: int) -> None:
    """Each stream in high definition would have a note."""
    data = filtered(clip("zerolatency"), f"h264_metadata=matrix_coefficients={number}")

    assert decoder.sample(data, profile=BALANCED, seed=b"colours").notes == ()


@pytest.mark.parametrize(
    ("number", "pixel_format", "odd"),
    [(8, "yuv420p", True), (14, "yuv420p", True), (0, "yuv444p", True), (0, "yuv420p", False), (1, "yuv444p", False)],
)
def test_colours_of_a_container_that_few_players_know_are_noted(
    decoder: Decoder, number: int, pixel_format: str, odd: bool
) -> None:
    """Chromium shows VP9 by the container's word, and samples were by the stream's."""
    data = encode(replace(VP9, pixel_format=pixel_format), steady(20))
    seen = decoder.sample(of_colours(data, number), profile=BALANCED, seed=b"colours")

    assert seen.notes == ("odd_colours",) * odd
    assert seen.unmoderated == ()


@pytest.mark.parametrize(
    ("aspect", "odd"), [("5/1", True), ("1/50", True), ("32/11", False), ("1/2", False), ("0/1", False)]
)
def test_pixels_that_are_stretched_out_of_shape_are_noted(decoder: Decoder, aspect: str, odd: bool) -> None:
    """Faces would be squeezed to stripes for the models, and right on the screen."""
    data = filtered(clip("zerolatency"), f"h264_metadata=sample_aspect_ratio={aspect}")

    assert decoder.sample(data, profile=BALANCED, seed=b"aspect").notes == ("odd_aspect",) * odd


def test_a_container_that_stretches_pictures_is_noted(decoder: Decoder) -> None:
    """An MP4 would do by its track's header what the video does not say."""
    data = mapped(encode(in_mp4(H264), steady(20)).replace(b"pasp", b"free"), (9, 0, 0, 1))

    assert decoder.sample(data, profile=BALANCED, seed=b"aspect").notes == ("odd_aspect",)


def assert_upright(picture: Picture, *, clockwise_degrees: int, mirrored: bool) -> None:
    """Asserts that it is the stored picture, mirrored, and then rotated."""
    upright = picture.luma()
    stored = np.rot90(upright, clockwise_degrees // 90)
    stored = stored[:, ::-1] if mirrored else stored

    assert (picture.width, picture.height) == (upright.shape[1], upright.shape[0])
    assert picture.rgb().shape == (*upright.shape, 3)
    assert stored.shape == (H264.height, H264.width)
    assert number_in(stored) == 0
    assert level_error(stored) < 4
