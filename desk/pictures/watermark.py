"""Watermark of a clear picture: who sees it and when, drawn into its pixels, all over it."""

import hashlib
import threading
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from worker.evidence.picture import Pixels
from worker.people.actor import folded

LETTER_PIXELS: Final = 15
"""Height of letters at 640 pixels of the longer side; larger pictures have larger ones."""
ANGLE_DEGREES: Final = 18
OPACITY: Final = 0.45
"""Share of the mark's colours where it is drawn: readable on light and dark, and the picture is still seen."""
LONGEST_NAME: Final = 40
"""Characters of a name that are drawn; the digest behind a cut one says whose it is."""

_one_at_a_time: Final = threading.Lock()
"""OpenCV's fonts have caches of their own."""


def mark_text(name: str, at: str) -> str:
    """The text of a mark. A name that is long, or that the font may lack letters for, has a digest beside it, by which
    it can be told: the beginning of the SHA-256 of the folded name."""
    plain = name.isascii() and len(name) <= LONGEST_NAME
    digest = "" if plain else f" #{hashlib.sha256(folded(name).encode(errors='surrogatepass')).hexdigest()[:8]}"
    return f"{name[:LONGEST_NAME]}{digest}  {at}"


def watermarked(pixels: Pixels, text: str) -> Pixels:
    """Returns a picture with the text all over it, light letters with a dark edge.

    Args:
        pixels: uint8, (height, width, 3), BGR.
    """
    height, width = pixels.shape[:2]
    letter = max(9, round(LETTER_PIXELS * max(width, height) / 640))
    edge, inner = _mark_masks(text, letter, width, height)
    result = pixels.astype(np.float32)
    for mask, colour in ((edge, 0.0), (inner, 255.0)):
        share = (mask.astype(np.float32) / 255 * OPACITY)[..., None]
        result += (colour - result) * share
    return result.round().astype(np.uint8)


def _mark_masks(text: str, letter: int, width: int, height: int) -> tuple[npt.NDArray[np.uint8], ...]:
    """Masks of the letters' edge and of the letters: uint8, (height, width)."""
    # Drawn on a square that covers the picture at any angle, then turned.
    side = int(np.hypot(width, height)) + 2 * letter
    upright = np.zeros((side, side), np.uint8)
    with _one_at_a_time:
        font = cv2.FontFace("sans")
        box = cv2.getTextSize((side, side), text, (0, 0), font, letter, 500)
        step_x, step_y = box[2] + 3 * letter, round(4.5 * letter)
        tile = np.zeros((step_y, step_x), np.uint8)
        cv2.putText(tile, text, (letter, round(2.5 * letter)), (255,), font, letter, 500)
    for row, top in enumerate(range(0, side, step_y)):
        # Each row begins elsewhere: no cut removes the names of all.
        line = np.tile(np.roll(tile, row * step_x // 3, axis=1), (1, side // step_x + 1))[:, :side]
        upright[top : top + step_y] = line[: side - top]
    turned = cv2.warpAffine(
        upright, cv2.getRotationMatrix2D((side / 2, side / 2), ANGLE_DEGREES, 1.0), (side, side), flags=cv2.INTER_LINEAR
    )
    left, top = (side - width) // 2, (side - height) // 2
    inner = np.asarray(turned[top : top + height, left : left + width], np.uint8)
    around = max(1, letter // 12)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * around + 1, 2 * around + 1))
    edge = np.asarray(cv2.dilate(inner, kernel), np.uint8)
    return np.minimum(edge, 255 - inner), inner
