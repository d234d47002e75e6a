"""The plot of a replay: histograms of scores with the thresholds of rules."""

from collections.abc import Sequence
from io import BytesIO
from math import log10
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from config.counts import counted
from worker.errors import ReplayError
from worker.replay.replaying import ScoreCounts
from worker.replay.thresholds import Threshold

FORMATS: Final = {
    ".png": "PNG",
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".webp": "WEBP",
    ".gif": "GIF",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".pdf": "PDF",
}
"""Suffix of the file -> Pillow's name of its format."""

WIDTH = 1200
_PANEL, _BOTTOM, _LEFT, _RIGHT = 340, 72, 124, 1170
"""Pixels: a panel's height, the space below its plot, and the left and right edge of the plot."""
_FRAME = 12
"""Pixels of space at the left and right edge."""
_LABEL = 17
"""Pixels from one label of a threshold to the next below."""

_PAPER, _INK, _FAINT, _GRID, _BAR = "#ffffff", "#1b1f24", "#6b7280", "#e5e7eb", "#9fb3c8"
_COLOURS = ("#c1121f", "#1a7f37", "#7c3aed", "#b45309", "#0369a1", "#be185d", "#4d7c0f", "#334155")
"""Colours of rules, in their order."""


def format_of(path: Path) -> str:
    """The format for a file's name.

    Raises:
        ReplayError: its suffix is not one of FORMATS.
    """
    try:
        return FORMATS[path.suffix.lower()]
    except KeyError as error:
        raise ReplayError(f"{path}: expected a name that ends in {', '.join(FORMATS)}") from error


def score_plot(scores: ScoreCounts, *, title: str, file_format: str = "PNG") -> bytes:
    """Draws a panel for each score with a threshold: a histogram of pictures on a log scale, and a line for each
    threshold with the number of pictures on its right. Returns the file's bytes.

    Args:
        file_format: one of FORMATS.
    """
    thresholds = scores.thresholds
    names = sorted({threshold.score for threshold in thresholds})
    rules = list(dict.fromkeys(threshold.rule for threshold in thresholds))
    colours = {rule: _COLOURS[number % len(_COLOURS)] for number, rule in enumerate(rules)}
    heights = {name: _PANEL + _LABEL * len(_labels(name, thresholds)) for name in names}
    image = Image.new("RGB", (WIDTH, 56 + (sum(heights.values()) or 60)), _PAPER)
    draw = ImageDraw.Draw(image)
    draw.text((24, 18), title, _INK, _font(19))
    if not names:
        draw.text((24, 62), "No rule of this policy compares a score with a number.", _FAINT, _font(15))
    top = 56
    for name in names:
        mine = _labels(name, thresholds)
        labels = [(threshold, cut_label(threshold, scores.right[threshold])) for threshold in mine]
        counts = scores.counts.get(name, np.zeros(1, np.int64))
        _panel(image, top, heights[name], name, counts, labels, colours)
        top += heights[name]
    encoded = BytesIO()
    image.save(encoded, file_format)
    return encoded.getvalue()


def _labels(name: str, thresholds: Sequence[Threshold]) -> list[Threshold]:
    """The thresholds of a score from the top down, so that no line crosses the label of another."""
    mine = [one for one in thresholds if one.score == name]
    return sorted(
        mine, key=lambda one: (_label_is_left(one), -one.value if _label_is_left(one) else one.value, one.rule)
    )


def _label_is_left(threshold: Threshold) -> bool:
    """Returns whether the label stands left of its line, where there is more room."""
    return threshold.value > 0.5


def cut_label(threshold: Threshold, right: int) -> str:
    """The label of a threshold's line; `right`: pictures on its right."""
    return f"{threshold.rule}  {threshold.value:g}: {counted(right, 'picture')} right of it"


def _panel(
    image: Image.Image,
    top: int,
    height: int,
    name: str,
    counts: npt.NDArray[np.int64],
    labels: Sequence[tuple[Threshold, str]],
    colours: dict[str, str],
) -> None:
    draw = ImageDraw.Draw(image)
    floor, ceiling = top + height - _BOTTOM, top + 44 + _LABEL * len(labels)
    decades = max(1, int(np.ceil(log10(max(int(counts.max(initial=0)), 1) + 1))))

    def x_of(score: float) -> float:
        return _LEFT + (_RIGHT - _LEFT) * score

    def y_of(count: float) -> float:
        # A single picture must be visible, and none must not.
        return floor - (floor - ceiling) * (log10(count) + 0.15) / (decades + 0.15)

    draw.text((_LEFT, top + 8), f"{name}: {counted(int(counts.sum()), 'picture')}", _INK, _font(16))
    draw.text(((_LEFT + _RIGHT) / 2, floor + 34), f"score {name}", _INK, _font(14), anchor="ma")
    _vertical_title(image, (20, (floor + ceiling) // 2), "pictures (log scale)")
    for power in range(decades + 1):
        y = y_of(10.0**power)
        draw.line((_LEFT, y, _RIGHT, y), _GRID)
        draw.text((_LEFT - 10, y), f"{10**power:,}", _INK, _font(13), anchor="rm")
    width = (_RIGHT - _LEFT) / len(counts)
    for number, count in enumerate(counts):
        if count:
            x = _LEFT + number * width
            draw.rectangle((x, y_of(float(count)), x + max(1.0, width - 2), floor), fill=_BAR)
    draw.line((_LEFT, floor, _RIGHT, floor), _INK)
    for tenth in range(11):
        draw.line((x_of(tenth / 10), floor, x_of(tenth / 10), floor + 5), _INK)
        draw.text((x_of(tenth / 10), floor + 9), f"{tenth / 10:g}", _INK, _font(13), anchor="ma")
    for number, (threshold, _) in enumerate(labels):
        x, y = _label_position(labels, number, x_of(min(1.0, threshold.value)), top)
        draw.line((x, y + 2, x, floor), colours[threshold.rule], width=2)
    # After all lines, and on a background: a label may be longer than the space to the next line.
    for number, (threshold, label) in enumerate(labels):
        x, y = _label_position(labels, number, x_of(min(1.0, threshold.value)), top)
        length = draw.textlength(label, _font(14))
        begin = min(max(_FRAME, x - 8 - length if _label_is_left(threshold) else x + 8), WIDTH - _FRAME - length)
        draw.rectangle((begin - 3, y - _LABEL / 2 + 1, begin + length + 3, y + _LABEL / 2 - 1), fill=_PAPER)
        draw.text((begin, y), label, colours[threshold.rule], _font(14), anchor="lm")


def _label_position(labels: Sequence[tuple[Threshold, str]], number: int, x: float, top: int) -> tuple[float, int]:
    """The start of a threshold's line; lines at one value stand side by side."""
    same = sum(one.value == labels[number][0].value for one, _ in labels[:number])
    return x - 3 * same, top + 38 + _LABEL * number


def _vertical_title(image: Image.Image, centre: tuple[int, int], text: str) -> None:
    """Draws the title of a vertical axis, rotated by 90°."""
    left, top, right, bottom = (round(edge) for edge in _font(14).getbbox(text))
    title = Image.new("RGB", (right - left, bottom - top), _PAPER)
    ImageDraw.Draw(title).text((-left, -top), text, _INK, _font(14))
    rotated = title.rotate(90, expand=True)
    image.paste(rotated, (centre[0] - rotated.width // 2, centre[1] - rotated.height // 2))


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
