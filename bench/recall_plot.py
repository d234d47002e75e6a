"""The plot of cost and recall, for the README."""

import math
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

SCALE = 2
"""Pixels a unit, so that the plot is sharp on dense screens."""
WIDTH, HEIGHT = 760, 440
LEFT, TOP, RIGHT, BOTTOM = 70, 58, 30, 62
"""Margins around the plane."""
PAPER, INK, FAINT, GRID = "#ffffff", "#1b1f24", "#6b7280", "#e5e7eb"
COLOURS = ("#c1121f", "#1d4ed8", "#b45309", "#374151", "#047857")
OUTLINE_UNITS = 2
LABEL_SIZE, LABEL_RIGHT = 13, 10
LABEL_DOWN, LABEL_UP = (16, 34, 52, 70), (-14, -32, -50, -68)
"""Units from a point to its label; the first free place is used."""
RECALL_STEP = 0.2

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """The cost of a method and its recall."""

    milliseconds: float
    """CPU for a second of video, > 0."""
    recall: float


@dataclass(frozen=True, kw_only=True)
class Series:
    """One method: all settings of encoders together, and each separately."""

    name: str
    all: Point
    low: float
    high: float
    """Confidence interval of the recall over all settings."""
    parts: tuple[Point, ...]


class _Plane:
    def __init__(self, draw: ImageDraw.ImageDraw, decades: range) -> None:
        self.draw = draw
        self.decades = decades
        self._fonts = {size: ImageFont.load_default(size * SCALE) for size in (12, LABEL_SIZE, 17)}

    def at(self, milliseconds: float, recall: float) -> tuple[float, float]:
        share = (math.log10(milliseconds) - self.decades[0]) / (self.decades[-1] - self.decades[0])
        x = LEFT + share * (WIDTH - LEFT - RIGHT)
        y = HEIGHT - BOTTOM - recall * (HEIGHT - TOP - BOTTOM)
        return x * SCALE, y * SCALE

    def text(self, x: float, y: float, text: str, *, fill: str, anchor: str, size: int = 12) -> None:
        # An outline in the background colour keeps text legible over a point.
        self.draw.text(
            (x, y),
            text,
            fill=fill,
            anchor=anchor,
            font=self._fonts[size],
            stroke_width=OUTLINE_UNITS * SCALE,
            stroke_fill=PAPER,
        )

    def extent(self, x: float, y: float, text: str, *, anchor: str, size: int) -> Box:
        return self.draw.textbbox((x, y), text, anchor=anchor, font=self._fonts[size])

    def dot(self, point: Point, radius: float, fill: str) -> None:
        x, y = self.at(point.milliseconds, point.recall)
        reach = radius * SCALE
        self.draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=fill, outline=PAPER, width=SCALE)


def draw(path: Path, series: list[Series], *, subtitle: str) -> None:
    """Writes the picture in the format of the path's suffix."""
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
    costs = [math.log10(point.milliseconds) for one in series for point in (one.all, *one.parts)]
    plane = _Plane(ImageDraw.Draw(image), range(math.floor(min(costs)), math.ceil(max(costs)) + 1))
    _frame(plane, subtitle)
    for one, colour in zip(series, COLOURS, strict=False):
        for part in one.parts:
            plane.dot(part, 3, _paler(colour))
    for one, colour in zip(series, COLOURS, strict=False):
        plane.draw.line(
            (*plane.at(one.all.milliseconds, one.low), *plane.at(one.all.milliseconds, one.high)),
            fill=colour,
            width=2 * SCALE,
        )
        plane.dot(one.all, 7, colour)
    labels: list[Box] = []
    for one, colour in zip(series, COLOURS, strict=False):
        labels.append(_label(plane, one, colour, labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def _label(plane: _Plane, one: Series, colour: str, labels: list[Box]) -> Box:
    """Labels a method beside its point, where there is no label yet; returns the place of the label."""
    text = f"{one.name}: {one.all.recall:.1%} at {one.all.milliseconds:.0f} ms"
    x, y = plane.at(one.all.milliseconds, one.all.recall)
    # Further right it would leave the picture.
    leftwards = x > 0.6 * WIDTH * SCALE
    x += (-LABEL_RIGHT if leftwards else LABEL_RIGHT) * SCALE
    anchor = "rm" if leftwards else "lm"
    for down in LABEL_DOWN if one.all.recall > 0.5 else LABEL_UP:
        place = plane.extent(x, y + down * SCALE, text, anchor=anchor, size=LABEL_SIZE)
        if not any(_overlap(place, label) for label in labels):
            break
    plane.text(x, y + down * SCALE, text, fill=colour, anchor=anchor, size=LABEL_SIZE)
    return place


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _frame(plane: _Plane, subtitle: str) -> None:
    plane.text(
        LEFT * SCALE, 20 * SCALE, "Inserts between keyframes: seen, and at what cost", fill=INK, anchor="lm", size=17
    )
    plane.text(LEFT * SCALE, 40 * SCALE, subtitle, fill=FAINT, anchor="lm")
    least, most = 10.0 ** plane.decades[0], 10.0 ** plane.decades[-1]
    for decade in plane.decades:
        milliseconds = 10.0**decade
        plane.draw.line((*plane.at(milliseconds, 0), *plane.at(milliseconds, 1)), fill=GRID, width=SCALE)
        x, y = plane.at(milliseconds, 0)
        plane.text(x, y + 14 * SCALE, f"{milliseconds:g} ms", fill=FAINT, anchor="mm")
    for step in range(round(1 / RECALL_STEP) + 1):
        recall = step * RECALL_STEP
        plane.draw.line((*plane.at(least, recall), *plane.at(most, recall)), fill=GRID, width=SCALE)
        x, y = plane.at(least, recall)
        plane.text(x - 10 * SCALE, y, f"{recall:.0%}", fill=FAINT, anchor="rm")
    x, y = plane.at(math.sqrt(least * most), 0)
    plane.text(
        x,
        y + 38 * SCALE,
        "CPU for a second of video, with a classifier on each picture taken (less is better)",
        fill=INK,
        anchor="mm",
    )
    x, y = plane.at(least, 1)
    plane.text(x - 58 * SCALE, y - 14 * SCALE, "recall", fill=INK, anchor="lm")


def _paler(colour: str) -> str:
    """The colour mixed with white in equal parts."""
    channels = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{(channel + 255) // 2:02x}" for channel in channels)
