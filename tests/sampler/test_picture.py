"""Conversions of a decoded picture: colours, brightness, orientation."""

from itertools import product

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampler.decode.presentation.planes import store
from sampler.picture import MATRICES, YCGCO, Picture, Plane

COLOURS = {
    "black": (0, 0, 0),
    "white": (255, 255, 255),
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "skin": (224, 172, 105),
}
RANGES = {"limited": False, "full": True}


def coded(colour: tuple[int, int, int], matrix: str, *, full_range: bool) -> tuple[float, float, float]:
    """8-bit Y, U, V of a colour, by ITU-T H.273, 8.3."""
    if matrix == "ycgco":
        r, g, b = (value / 255 for value in colour)
        luma, from_blue, from_red = g / 2 + (r + b) / 4, g / 2 - (r + b) / 4, (r - b) / 2
        if full_range:
            return 255 * luma, 128 + 255 * from_blue, 128 + 255 * from_red
        return 16 + 219 * luma, 128 + 224 * from_blue, 128 + 224 * from_red
    weights = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722), "bt2020": (0.2627, 0.0593)}
    red, blue = weights[matrix]
    r, g, b = (value / 255 for value in colour)
    luma = red * r + (1 - red - blue) * g + blue * b
    from_blue, from_red = (b - luma) / (2 - 2 * blue), (r - luma) / (2 - 2 * red)
    if full_range:
        return 255 * luma, 128 + 255 * from_blue, 128 + 255 * from_red
    return 16 + 219 * luma, 128 + 224 * from_blue, 128 + 224 * from_red


def solid(levels: tuple[float, float, float], *, width: int = 8, height: int = 6) -> tuple[Plane, ...]:
    """Planes of one colour, 4:2:0."""
    sizes = [(height, width), (height // 2, width // 2), (height // 2, width // 2)]
    return tuple(
        np.full(size, np.clip(np.rint(level), 0, 255), np.uint8) for size, level in zip(sizes, levels, strict=True)
    )


@pytest.mark.parametrize("full_range", RANGES.values(), ids=RANGES.keys())
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020", "ycgco"])
@pytest.mark.parametrize("colour", COLOURS.values(), ids=COLOURS.keys())
def test_a_known_colour_is_converted_correctly(colour: tuple[int, int, int], matrix: str, full_range: bool) -> None:
    """The classifier, and moderators, would see green skin."""
    planes = solid(coded(colour, matrix, full_range=full_range))
    picture = Picture(planes=planes, full_range=full_range, matrix=matrix)

    assert picture.rgb().shape == (6, 8, 3)
    assert np.abs(picture.rgb().astype(int) - colour).max() <= 2


@pytest.mark.parametrize("matrix", [*MATRICES, YCGCO])
@pytest.mark.parametrize("full_range", RANGES.values(), ids=RANGES.keys())
def test_grey_is_grey_by_every_matrix(matrix: str, full_range: bool) -> None:
    """A tint over all pictures of a stream would change its scores."""
    luma = np.arange(16, 236, dtype=np.uint8).reshape(1, -1)
    chroma = np.full_like(luma, 128)
    picture = Picture(planes=(luma, chroma, chroma), full_range=full_range, matrix=matrix)
    rgb = picture.rgb().astype(int)

    assert np.ptp(rgb, axis=2).max() <= 1
    assert np.abs(rgb[..., 0] - picture.luma()).max() <= 1


@pytest.mark.parametrize(
    ("full_range", "stored", "shown"),
    [(False, [0, 16, 125, 235, 255], [0, 0, 127, 255, 255]), (True, [0, 16, 125, 235, 255], [0, 16, 125, 235, 255])],
    ids=["limited", "full"],
)
def test_brightness_uses_all_levels(full_range: bool, stored: list[int], shown: list[int]) -> None:
    """Black would be dark grey, and a hash would differ from the listed one."""
    picture = Picture(planes=(np.array([stored], np.uint8),), full_range=full_range, matrix="bt601")

    assert picture.luma().tolist() == [shown]
    assert picture.rgb()[..., 1].tolist() == [shown]


def test_brightness_of_rgb_is_that_of_the_reference_hash() -> None:
    """A still picture would hash differently than with the list's authors."""
    rgb = np.random.default_rng(3).integers(0, 256, (20, 30, 3), np.uint8)
    picture = Picture(planes=(rgb,), full_range=True, matrix="bt601")
    expected = rgb @ np.array([0.299, 0.587, 0.114])

    assert np.abs(picture.luma() - expected).max() <= 1
    assert (picture.rgb() == rgb).all()


@pytest.mark.parametrize(("degrees", "mirrored"), list(product([0, 90, 180, 270], [False, True])))
def test_every_orientation_is_made_upright(degrees: int, mirrored: bool) -> None:
    """One of eight orientations of a phone would hash to nothing known."""
    # Numbered quarters, as in tests of EXIF orientations: 1 2 over 3 4.
    stored = np.kron(np.array([[1, 2], [3, 4]], np.uint8), np.ones((2, 4), np.uint8)) * 50
    upright = {
        (0, False): [[1, 2], [3, 4]],
        (90, False): [[2, 4], [1, 3]],
        (180, False): [[4, 3], [2, 1]],
        (270, False): [[3, 1], [4, 2]],
        (0, True): [[2, 1], [4, 3]],
        (90, True): [[1, 3], [2, 4]],
        (180, True): [[3, 4], [1, 2]],
        (270, True): [[4, 2], [3, 1]],
    }[degrees, mirrored]
    picture = Picture(planes=(stored,), full_range=True, matrix="bt601", rotation_degrees=degrees, mirrored=mirrored)
    luma = picture.luma()
    down, across = luma.shape[0] // 4, luma.shape[1] // 4

    assert (picture.height, picture.width) == luma.shape
    assert luma.shape == ((4, 8) if degrees % 180 == 0 else (8, 4))
    assert (luma[[[down], [3 * down]], [across, 3 * across]] // 50).tolist() == upright
    assert (picture.rgb()[..., 0] == luma).all()
    assert luma.flags.c_contiguous


@given(
    width=st.integers(1, 300),
    height=st.integers(1, 300),
    max_pixels=st.integers(1, 20_000),
    degrees=st.sampled_from([0, 90]),
)
def test_a_shrunk_picture_keeps_its_limit_and_its_shape(width: int, height: int, max_pixels: int, degrees: int) -> None:
    """A large picture would use up the classifier's memory, or a thin one would be distorted or empty."""
    chroma = np.full(((height + 1) // 2, (width + 1) // 2), 128, np.uint8)
    planes = (np.full((height, width), 90, np.uint8), chroma, chroma)
    picture = Picture(planes=planes, full_range=True, matrix="bt709", rotation_degrees=degrees)
    rgb = picture.rgb(max_pixels)
    rows, columns = rgb.shape[:2]

    assert rows * columns <= max(max_pixels, width, height)
    assert rows >= 1
    assert columns >= 1
    if width * height <= max_pixels:
        assert (columns, rows) == (picture.width, picture.height)
    assert (rgb == 90).all()


def taken(frame: av.VideoFrame) -> Picture:
    """The picture as returned by the decoder child, without the child."""
    described, planes = store(frame, pixel_aspect=1.0)
    rows = [
        np.frombuffer(bytes(plane), np.uint8).reshape(height, stride)
        for plane, height, stride in zip(planes, described.rows, described.strides, strict=True)
    ]
    if described.layout == "rgb":
        arrays = [rows[0][:, : 3 * described.columns[0]].reshape(described.rows[0], described.columns[0], 3)]
    else:
        arrays = [row[:, :columns] for row, columns in zip(rows, described.columns, strict=True)]
    return Picture(
        planes=tuple(arrays),
        full_range=described.full_range,
        matrix=described.matrix,
        rotation_degrees=described.rotation_degrees,
        mirrored=described.mirrored,
    )


FORMATS = ["yuv420p", "yuv422p", "yuv444p", "yuv440p", "yuva420p", "nv12", "yuv420p10le", "yuv422p10le", "yuv444p12le"]
STANDARDS = {"bt601": 6, "bt709": 1}
"""AVColorSpace."""


@pytest.mark.parametrize("full_range", RANGES.values(), ids=RANGES.keys())
@pytest.mark.parametrize("matrix", STANDARDS)
@pytest.mark.parametrize("pixel_format", FORMATS)
def test_every_pixel_format_keeps_its_colour(pixel_format: str, matrix: str, full_range: bool) -> None:
    """The pictures of a 10-bit camera would have wrong levels."""
    colour = COLOURS["skin"]
    frame = frame_of(coded(colour, matrix, full_range=full_range), pixel_format)
    frame.colorspace, frame.color_range = STANDARDS[matrix], 2 if full_range else 1
    picture = taken(frame)

    assert (picture.matrix, picture.full_range) == (matrix, full_range)
    assert np.abs(picture.rgb().astype(int) - colour).max() <= 4


@pytest.mark.parametrize("pixel_format", ["rgb24", "bgr24", "gbrp", "gbrp10le", "rgba"])
def test_video_in_rgb_keeps_its_colour(pixel_format: str) -> None:
    """Screen recordings in RGB would have red and blue exchanged."""
    rgb = np.full((6, 8, 3), COLOURS["skin"], np.uint8)
    frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=pixel_format)

    assert np.abs(taken(frame).rgb().astype(int) - rgb).max() <= 1


@pytest.mark.parametrize("full_range", RANGES.values(), ids=RANGES.keys())
@pytest.mark.parametrize("pixel_format", ["gray", "gray10le", "gray12le"])
def test_video_without_colour_keeps_its_levels(pixel_format: str, full_range: bool) -> None:
    """A night camera's pictures would have wrong levels."""
    for colour in ((0, 0, 0), (153, 153, 153), (255, 255, 255)):
        frame = frame_of(coded(colour, "bt601", full_range=full_range), pixel_format)
        frame.color_range = 2 if full_range else 1

        assert np.abs(taken(frame).luma().astype(int) - colour[0]).max() <= 2


@pytest.mark.parametrize(("height", "matrix"), [(576, "bt601"), (719, "bt601"), (720, "bt709"), (1080, "bt709")])
def test_video_without_a_matrix_is_converted_as_players_do(height: int, matrix: str) -> None:
    """Most encoders write no matrix: reds would be orange."""
    assert taken(frame_of((90, 100, 180), "yuv420p", width=16, height=height)).matrix == matrix


def frame_of(
    levels: tuple[float, float, float], pixel_format: str, *, width: int = 8, height: int = 6
) -> av.VideoFrame:
    """A frame of one colour, with 8-bit levels."""
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, component in zip(frame.planes, levels, strict=False):
        bits = frame.format.components[0].bits
        kind = np.dtype(np.uint8 if bits == 8 else np.uint16)
        rows = np.full((plane.height, plane.line_size // kind.itemsize), round(component * 2 ** (bits - 8)), kind)
        plane.update(rows.tobytes())
    if pixel_format == "nv12":
        chroma = frame.planes[1]
        pairs = np.rint(np.tile(levels[1:], chroma.height * chroma.line_size // 2)).astype(np.uint8)
        chroma.update(pairs.tobytes())
    return frame


@pytest.mark.parametrize("full_range", RANGES.values(), ids=RANGES.keys())
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_chroma_is_turned_as_the_picture_is(rotation: int, full_range: bool) -> None:
    """Colours would be compared with those of another place."""
    planes = tuple(plane.copy() for plane in solid((128, 100, 150), width=64, height=32))
    planes[1][:, :16] = 40
    picture = Picture(planes=planes, full_range=full_range, matrix="bt601", rotation_degrees=rotation)
    first, second = np.asarray(picture.chroma(8, 8))

    edge = {0: np.s_[:, 0], 90: np.s_[-1, :], 180: np.s_[:, -1], 270: np.s_[0, :]}[rotation]
    assert np.all(first[edge] == 40)
    assert (first == 40).sum() == 32
    assert np.all(second == 150)


def test_chroma_of_rgb_and_of_grey() -> None:
    """Still pictures would have no colours, or grey ones some."""
    red = Picture(planes=(np.full((36, 64, 3), (255, 0, 0), np.uint8),), full_range=True, matrix="bt601")
    grey = Picture(planes=(np.full((36, 64), 90, np.uint8),), full_range=True, matrix="bt601")
    first, second = np.asarray(red.chroma(16, 9))

    assert (first.shape, int(first[0, 0]), int(second[0, 0])) == ((9, 16), 85, 255)
    assert grey.chroma(16, 9) is None
