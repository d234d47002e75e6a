"""Pictures whose colours make them as bright as another picture than their luma: hashes are of what viewers see."""

import io
from dataclasses import replace
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest
from hostile_media import of_colours
from kinds import H264, VP9
from media import RATE, Recipe, photograph
from numpy.typing import NDArray

from config.profiles import BALANCED, VIGILANT
from models.pdq.pdq import hash_luma
from sampler.child.decoder import Decoder
from sampler.frames import SampledSegment

WIDTH, HEIGHT, PICTURES = 640, 360, 50
BLACK, WHITE, NO_COLOUR = 16.0, 235.0, 128.0
MATCH = 31
"""Bits, of 256, up to which a hash is a listed one's."""
Samples = NDArray[np.float64] | float


def of_planes(recipe: Recipe, *planes: Samples, start: int = 0, stop: int = PICTURES) -> bytes:
    """A clip whose pictures [start, stop) have these planes, as stored; the others are black."""
    file = io.BytesIO()
    with av.open(file, "w", format=recipe.container, options=recipe.muxer_options) as output:
        stream = output.add_stream(recipe.codec, rate=RATE, options=recipe.encoder_options)
        stream.width, stream.height, stream.pix_fmt = recipe.width, recipe.height, recipe.pixel_format
        for index in range(PICTURES):
            shown = planes if start <= index < stop else (BLACK, NO_COLOUR, NO_COLOUR)
            frame = av.VideoFrame(recipe.width, recipe.height, recipe.pixel_format)
            for plane, samples in zip(frame.planes, shown, strict=True):
                rows = np.zeros((plane.height, plane.line_size), np.uint8)
                size = plane.width, plane.height
                rows[:, : plane.width] = np.rint(cv2.resize(np.ones((1, 1)) * samples, size, cv2.INTER_AREA))
                plane.update(rows.tobytes())
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    return file.getvalue()


def listed(name: str) -> NDArray[np.float64]:
    return photograph(name, WIDTH, HEIGHT)


def is_matched(segment: SampledSegment, name: str) -> bool:
    """True if the hash of a sample is within a match of that photograph's."""
    of = hash_luma(np.rint(listed(name)).astype(np.uint8))
    hashes = [hash_luma(frame.picture.luma()) for frame in segment.frames]
    return any(one.hashable and one.distance(of) <= MATCH for one in hashes)


def in_red(name: str) -> NDArray[np.float64]:
    """Chroma by which a photograph is shown in red, or in blue, over black luma."""
    return NO_COLOUR + listed(name) * 112 / 255


CHECKER = np.indices((HEIGHT, WIDTH)).sum(axis=0) % 2


@pytest.mark.parametrize("full_range", [False, True], ids=["limited range", "full range"])
@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv422p", "yuv444p"])
def test_a_photograph_in_red_over_black_luma_is_matched(decoder: Decoder, pixel_format: str, full_range: bool) -> None:
    """Viewers would see all of it, and the hash be that of a black picture."""
    coded = pixel_format.replace("yuv", "yuvj") if full_range else pixel_format
    recipe = replace(H264, width=WIDTH, height=HEIGHT, pixel_format=coded)
    data = of_planes(recipe, BLACK * (not full_range), NO_COLOUR, in_red("astronaut"))

    assert is_matched(decoder.sample(data, profile=BALANCED, seed=b"colours"), "astronaut")


def test_a_photograph_in_red_over_another_in_faint_luma_is_matched(decoder: Decoder) -> None:
    """The hash would be that of the other, which no viewer can make out."""
    recipe = replace(H264, width=WIDTH, height=HEIGHT)
    data = of_planes(recipe, BLACK + listed("coffee") * 8 / 255, NO_COLOUR, in_red("astronaut"))

    assert is_matched(decoder.sample(data, profile=BALANCED, seed=b"colours"), "astronaut")


def test_a_photograph_in_red_over_itself_in_faint_luma_is_matched(decoder: Decoder) -> None:
    """Of so faint a picture there is no hash."""
    recipe = replace(H264, width=WIDTH, height=HEIGHT)
    data = of_planes(recipe, BLACK + listed("astronaut") * 4 / 255, NO_COLOUR, in_red("astronaut"))

    assert is_matched(decoder.sample(data, profile=BALANCED, seed=b"colours"), "astronaut")


def test_a_photograph_in_colours_between_which_pixels_alternate_is_matched(decoder: Decoder) -> None:
    """The mean of neighbours is black, and what each of them shows is not."""
    recipe = replace(VP9, width=WIDTH, height=HEIGHT, options=VP9.options | {"crf": "4", "b": "0"})
    luma = BLACK + CHECKER * 40
    data = of_planes(recipe, luma, NO_COLOUR, NO_COLOUR - listed("astronaut") * 60 / 255)
    segment = decoder.sample(data, profile=BALANCED, seed=b"colours")
    shown = np.clip((luma - 16) * 255 / 219, 0, 255)

    assert np.ptp(cv2.blur(shown, (16, 16))[20:-20, 20:-20]) < 1
    for frame in segment.frames:
        of = hash_luma(cv2.cvtColor(frame.picture.rgb(), cv2.COLOR_RGB2GRAY))
        assert hash_luma(frame.picture.luma()).distance(of) <= MATCH


def test_an_insert_in_red_is_sampled(decoder: Decoder) -> None:
    """Half a second of it between keyframes would be within no sample's reach."""
    recipe = replace(H264, width=WIDTH, height=HEIGHT)
    data = of_planes(recipe, BLACK, NO_COLOUR, in_red("astronaut"), start=20, stop=33)

    assert is_matched(decoder.sample(data, profile=BALANCED, seed=b"colours"), "astronaut")


def test_ordinary_colours_leave_brightness_as_it_is_stored(decoder: Decoder) -> None:
    """Each sample would be hashed otherwise than its decoder gives it."""
    recipe = replace(H264, width=WIDTH, height=HEIGHT)
    grey = listed("astronaut")
    data = of_planes(recipe, BLACK + grey * 219 / 255, NO_COLOUR + 20, NO_COLOUR - 12)
    segment = decoder.sample(data, profile=VIGILANT, seed=b"colours")

    assert segment.notes == ()
    for frame in segment.frames:
        stored = (frame.picture.planes[0].astype(np.float64) - 16) * 255 / 219
        assert np.abs(frame.picture.luma() - np.clip(stored, 0, 255)).max() <= 1


@pytest.mark.parametrize("number", [0, 8], ids=["green, blue and red", "ycgco"])
def test_colours_on_which_players_differ_are_matched_in_each_way(decoder: Decoder, number: int) -> None:
    """Chromium shows VP9 as its MP4 says, FFmpeg as the stream does."""
    recipe = replace(VP9, width=WIDTH, height=HEIGHT, pixel_format="yuv444p")
    photo = listed("astronaut")
    # By the stream's matrix it is grey and red, and dark blue, of which no hash can be taken.
    planes = (NO_COLOUR, NO_COLOUR, 16 + photo * 219 / 255) if number == 0 else (BLACK, in_red("astronaut"), NO_COLOUR)
    data = of_colours(of_planes(recipe, *planes), number)
    segment = decoder.sample(data, profile=BALANCED, seed=b"colours")

    assert "odd_colours" in segment.notes
    assert is_matched(segment, "astronaut")
