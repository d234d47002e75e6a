"""The plot of cost and recall, for the README."""

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
COST_STEP, RECALL_STEP = 0.5, 0.2

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, in pixels."""


@dataclass(frozen=True, kw_only=True)
class Point:
    """The cost of a method, relative to full decoding, and its recall."""

    cost: float
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
    def __init__(self, draw: ImageDraw.ImageDraw, cost_max: float) -> None:
        self.draw = draw
        self._cost_max = cost_max
        self._fonts = {size: ImageFont.load_default(size * SCALE) for size in (12, LABEL_SIZE, 17)}

    def at(self, cost: float, recall: float) -> tuple[float, float]:
        x = LEFT + cost / self._cost_max * (WIDTH - LEFT - RIGHT)
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
        x, y = self.at(point.cost, point.recall)
        reach = radius * SCALE
        self.draw.ellipse((x - reach, y - reach, x + reach, y + reach), fill=fill, outline=PAPER, width=SCALE)


def draw(path: Path, series: list[Series], *, subtitle: str) -> None:
    """Writes the picture in the format of the path's suffix."""
    image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
    costs = [point.cost for one in series for point in (one.all, *one.parts)]
    steps = int(max(1.0, *costs) / COST_STEP) + 1
    plane = _Plane(ImageDraw.Draw(image), steps * COST_STEP)
    _frame(plane, steps, subtitle)
    for one, colour in zip(series, COLOURS, strict=False):
        for part in one.parts:
            plane.dot(part, 3, _paler(colour))
    for one, colour in zip(series, COLOURS, strict=False):
        plane.draw.line(
            (*plane.at(one.all.cost, one.low), *plane.at(one.all.cost, one.high)), fill=colour, width=2 * SCALE
        )
        plane.dot(one.all, 7, colour)
    labels: list[Box] = []
    for one, colour in zip(series, COLOURS, strict=False):
        labels.append(_label(plane, one, colour, labels))
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def _label(plane: _Plane, one: Series, colour: str, labels: list[Box]) -> Box:
    """Labels a method beside its point, where there is no label yet; returns the place of the label."""
    text = f"{one.name}: {one.all.recall:.1%} at {one.all.cost:.2f}"
    x, y = plane.at(one.all.cost, one.all.recall)
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


def _frame(plane: _Plane, steps: int, subtitle: str) -> None:
    plane.text(
        LEFT * SCALE, 20 * SCALE, "Inserts between keyframes: seen, and at what cost", fill=INK, anchor="lm", size=17
    )
    plane.text(LEFT * SCALE, 40 * SCALE, subtitle, fill=FAINT, anchor="lm")
    for step in range(steps + 1):
        cost = step * COST_STEP
        plane.draw.line((*plane.at(cost, 0), *plane.at(cost, 1)), fill=GRID, width=SCALE)
        x, y = plane.at(cost, 0)
        plane.text(x, y + 14 * SCALE, f"{cost:g}", fill=FAINT, anchor="mm")
    for step in range(round(1 / RECALL_STEP) + 1):
        recall = step * RECALL_STEP
        plane.draw.line((*plane.at(0, recall), *plane.at(steps * COST_STEP, recall)), fill=GRID, width=SCALE)
        x, y = plane.at(0, recall)
        plane.text(x - 10 * SCALE, y, f"{recall:.0%}", fill=FAINT, anchor="rm")
    x, y = plane.at(steps * COST_STEP / 2, 0)
    plane.text(
        x, y + 38 * SCALE, "CPU, decoding every picture with VideoCapture = 1 (less is better)", fill=INK, anchor="mm"
    )
    x, y = plane.at(0, 1)
    plane.text(x - 58 * SCALE, y - 14 * SCALE, "recall", fill=INK, anchor="lm")


def _paler(colour: str) -> str:
    """The colour mixed with white in equal parts."""
    channels = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return "#" + "".join(f"{(channel + 255) // 2:02x}" for channel in channels)
