"""Hashes of continued pictures: what was cropped off or covered is guessed well enough to match."""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.pdq.margins import CROPPED_SHARES, CROPS, FADE_SHARE, Margins, cropped_margins, hash_continued, hash_crops
from models.pdq.pdq import hash_luma

Array = npt.NDArray[np.uint8]


def lengthened(picture: npt.NDArray[np.float32], before: int, after: int) -> npt.NDArray[np.float32]:
    """Rows added above and below: they fade from the outermost row to the mean of all."""
    mean = picture.mean(axis=0)

    def rows(outermost: npt.NDArray[np.float32], count: int) -> npt.NDArray[np.float32]:
        kept = np.exp(-np.arange(1, count + 1) / (FADE_SHARE * len(picture)))[:, None]
        return np.asarray(kept * outermost + (1 - kept) * mean, np.float32)

    return np.concatenate([rows(picture[0], before)[::-1], picture, rows(picture[-1], after)])


@pytest.mark.parametrize(
    "margins", [Margins(top=12, bottom=30, left=0, right=51), Margins(top=0, bottom=0, left=0, right=0)]
)
@pytest.mark.parametrize("name", ["astronaut.png", "coffee.png", "brick.png"])
def test_continued_pictures_hash_as_continued_arrays(
    photograph: Callable[[str], Array], name: str, margins: Margins
) -> None:
    """The guess would be another than what was measured."""
    luma = np.asarray(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.float32)
    whole = lengthened(lengthened(luma, margins.top, margins.bottom).T, margins.left, margins.right).T
    assert hash_continued(luma, margins).distance(hash_luma(np.ascontiguousarray(whole))) <= 6


PHOTOGRAPHS = ("astronaut.png", "chelsea.png", "camera.png", "coins.png", "moon.png", "retina.jpg")


def matched(photograph: Callable[[str], Array], rows: float, columns: float) -> list[str]:
    """Photographs that are matched though this share was cut off at the top and bottom, and at the left and right."""
    found = []
    for name in PHOTOGRAPHS:
        whole = np.asarray(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
        (height, width), top, left = whole.shape, round(rows * whole.shape[0]), round(columns * whole.shape[1])
        rest = whole[top : height - top, left : width - left]
        assert hash_luma(np.ascontiguousarray(rest)).distance(hash_luma(whole)) > 15
        if min(one.distance(hash_luma(whole)) for one in hash_crops(rest)) <= 31:
            found.append(name)
    return found


@pytest.mark.parametrize("share", [0.025, 0.05])
def test_a_cropped_picture_is_matched(photograph: Callable[[str], Array], share: float) -> None:
    """Cutting a twentieth off each side would hide known material."""
    assert matched(photograph, share, share) == [*PHOTOGRAPHS]


@pytest.mark.parametrize("share", [0.03, 0.05])
@pytest.mark.parametrize("columns", [False, True])
def test_a_picture_that_was_cut_to_another_shape_is_matched(
    photograph: Callable[[str], Array], share: float, columns: bool
) -> None:
    """Cutting it at two sides, as a player of another shape does, would hide known material."""
    assert len(matched(photograph, 0 if columns else share, share if columns else 0)) >= len(PHOTOGRAPHS) - 1


def test_guesses_are_hashes_of_continued_pictures(photograph: Callable[[str], Array]) -> None:
    """What they share is computed once, and would be another than what was measured."""
    luma = np.asarray(cv2.cvtColor(photograph("coffee.png"), cv2.COLOR_RGB2GRAY), np.uint8)
    expected = []
    for share in CROPPED_SHARES:
        both = cropped_margins(luma, share)
        rows, columns = replace(both, left=0, right=0), replace(both, top=0, bottom=0)
        expected += [hash_continued(luma, margins) for margins in (both, rows, columns)]
    assert list(hash_crops(luma)) == expected
    assert len(expected) == CROPS


@pytest.mark.parametrize("shape", [(5, 5), (5, 400), (64, 64)])
def test_flat_and_tiny_pictures_stay_unhashable(shape: tuple[int, int]) -> None:
    """A black screen would match whatever else is flat."""
    luma = np.zeros(shape, np.uint8)
    assert not any(guess.hashable for guess in hash_crops(luma))
