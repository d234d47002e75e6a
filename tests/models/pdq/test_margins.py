"""Hashes of continued pictures: what was cropped off or covered is guessed well enough to match."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.pdq.margins import FADE_SHARE, Margins, cropped_margins, hash_continued
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


@pytest.mark.parametrize("share", [0.025, 0.05])
@pytest.mark.parametrize("name", ["astronaut.png", "chelsea.png", "camera.png", "coins.png", "moon.png", "retina.jpg"])
def test_a_cropped_picture_is_matched(photograph: Callable[[str], Array], name: str, share: float) -> None:
    """Cutting a twentieth off each side would hide known material."""
    whole = np.asarray(cv2.cvtColor(photograph(name), cv2.COLOR_RGB2GRAY), np.uint8)
    rows, columns = (round(share * side) for side in whole.shape)
    left = whole[rows:-rows, columns:-columns]
    assert hash_luma(left).distance(hash_luma(whole)) > 31
    assert hash_continued(left, cropped_margins(left, share)).distance(hash_luma(whole)) <= 31


@pytest.mark.parametrize("shape", [(5, 5), (5, 400), (64, 64)])
def test_flat_and_tiny_pictures_stay_unhashable(shape: tuple[int, int]) -> None:
    """A black screen would match whatever else is flat."""
    luma = np.zeros(shape, np.uint8)
    for share in (0.025, 0.05):
        assert not hash_continued(luma, cropped_margins(luma, share)).hashable
