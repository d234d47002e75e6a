"""Resized pixels, compared with libvips."""

import importlib
from collections.abc import Callable
from typing import Any, NoReturn

import cv2
import numpy as np
import pytest

from models.classifiers.libvips import Pixels, resized


@pytest.fixture(scope="module")
def vips(ci_or_skip: Callable[[str], NoReturn]) -> Callable[[Pixels, int, int], Pixels]:
    """Resizes by libvips, from the extra `safety-s`."""
    try:
        pyvips: Any = importlib.import_module("pyvips")
    except ImportError:
        ci_or_skip("pyvips is not installed: pip install '.[safety-s]'")

    def resize(pixels: Pixels, width: int, height: int) -> Pixels:
        rows, columns = pixels.shape[:2]
        image = pyvips.Image.new_from_array(pixels)
        made = image.resize(width / columns, vscale=height / rows, kernel="lanczos3")
        return np.asarray(made.numpy(), np.uint8).reshape(height, width, *pixels.shape[2:])

    return resize


def pattern(width: int, height: int, *channels: int) -> Pixels:
    """Edges and slopes, including full black and white."""
    chance = np.random.default_rng(width * height)
    coarse = chance.integers(0, 256, (height // 5 + 2, width // 5 + 2, *channels), np.uint8)
    return np.asarray(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), np.uint8)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param((640, 360), (224, 126), id="shrinks"),
        pytest.param((360, 640), (126, 224), id="shrinks, upright"),
        pytest.param((1280, 720), (224, 126), id="averages two"),
        pytest.param((1411, 1411), (224, 224), id="averages three, not all whole"),
        pytest.param((3840, 2160), (224, 126), id="averages eight"),
        pytest.param((400, 224), (224, 224), id="one side stays"),
        pytest.param((160, 90), (224, 126), id="grows"),
        pytest.param((14, 25), (125, 224), id="grows ninefold"),
        pytest.param((224, 224), (224, 224), id="stays"),
    ],
)
def test_pixels_equal_those_of_libvips(
    vips: Callable[[Pixels, int, int], Pixels], old: tuple[int, int], new: tuple[int, int]
) -> None:
    """In some networks one grey level changes the score by hundredths."""
    for pixels in (pattern(*old, 3), pattern(*old)):
        assert (resized(pixels, *new) == vips(pixels, *new)).all()


def test_any_size(vips: Callable[[Pixels, int, int], Pixels]) -> None:
    """libvips accumulates a pixel's position: between two of its 64 positions, it may take the other one."""
    chance = np.random.default_rng(7)
    for _ in range(40):
        width, height, wide, high = map(int, chance.integers([20, 20, 1, 1], [1500, 1500, 300, 300]))
        if (wide > width) != (high > height):
            continue  # one side grows, one shrinks: nothing here does that
        pixels = pattern(width, height, 3)
        apart = np.abs(resized(pixels, wide, high).astype(int) - vips(pixels, wide, high))
        assert apart.mean() < 0.1
        assert apart.max() <= 2
