"""Points of a timeline for those who walk along it: everything in its list, and samples with their scores between."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.timeline.drawing import CaseTimeline
from worker.timeline.series import CaseSeries, SeriesCell

MOST_POINTS: Final = 240
"""Points of samples, evenly taken: nearer ones are on one pixel, and a page has some 20 kB for them."""


@dataclass(frozen=True, kw_only=True)
class WalkPoint:
    """A point. Its texts are not escaped: a template does that."""

    x_percent: float
    time: str
    text: str
    anchor: str = ""
    """The id of its place in the list; empty: it is not in there."""
    noted: bool = False
    """It is in the list: a gap, a hit, something that happened."""


def walk(
    series: CaseSeries,
    timeline: CaseTimeline,
    *,
    clock: Callable[[int], str],
    cell_text: Callable[[int, dict[str, float]], str],
) -> tuple[WalkPoint, ...]:
    """Points in order of time.

    Args:
        clock: as of `draw`.
        cell_text: words for a number of samples and their highest scores.
    """
    span = timeline.span
    points = [
        (
            entry.at_ms,
            WalkPoint(x_percent=entry.x_percent, time=entry.time, text=entry.text, anchor=entry.anchor, noted=True),
        )
        for entry in timeline.log
    ]
    found = [(place.begin_ms, place.end_ms, cell) for place, cell in series.cells.items() if cell.samples]
    cells = sorted(found, key=lambda one: one[0])
    for begin_ms, end_ms, cell in _evenly(cells):
        at_ms = (begin_ms + end_ms) // 2
        if span.holds(at_ms):
            text = cell_text(cell.samples, {name: score / 1000 for name, score in sorted(cell.scores.items())})
            points.append((at_ms, WalkPoint(x_percent=span.percent(at_ms), time=clock(begin_ms), text=text)))
    points.sort(key=lambda one: one[0])
    return tuple(point for _, point in points)


def _evenly(cells: Sequence[tuple[int, int, SeriesCell]]) -> list[tuple[int, int, SeriesCell]]:
    if len(cells) <= MOST_POINTS:
        return list(cells)
    return [cells[index * len(cells) // MOST_POINTS] for index in range(MOST_POINTS)]
