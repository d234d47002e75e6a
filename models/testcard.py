"""The test card: a harmless picture that livewarden takes for known material, the EICAR file of this field.

It lets demo, drills, canaries and tests go the whole way of an escalation without any real material. It is drawn in
parts of the picture's sides, so that PDQ, which knows no aspect ratio, sees the same at any size; only its words keep
their proportions, hence an entry a usual aspect ratio.
"""

from types import MappingProxyType
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from models.errors import PictureError
from models.pdq.pdq import MIN_SIDE_PIXELS

TITLE = "LIVEWARDEN TEST CARD"
SUBTITLE = "A harmless generated picture that tests child-safety alarms"

TESTCARD_HASHES = MappingProxyType(
    {
        "testcard-16x9": "afeb972fb7bd812b42ef4bee64445bf0509088ba1492c1688543f76d3d11b691",
        "testcard-4x3": "afcb9f2fbfbf012b53c74bee64c45af0509088ba1092c1688543f76d3d11b691",
        "testcard-9x16": "af43972fbfbf8d2b55474bec64c45af0709088ba1092c1688d43f76d3d11b691",
    }
)
"""PDQ of the card by entry id: the built-in list `selftest`.

Written down, not computed: what the list holds must not move with OpenCV's fonts. The card stays within distance 18 of
the nearest entry in H.264 of 240p at 100 kbit/s, within 12 from 360p on (`tests/models/test_testcard.py`).
"""

Color = tuple[int, int, int]

INK: Color = (18, 24, 43)
CREAM: Color = (245, 239, 225)
AMBER: Color = (249, 199, 79)
CORAL: Color = (232, 88, 80)
TEAL: Color = (34, 128, 132)

_CANVAS_PIXELS = 1440
"""The longer side of the canvas that is drawn before it is scaled down."""

_MAX_SIDE_PIXELS = 8192
"""Larger cards have no use, and a slip of the keyboard should not take all memory."""

_TILES = (
    "bcaeaebabd",
    "acceecceda",
    "..........",
    "..........",
    "dbeaedeceb",
    "babaedbbea",
)
"""Ten by six tiles, nearly square at 16:9; a letter is a tile with a quarter disc around a corner, or a plain one.

Found by a random search for the fewest frequencies near their median, so that coding and scaling turn few bits.
"""

_CORNERS = {"a": (0, 0), "b": (1, 0), "c": (0, 1), "d": (1, 1)}
"""(right, bottom) of the corner."""

_TILE_COLORS = (
    (CREAM, INK),
    (INK, AMBER),
    (TEAL, CREAM),
    (AMBER, INK),
    (INK, CORAL),
    (CREAM, TEAL),
    (CORAL, CREAM),
)
"""(ground, disc) in turn."""

_PANEL = (1 / 3, 2 / 3)
"""The panel with the words: [top, bottom) in parts of the height."""


def testcard(width: int, height: int) -> npt.NDArray[np.uint8]:
    """Draws the card: uint8, (height, width, 3), RGB, full range.

    Raises:
        PictureError: a side is outside [MIN_SIDE_PIXELS, 8192].
    """
    if not all(MIN_SIDE_PIXELS <= side <= _MAX_SIDE_PIXELS for side in (width, height)):
        raise PictureError(
            f"a test card of {width}×{height}: expected sides of {MIN_SIDE_PIXELS} to {_MAX_SIDE_PIXELS}"
        )
    scale = _CANVAS_PIXELS / max(width, height)
    canvas = np.empty((max(64, round(height * scale)), max(64, round(width * scale)), 3), np.uint8)
    _draw_tiles(canvas)
    _draw_panel(canvas)
    shrinks = width <= canvas.shape[1] and height <= canvas.shape[0]
    scaling = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(canvas, (width, height), interpolation=scaling).astype(np.uint8, copy=False)


def _draw_tiles(canvas: npt.NDArray[Any]) -> None:
    height, width = canvas.shape[:2]
    rows = np.linspace(0, height, len(_TILES) + 1).round().astype(int)
    columns = np.linspace(0, width, len(_TILES[0]) + 1).round().astype(int)
    for row, letters in enumerate(_TILES):
        for column, letter in enumerate(letters):
            ground, disc = _TILE_COLORS[(3 * row + 2 * column + column // 3) % len(_TILE_COLORS)]
            tile = canvas[rows[row] : rows[row + 1], columns[column] : columns[column + 1]]
            tile[:] = ground
            if letter in _CORNERS:
                size = (tile.shape[1], tile.shape[0])
                right, bottom = _CORNERS[letter]
                center = (right * size[0], bottom * size[1])
                cv2.ellipse(tile, center, size, 0, 0, 360, disc, cv2.FILLED, cv2.LINE_AA)


def _draw_panel(canvas: npt.NDArray[Any]) -> None:
    height = canvas.shape[0]
    top, bottom = round(_PANEL[0] * height), round(_PANEL[1] * height)
    canvas[top:bottom] = INK
    edge = max(2, round(0.012 * height))
    canvas[top : top + edge] = CREAM
    canvas[bottom - edge : bottom] = CREAM
    _write(canvas, TITLE, part_of_width=0.86, baseline=top + (bottom - top) * 0.52, thickness=0.055, color=CREAM)
    _write(canvas, SUBTITLE, part_of_width=0.86, baseline=top + (bottom - top) * 0.76, thickness=0.03, color=AMBER)


def _write(
    canvas: npt.NDArray[Any], text: str, *, part_of_width: float, baseline: float, thickness: float, color: Color
) -> None:
    """Writes one centred line as wide as `part_of_width`; `thickness` is in parts of the letters' height."""
    (unit_width, unit_height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.0, 1)
    size = part_of_width * canvas.shape[1] / unit_width
    stroke = max(1, round(thickness * 2 * unit_height * size))
    (text_width, _), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, size, stroke)
    start = (round((canvas.shape[1] - text_width) / 2), round(baseline))
    cv2.putText(canvas, text, start, cv2.FONT_HERSHEY_DUPLEX, size, color, stroke, cv2.LINE_AA)
