"""Black bars: which are cut off, and which borders are left alone."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.pdq.letterbox import without_bars
from models.pdq.pdq import hash_luma

Array = npt.NDArray[np.uint8]


def scene(height: int, width: int) -> Array:
    """A picture without a dark border."""
    noise = np.random.default_rng(1).integers(0, 256, (9, 16), np.uint8)
    smooth = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return np.clip(smooth, 70, 255).astype(np.uint8)


def boxed(picture: Array, top: int, bottom: int, left: int, right: int, level: int = 0) -> Array:
    return cv2.copyMakeBorder(picture, top, bottom, left, right, cv2.BORDER_CONSTANT, value=level).astype(np.uint8)


@pytest.mark.parametrize("level", [0, 16])
@pytest.mark.parametrize(
    "bars",
    [(44, 44, 0, 0), (0, 0, 150, 150), (60, 60, 100, 100), (90, 0, 0, 0), (0, 0, 0, 37), (10, 50, 0, 0)],
    ids=["letterbox", "pillarbox", "all around", "above", "right", "uneven"],
)
def test_bars_are_cut_off(bars: tuple[int, int, int, int], level: int) -> None:
    """A picture with bars would match no list."""
    picture = scene(272, 640)
    inner = without_bars(boxed(picture, *bars, level))
    assert inner is not None
    np.testing.assert_array_equal(inner, picture)


def test_view_of_a_padded_plane() -> None:
    """Planes of decoded frames are padded: the padding would be taken for a bar."""
    plane = np.zeros((360, 704), np.uint8)
    plane[:, :640] = boxed(scene(272, 640), 44, 44, 0, 0)
    inner = without_bars(plane[:, :640])
    assert inner is not None
    assert inner.shape == (272, 640)
    rotated = without_bars(plane[::-1, 639::-1])
    assert rotated is not None
    assert rotated.shape == (272, 640)


@pytest.mark.parametrize("quality", [30, 60, 90])
@pytest.mark.parametrize("scale", [0.4, 0.75, 1.3])
def test_bars_are_cut_off_after_scaling_and_coding(quality: int, scale: float) -> None:
    """Bars blurred by a broadcaster's scaler and codec would stay in the picture, and prevent a match."""
    picture = scene(272, 640)
    scaled = cv2.resize(boxed(picture, 44, 44, 0, 0), None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    coded = cv2.imdecode(cv2.imencode(".jpg", scaled, [cv2.IMWRITE_JPEG_QUALITY, quality])[1], cv2.IMREAD_GRAYSCALE)
    inner = without_bars(np.asarray(coded, np.uint8))
    assert inner is not None
    assert abs(inner.shape[0] - round(272 * scale)) <= 4
    assert hash_luma(inner).distance(hash_luma(picture)) <= 31


def test_pictures_are_left_alone(picture: Array) -> None:
    """Night scenes and drawings would lose borders that are not black."""
    luma = np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), np.uint8)
    inner = without_bars(luma)
    if inner is not None:
        assert int(luma.astype(np.int64).sum()) - int(inner.astype(np.int64).sum()) <= 30 * (luma.size - inner.size)


@pytest.mark.parametrize(
    "luma",
    [
        np.zeros((360, 640), np.uint8),
        boxed(scene(40, 60), 160, 160, 290, 290),
        boxed(scene(354, 640), 3, 3, 0, 0),
        np.full((360, 640), 20, np.uint8),
    ],
    ids=["black", "a lamp at night", "bars of three rows", "dark"],
)
def test_nothing_worth_cutting(luma: Array) -> None:
    """A black screen, or a bright spot in the dark, would be hashed as if it were a picture."""
    assert without_bars(luma) is None


def test_a_bar_with_text_is_kept() -> None:
    """A subtitle in a bar would be cut off, or keep the other bar from being cut."""
    luma = boxed(scene(272, 640), 44, 44, 0, 0)
    cv2.putText(luma, "a subtitle", (200, 345), cv2.FONT_HERSHEY_SIMPLEX, 0.8, 255, 2)
    inner = without_bars(luma)
    assert inner is not None
    assert 272 < inner.shape[0] <= 360 - 44
