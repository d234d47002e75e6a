"""Reduction of a picture by the server: what a person is shown first. Pure; all sizes in pixels."""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np

from worker.evidence.picture import Pixels, blurred, fitted

WIDTHS: Final = {"small": 320, "medium": 640, "large": 960}
"""The longer side of a picture as it is sent, by the person's size, <=; a smaller picture is not enlarged."""

POINTS: Final = (96, 64, 48, 32, 20)
"""Points along the longer side that are left, by strength from 1 to 5. The third is that of `livewarden evidence show`:
they tell a room from a landscape, and no face."""

TONES: Final = (6, 5, 4, 3, 2)
"""Tones of each channel that are left of a posterised picture, by strength."""


@dataclass(frozen=True, kw_only=True)
class Reduction:
    """The reduction of one person's pictures."""

    detail: str = "blur"
    """`blur`, `pixels` or `posterise`."""
    strength: int = 3
    """From 1 to 5; 5 leaves least."""
    grey: bool = True
    size: str = "medium"
    """One of WIDTHS."""


def reduced(pixels: Pixels, reduction: Reduction) -> Pixels:
    """Returns a picture in less detail, at most as large as the person's size.

    Args:
        pixels: uint8, (height, width, 3), BGR.

    Returns:
        uint8; (height, width) where it is grey, else (height, width, 3), BGR. Each way leaves at most POINTS along the
        longer side: what was finer cannot be computed back.
    """
    shown = fitted(pixels, WIDTHS[reduction.size])
    if reduction.grey:
        shown = np.asarray(cv2.cvtColor(shown, cv2.COLOR_BGR2GRAY), np.uint8)
    points = POINTS[reduction.strength - 1]
    match reduction.detail:
        case "pixels":
            return _in_squares(shown, points)
        case "posterise":
            return _in_tones(blurred(shown, points), TONES[reduction.strength - 1])
        case _:
            return blurred(shown, points)


def _in_squares(pixels: Pixels, points: int) -> Pixels:
    height, width = pixels.shape[:2]
    small = fitted(pixels, points)
    return np.asarray(cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST), np.uint8)


def _in_tones(pixels: Pixels, tones: int) -> Pixels:
    step = 256 / tones
    table = (np.floor(np.arange(256) / step) * 255 / (tones - 1)).astype(np.uint8)
    return np.asarray(cv2.LUT(pixels, table), np.uint8)
