"""Points of a timeline for those who walk along it: samples with their scores, between what its list has."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.timeline.drawing import CaseTimeline
from worker.timeline.series import CaseSeries, SeriesCell

MOST_POINTS: Final = 100
"""Points, evenly taken: they are some pixels apart, and a page has some 8 kB for them."""


@dataclass(frozen=True, kw_only=True)
class WalkPoint:
    """A point. Its texts are not escaped: a template does that."""

    x_percent: float
    time: str
    text: str


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
    span, points = timeline.span, []
    found = [(place.begin_ms, place.end_ms, cell) for place, cell in series.cells.items() if cell.samples]
    cells = sorted(found, key=lambda one: one[0])
    for begin_ms, end_ms, cell in _evenly(cells):
        at_ms = (begin_ms + end_ms) // 2
        if span.holds(at_ms):
            text = cell_text(cell.samples, {name: score / 1000 for name, score in sorted(cell.scores.items())})
            points.append(WalkPoint(x_percent=span.percent(at_ms), time=clock(begin_ms), text=text))
    return tuple(points)


def _evenly(cells: Sequence[tuple[int, int, SeriesCell]]) -> list[tuple[int, int, SeriesCell]]:
    if len(cells) <= MOST_POINTS:
        return list(cells)
    return [cells[index * len(cells) // MOST_POINTS] for index in range(MOST_POINTS)]
