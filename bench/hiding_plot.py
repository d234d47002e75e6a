"""The plot of what is seen of hidden inserts, for the documentation."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from bench.hiding_report import HidingReport, RowSums
from bench.recall_plot import FAINT, GRID, INK, PAPER, SCALE

WIDTH = 760
LEFT, TOP, RIGHT, BOTTOM = 170, 66, 96, 40
ROW_HEIGHT, BAR_HEIGHT = 24, 14
SEEN, LEDGER, GOAL = "#1d4ed8", "#f59e0b", "#c1121f"
STEP = 0.2


def draw_hiding(path: Path, report: HidingReport) -> None:
    """Writes a bar for each row: the part seen, the part that is in the ledger, and the goal."""
    height = TOP + ROW_HEIGHT * len(report.hidden) + BOTTOM
    image = Image.new("RGB", (WIDTH * SCALE, height * SCALE), PAPER)
    plane = ImageDraw.Draw(image)
    fonts = {size: ImageFont.load_default(size * SCALE) for size in (12, 13, 17)}

    def text(x: float, y: float, words: str, fill: str = INK, anchor: str = "lm", size: int = 12) -> None:
        plane.text((x * SCALE, y * SCALE), words, fill=fill, anchor=anchor, font=fonts[size])

    def box(left: float, top: float, right: float, bottom: float, fill: str) -> None:
        plane.rectangle((left * SCALE, top * SCALE, right * SCALE, bottom * SCALE), fill=fill)

    def at(share: float) -> float:
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    text(16, 20, f"Hidden inserts of 0.5 to 1.5 s, profile {report.profile}", size=17)
    x: float = 16
    for colour, words in ((SEEN, "seen"), (LEDGER, "not seen, in the ledger"), (GOAL, "goal for seen")):
        box(x, 39, x + (3 if colour == GOAL else 12), 51, colour)
        text(x + 18, 45, words, FAINT)
        x += 32 + plane.textlength(words, font=fonts[12]) / SCALE
    bottom = height - BOTTOM
    for step in range(round(1 / STEP) + 1):
        share = step * STEP
        box(at(share), TOP, at(share) + 0.5, bottom, GRID)
        text(at(share), bottom + 14, f"{share:.0%}", FAINT, "mm")
    for number, (row, results) in enumerate(report.hidden.items()):
        sums = RowSums.of(results)
        seen, accounted = sums.seen / sums.inserts, sums.accounted / sums.inserts
        middle = TOP + ROW_HEIGHT * (number + 0.5)
        top, low = middle - BAR_HEIGHT / 2, middle + BAR_HEIGHT / 2
        text(LEFT - 10, middle, row.name, anchor="rm", size=13)
        if accounted > seen:
            box(at(seen), top, at(accounted), low, LEDGER)
        if seen:
            box(at(0), top, at(seen), low, SEEN)
        if row.floor:
            box(at(row.floor) - 1, top - 3, at(row.floor) + 1, low + 3, GOAL)
        text(WIDTH - RIGHT + 12, middle, f"{sums.seen} of {sums.inserts}", FAINT)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)
