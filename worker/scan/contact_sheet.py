"""The contact sheet: the sampled pictures of a scan on one page.

Pictures are grey and blurred beyond recognition unless the sheet may be clear.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from sampler.picture import Picture
from worker.moderation.verdict import SampleVerdict

THUMB_WIDTH, THUMB_HEIGHT = 240, 135
"""Pixels of the box that a picture is fitted into."""

BLURRED_SIDE_PIXELS = 14
"""A blurred picture is first averaged down to this many pixels on its longer side: light and dark areas stay, enough to
distinguish scenes, and no face or body does. Averaging cannot be reversed."""

CLEAR_PIXELS = 4 * THUMB_WIDTH * THUMB_HEIGHT
"""Size that clear thumbnails are made from."""

MAX_CELLS = 300
"""Cells of a sheet: 50 rows, about 10,000 pixels high. Every sample's thumbnail is kept until the choice: at most
14 × 14 bytes if blurred, 3 × 240 × 135 if clear."""

COLUMNS = 6
_MARGIN = 12
_CAPTION_LINES = 4
_LINE_HEIGHT = 16
_HEADER_HEIGHT = 40
_CELL_WIDTH = THUMB_WIDTH + _MARGIN
_CELL_HEIGHT = THUMB_HEIGHT + _CAPTION_LINES * _LINE_HEIGHT + _MARGIN

_PAPER, _INK, _FAINT, _ALARM = "#ffffff", "#1b1f24", "#6b7280", "#c1121f"

Plane = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class _Cell:
    thumb: Plane
    """uint8: (H, W) blurred, before it is enlarged; or (H, W, 3), RGB, clear."""
    width: int
    """Pixels on the sheet; so is `height`."""
    height: int
    sample: SampleVerdict


class ContactSheet:
    """Collects thumbnails of samples, and lays them out."""

    def __init__(self, *, clear: bool = False) -> None:
        """`clear`: in colour and sharp; the caller decides at the end whether that is allowed."""
        self._clear = clear
        self._cells: list[_Cell] = []

    def add(self, picture: Picture, sample: SampleVerdict) -> None:
        """Keeps a thumbnail of `picture`, not the picture."""
        scale = min(THUMB_WIDTH / picture.width, THUMB_HEIGHT / picture.height)
        width, height = max(1, round(picture.width * scale)), max(1, round(picture.height * scale))
        clear = self._clear
        thumb = _shrunk(picture.rgb(CLEAR_PIXELS), width, height) if clear else blurred(picture.luma())
        self._cells.append(_Cell(thumb=thumb, width=width, height=height, sample=sample))

    def png(self, title: str, *, clear: bool) -> bytes:
        """The sheet as a PNG file.

        Args:
            title: the first line.
            clear: False blurs clear thumbnails.
        """
        cells = _chosen(self._cells)
        if len(cells) < len(self._cells):
            title = f"{title} — {len(cells)} of {len(self._cells)} samples"
        columns = min(COLUMNS, max(1, len(cells)))
        rows = -(-len(cells) // columns)
        width = max(_MARGIN + columns * _CELL_WIDTH, 3 * _CELL_WIDTH)
        sheet = Image.new("RGB", (width, _HEADER_HEIGHT + rows * _CELL_HEIGHT + _MARGIN), _PAPER)
        draw = ImageDraw.Draw(sheet)
        draw.text((_MARGIN, _MARGIN), _fitted(draw, title, _font(16), width - 2 * _MARGIN), _INK, _font(16))
        for index, cell in enumerate(cells):
            row, column = divmod(index, columns)
            _draw_cell(draw, sheet, cell, _MARGIN + column * _CELL_WIDTH, _HEADER_HEIGHT + row * _CELL_HEIGHT, clear)
        encoded = BytesIO()
        sheet.save(encoded, "PNG")
        return encoded.getvalue()


def blurred(luma: Plane) -> Plane:
    """Averages `luma` (uint8, (H, W)) down to at most `BLURRED_SIDE_PIXELS` a side."""
    height, width = luma.shape
    scale = min(1.0, BLURRED_SIDE_PIXELS / max(height, width))
    return _shrunk(luma, max(1, round(width * scale)), max(1, round(height * scale)))


def _shrunk(plane: Plane, width: int, height: int) -> Plane:
    return np.asarray(cv2.resize(plane, (width, height), interpolation=cv2.INTER_AREA), np.uint8)


def _chosen(cells: Sequence[_Cell]) -> list[_Cell]:
    """At most `MAX_CELLS` cells: those with a hit first, the others evenly spread."""
    if len(cells) <= MAX_CELLS:
        return list(cells)
    hits = [index for index, cell in enumerate(cells) if cell.sample.hits][:MAX_CELLS]
    others = sorted(set(range(len(cells))) - set(hits))
    room = MAX_CELLS - len(hits)
    spread = [others[index * len(others) // room] for index in range(room)] if others else []
    return [cells[index] for index in sorted({*hits, *spread})]


def _draw_cell(draw: ImageDraw.ImageDraw, sheet: Image.Image, cell: _Cell, left: int, top: int, clear: bool) -> None:
    thumb = cell.thumb
    if not clear and thumb.ndim == 3:
        thumb = blurred(np.asarray(cv2.cvtColor(thumb, cv2.COLOR_RGB2GRAY), np.uint8))
    enlarged = cv2.resize(thumb, (cell.width, cell.height), interpolation=cv2.INTER_CUBIC)
    x, y = left + (THUMB_WIDTH - cell.width) // 2, top + (THUMB_HEIGHT - cell.height) // 2
    sheet.paste(Image.fromarray(np.asarray(enlarged, np.uint8)).convert("RGB"), (x, y))
    if cell.sample.hits:
        draw.rectangle((left - 3, top - 3, left + THUMB_WIDTH + 2, top + THUMB_HEIGHT + 2), outline=_ALARM, width=3)
    for line, (text, colour) in enumerate(_caption(cell.sample)):
        position = (left, top + THUMB_HEIGHT + 4 + line * _LINE_HEIGHT)
        draw.text(position, _fitted(draw, text, _font(12), THUMB_WIDTH), colour, _font(12))


def _caption(sample: SampleVerdict) -> list[tuple[str, str]]:
    state = [
        str(sample.reason),
        *([sample.flat] if sample.flat else []),
        *(["repeated"] if sample.deduplicated else []),
    ]
    lines = [(f"{sample.pts_seconds:.2f} s   {', '.join(state)}", _INK)]
    if sample.pdq is None:
        lines.append((f"unhashable (quality {sample.pdq_quality})", _FAINT))
    lines += [(f"match: {match.list} {match.entry} at {match.distance}", _ALARM) for match in sample.nearest]
    ranked = sorted(sample.scores.items(), key=lambda item: -item[1])
    lines += [(f"{name} {score:.3f}", _FAINT) for name, score in ranked]
    return lines[:_CAPTION_LINES]


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """`text`, cut with an ellipsis to `width` pixels."""
    if draw.textlength(text, font) <= width:
        return text
    while text and draw.textlength(f"{text}…", font) > width:
        text = text[:-1]
    return f"{text}…"


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size)
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
