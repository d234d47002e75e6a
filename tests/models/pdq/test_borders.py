"""Borders: which are cut off, and which pictures are left alone."""

from collections.abc import Callable
from itertools import chain

import cv2
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pdq.borders import MAX_LEVELS, without_borders
from models.pdq.pdq import hash_luma

Array = npt.NDArray[np.uint8]


def scene(height: int, width: int) -> Array:
    """A picture without a plain border."""
    noise = np.random.default_rng(1).integers(0, 256, (9, 16), np.uint8)
    smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 70, 255).astype(np.uint8)


def boxed(picture: Array, top: int, bottom: int, left: int, right: int, level: int = 0) -> Array:
    return cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=level).astype(np.uint8)


def coded(picture: Array, quality: int) -> Array:
    jpeg = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return np.asarray(cv2.imdecode(jpeg, cv2.IMREAD_GRAYSCALE), np.uint8)


def insides(luma: Array | npt.NDArray[np.float32]) -> list[Array]:
    return [np.asarray(box.of(luma), np.uint8) for box in chain(*without_borders(luma))]


@pytest.mark.parametrize("level", [0, 16, 38, 255])
@pytest.mark.parametrize(
    "bars",
    [
        (44, 44, 0, 0),
        (0, 0, 150, 150),
        (60, 60, 100, 100),
        (90, 0, 0, 0),
        (0, 0, 0, 37),
        (10, 50, 0, 0),
        (14, 14, 32, 32),
    ],
    ids=["letterbox", "pillarbox", "all around", "above", "right", "uneven", "a frame"],
)
def test_bars_of_any_level_are_cut_off(bars: tuple[int, int, int, int], level: int) -> None:
    """A picture with bars would match no list."""
    picture = scene(272, 640)
    inner = insides(boxed(picture, *bars, level))
    assert inner
    np.testing.assert_array_equal(inner[0], picture)


def test_view_of_a_padded_plane() -> None:
    """Planes of decoded frames are padded: the padding would be taken for a bar."""
    plane = np.zeros((360, 704), np.uint8)
    plane[:, :640] = boxed(scene(272, 640), 44, 44, 0, 0)
    assert insides(plane[:, :640])[0].shape == (272, 640)
    assert insides(plane[::-1, 639::-1])[0].shape == (272, 640)


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize("scale", [0.4, 0.75, 1.3])
@pytest.mark.parametrize("level", [0, 255])
def test_bars_are_cut_off_after_scaling_and_coding(quality: int, scale: float, level: int) -> None:
    """Bars blurred by a broadcaster's scaler and codec would stay in the picture, and prevent a match."""
    picture = scene(272, 640)
    scaled = cv2.resize(boxed(picture, 44, 44, 0, 0, level), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    inner = insides(coded(np.asarray(scaled, np.uint8), quality))[0]
    assert abs(inner.shape[0] - round(272 * scale)) <= 4
    assert hash_luma(inner).distance(hash_luma(picture)) <= 31


def with_logo(picture: Array) -> Array:
    """Letterboxed, with white letters in the lower bar and a disc in the upper one."""
    luma = boxed(picture, 60, 60, 0, 0)
    cv2.putText(luma, "LIVE - a channel", (40, luma.shape[0] - 22), cv2.FONT_HERSHEY_SIMPLEX, 1, 255, 2)
    cv2.circle(luma, (luma.shape[1] - 60, 30), 16, 180, cv2.FILLED)
    return luma


def with_caption(picture: Array) -> Array:
    """A white bar of 12 % below, with two lines of bold letters."""
    height = round(0.12 * picture.shape[0])
    luma = boxed(picture, 0, height, 0, 0, 255)
    for line in (0, 1):
        at = (10, picture.shape[0] + round(height * (line + 0.75) / 2))
        cv2.putText(luma, "WHEN YOU SEE THE CAPTION OF IT", at, cv2.FONT_HERSHEY_SIMPLEX, height / 75, 0, 2)
    return luma


def beside_itself_blurred(picture: Array, sigma: float = 0.03) -> Array:
    """In the middle of a wide frame that is filled with an enlarged, blurred copy; `sigma`: in widths of the frame."""
    height, width = picture.shape
    wide = 2 * max(height, width)
    filled = cv2.resize(picture, (wide, height * wide // width), interpolation=cv2.INTER_LINEAR)
    above = (filled.shape[0] - height) // 2
    luma = cv2.GaussianBlur(filled[above : above + height], (0, 0), sigma * wide).astype(np.uint8)
    luma[:, (wide - width) // 2 : (wide - width) // 2 + width] = picture
    return luma


def over_itself_blurred(picture: Array, above: int) -> Array:
    """Between blurred copies of itself above and below it, of so many rows each."""
    height, width = picture.shape
    filled = np.asarray(cv2.GaussianBlur(picture, (0, 0), 0.03 * width), np.uint8)
    luma = np.asarray(cv2.resize(filled, (width, height + 2 * above)), np.uint8)
    luma[above : above + height] = picture
    return luma


@pytest.mark.parametrize("transform", [with_logo, with_caption, beside_itself_blurred])
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "camera.png", "coins.png"])
def test_borders_with_something_on_them(
    photograph: Callable[[str], Array], name: str, transform: Callable[[Array], Array]
) -> None:
    """A logo, a caption or the blurred sides of a telephone's video would hide known material."""
    picture = np.asarray(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
    for shown in (transform(picture), coded(transform(picture), 60)):
        distances = [hash_luma(inner).distance(hash_luma(picture)) for inner in insides(shown)]
        assert min(distances, default=256) <= 31


@pytest.mark.parametrize("noise", [0, 3])
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "camera.png", "coins.png"])
def test_a_copy_that_is_little_blurred_is_cut_off(photograph: Callable[[str], Array], name: str, noise: float) -> None:
    """Programs blur the copy by a hundredth of the frame, and do not dim it: it goes from white to black in few pixels.
    A camera's noise over all would be detail in it."""
    picture = np.asarray(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
    blurred = beside_itself_blurred(picture, 0.01)
    grain = np.random.default_rng(1).normal(0, noise, blurred.shape)
    shown = coded(np.clip(blurred + grain, 0, 255).astype(np.uint8), 60 if noise == 0 else 95)
    assert min((hash_luma(inner).distance(hash_luma(picture)) for inner in insides(shown)), default=256) <= 31


@pytest.mark.parametrize("upside_down", [False, True])
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "camera.png"])
def test_a_sky_that_goes_on_in_its_copy_leaves_no_border(
    photograph: Callable[[str], Array], name: str, *, upside_down: bool
) -> None:
    """The edge under the sky is not to be seen: the border at the other end would stay with it."""
    picture = np.array(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
    half = picture.shape[0] // 2
    picture[:half] = np.linspace(110, 250, picture.shape[1])
    shown = coded(over_itself_blurred(picture, picture.shape[0] // 6)[:: -1 if upside_down else 1], 60)
    listed = hash_luma(picture[:: -1 if upside_down else 1])
    assert min((hash_luma(inner).distance(listed) for inner in insides(shown)), default=256) <= 31


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "camera.png"])
def test_letters_that_fill_a_blurred_border_leave_it_one(photograph: Callable[[str], Array], name: str) -> None:
    """A channel's name in a narrow border would be its detail."""
    picture = np.asarray(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
    above = picture.shape[0] // 6
    luma = over_itself_blurred(picture, above)
    at = (picture.shape[1] // 6, above * 3 // 4)
    cv2.putText(luma, "@someone LIVE", at, cv2.FONT_HERSHEY_DUPLEX, above / 55, 255, 3, cv2.LINE_AA)
    shown = coded(luma, 60)
    assert min((hash_luma(inner).distance(hash_luma(picture)) for inner in insides(shown)), default=256) <= 31


@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "camera.png"])
@pytest.mark.parametrize("side", [0, 1], ids=["left", "right"])
def test_a_blurred_side_that_is_even_is_cut_off_with_the_other(
    photograph: Callable[[str], Array], name: str, side: int
) -> None:
    """A wall at one side of the picture makes an even border of its blurred copy: the other one would stay."""
    picture = np.array(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
    fifth = picture.shape[1] // 5
    ramp = np.linspace(90, 105, picture.shape[0])[:, None] + 9 * np.sin(np.arange(fifth) / 2)
    picture[:, slice(-fifth, None) if side else slice(fifth)] = ramp.astype(np.uint8)
    shown = coded(beside_itself_blurred(picture), 60)
    assert min(hash_luma(inner).distance(hash_luma(picture)) for inner in insides(shown)) <= 31


@pytest.mark.parametrize("level", [128, 255])
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "coffee.png", "camera.png"])
def test_a_border_is_cut_off_where_the_picture_has_its_level(
    photograph: Callable[[str], Array], name: str, level: int
) -> None:
    """A white sky under a white border would leave the border at that side, and the picture unmatched."""
    picture = np.array(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
    picture[: picture.shape[0] // 4] = level
    rows, columns = (side // 20 for side in picture.shape)
    shown = coded(boxed(picture, rows, rows, columns, columns, level), 60)
    assert min(hash_luma(inner).distance(hash_luma(picture)) for inner in insides(shown)) <= 31


def test_borders_within_borders_are_each_an_answer() -> None:
    """A framed picture between bars would be hashed with its frame alone, though the list has it without."""
    picture = scene(272, 480)
    framed = boxed(picture, 14, 14, 24, 24, 255)
    first, second = insides(boxed(framed, 0, 0, 100, 100))
    np.testing.assert_array_equal(first, framed)
    np.testing.assert_array_equal(second, picture)


def test_deep_nesting_is_followed_to_a_bound() -> None:
    """A frame of many frames would keep a worker for its sake."""
    luma = scene(40, 60)
    for level in (0, 255) * 20:
        luma = boxed(luma, 8, 8, 8, 8, level)
    levels, others = without_borders(luma)
    assert len(levels) == MAX_LEVELS
    assert others == ()


@pytest.mark.parametrize(
    "luma",
    [
        np.zeros((360, 640), np.uint8),
        np.full((5, 5), 255, np.uint8),
        boxed(scene(40, 60), 160, 160, 290, 290),
        boxed(scene(354, 640), 3, 3, 0, 0),
        np.full((360, 640), 20, np.uint8),
        np.tile(np.linspace(0, 255, 640).astype(np.uint8), (360, 1)),
        np.random.default_rng(3).integers(0, 256, (360, 640), np.uint8),
    ],
    ids=["black", "tiny", "a lamp at night", "bars of three rows", "dark", "a gradient", "noise"],
)
def test_nothing_worth_cutting(luma: Array) -> None:
    """A black screen, or a bright spot in the dark, would be hashed as if it were a picture."""
    assert insides(luma) == []
    assert insides(luma.astype(np.float32)) == []


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(5, 90), st.integers(5, 90)),
    levels=st.sampled_from([1, 2, 4, 256]),
    tile=st.integers(1, 40),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_picture_has_parts_of_itself_inside(shape: tuple[int, int], levels: int, tile: int, seed: int) -> None:
    """A hostile picture would end the worker, or be hashed beyond its sides."""
    tiles = np.random.default_rng(seed).integers(0, levels, shape) * (255 // max(1, levels - 1))
    luma = np.kron(tiles, np.ones((tile, tile))).astype(np.uint8)[: 10 * shape[0], : 10 * shape[1]]
    outer = (0, luma.shape[0], 0, luma.shape[1])
    for box in chain(*without_borders(luma)):
        inner = (box.top, box.bottom, box.left, box.right)
        assert outer[0] <= inner[0] < inner[1] <= outer[1]
        assert outer[2] <= inner[2] < inner[3] <= outer[3]
        assert inner != outer
        assert hash_luma(box.of(luma)).quality >= 0
