"""Plots of a report as SVG, drawn without a library: coverage by day, and times to the decision by day.

They have no script, no style attribute and no external reference, and say in words what they show. A day without
numbers is hatched, not low.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import ceil, floor, log10
from typing import Final
from xml.sax.saxutils import escape, quoteattr

from worker.ingest.coverage.ledger import KINDS
from worker.ingest.coverage.totals import DayTotals
from worker.insight.durations import DurationSketch
from worker.insight.formats import duration
from worker.insight.period import Period

WIDTH: Final = 960
HEIGHT: Final = 320
_LEFT, _RIGHT, _TOP, _BOTTOM = 84, 944, 56, 276
"""Pixels: edges of the plot."""

_LABELS: Final = 12
"""Days that are named on the axis, at most."""


@dataclass(frozen=True, kw_only=True)
class PlotColours:
    """Colours of a plot, as SVG writes them."""

    parts: Mapping[str, str]
    """Parts of a day, from the bottom up."""
    ink: str
    faint: str
    grid: str
    stem: str
    hatch: str
    paper: str


_PARTS: Final = {
    "moderated": ("#2f6f5e", "#3c9c74"),
    "skipped": ("#8fb8ab", "#a5d6c2"),
    "failed": ("#b45309", "#f5b14c"),
    "missed": ("#b3261e", "#ff8f8a"),
    "not settled": ("#9aa3ad", "#75818f"),
}
_LINES: Final = {
    "ink": ("#1b1f24", "#e8ebf0"),
    "faint": ("#4b5563", "#a3adba"),
    "grid": ("#e1e5ea", "#2a323d"),
    "stem": ("#c3cad3", "#75818f"),
    "hatch": ("#b6bec8", "#4a5563"),
    "paper": ("#ffffff", "#151a21"),
}
"""Colours for light and for dark pages, the latter the desk's own."""

LIGHT, DARK = (
    PlotColours(
        parts={name: pair[look] for name, pair in _PARTS.items()},
        **{name: pair[look] for name, pair in _LINES.items()},
    )
    for look in (0, 1)
)
"""For paper and pages in light mode; for pages in dark mode."""

SHORTEST_SECONDS: Final = 1.0
"""The bottom of the axis of times: shorter ones are drawn on it."""

_TICKS: Final = (
    *((1.0, "1 s"), (10.0, "10 s"), (60.0, "1 min"), (600.0, "10 min"), (3_600.0, "1 h"), (36_000.0, "10 h")),
    *((86_400.0, "1 d"), (864_000.0, "10 d"), (34_560_000.0, "400 d")),
)
"""Labels of the axis of times; the last is the life of a record, above which no time is."""


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """The places of days on the horizontal axis."""

    days: Sequence[date]

    @property
    def width(self) -> float:
        return (_RIGHT - _LEFT) / len(self.days)

    def left(self, day: date) -> float:
        return _LEFT + (day - self.days[0]).days * self.width

    def middle(self, day: date) -> float:
        return self.left(day) + self.width / 2


def coverage_plot(period: Period, totals: Sequence[DayTotals], colours: PlotColours = LIGHT) -> str:
    """Draws the shares of each day's streamed time: moderated, skipped, failed, missed and not settled."""
    columns, by_day = _Columns(days=tuple(period.days())), {one.day: one for one in totals}
    marks: list[str] = []
    for day in columns.days:
        parts = _parts(by_day.get(day))
        streamed = sum(parts.values())
        if not streamed:
            marks.append(_rect(columns.left(day), _TOP, columns.width, _BOTTOM - _TOP, "url(#none)", f"{day}: no data"))
        bottom = float(_BOTTOM)
        for name, amount in parts.items():
            height = (_BOTTOM - _TOP) * amount / streamed if streamed else 0.0
            if height:
                bottom -= height
                title = f"{day}: {name} {duration(amount)} of {duration(streamed)}"
                width = max(columns.width - min(2.0, columns.width / 4), 0.5)
                marks.append(_rect(columns.left(day), bottom, width, height, colours.parts[name], title))
    grid = [(_BOTTOM - (_BOTTOM - _TOP) * tenths / 10, f"{tenths * 10} %") for tenths in (0, 5, 10)]
    grid.insert(2, (_TOP + (_BOTTOM - _TOP) * 0.1, "90 %"))
    return _drawing(
        title=f"Coverage by day, {period.first} to {period.last}",
        described="Share of the streamed time of each day that was moderated, skipped, failed or missed. Hatched days "
        "have no data.",
        legend=[*colours.parts.items(), ("no data", "url(#none)")],
        grid=grid,
        marks=marks,
        columns=columns,
        colours=colours,
    )


def _parts(day: DayTotals | None) -> dict[str, float]:
    """Seconds of each part; what was settled beyond what the day listed is of another day, and leaves no rest."""
    if day is None:
        return {}
    parts = {"moderated": day.seconds.get("moderated", 0.0), **{kind: day.kind_seconds(kind) for kind in KINDS}}
    parts = {name: max(0.0, amount) for name, amount in parts.items()}
    return parts | {"not settled": max(0.0, day.seconds.get("elapsed", 0.0) - sum(parts.values()))}


def times_plot(period: Period, times: Mapping[date, DurationSketch], colours: PlotColours = LIGHT) -> str:
    """Draws the median and the 95th percentile of the times to the decision, by its day, on a logarithmic axis."""
    columns = _Columns(days=tuple(period.days()))
    found = {
        day: (median, p95)
        for day, sketch in sorted(times.items())
        if (median := sketch.quantile(0.5)) is not None and (p95 := sketch.quantile(0.95)) is not None
    }
    longest = max([_TICKS[2][0], *(p95 for _, p95 in found.values())])
    top = next((seconds for seconds, _ in _TICKS if seconds >= longest), _TICKS[-1][0])

    def y_of(seconds: float) -> float:
        return _BOTTOM - (_BOTTOM - _TOP) * log10(max(seconds, SHORTEST_SECONDS)) / log10(top)

    radius = min(4.0, max(1.2, columns.width / 2))
    marks = []
    for day in columns.days:
        x = columns.middle(day)
        if day not in found:
            marks.append(
                _rect(columns.left(day), _TOP, columns.width, _BOTTOM - _TOP, "url(#none)", f"{day}: no decision")
            )
            continue
        median, p95 = found[day]
        title = f"{day}: {times[day].n:,} decided, median {duration(median)}, 95 % within {duration(p95)}"
        marks.append(
            f'<g><title>{escape(title)}</title><line x1="{x:.1f}" y1="{y_of(median):.1f}" x2="{x:.1f}" '
            f'y2="{y_of(p95):.1f}" stroke="{colours.stem}" stroke-width="{radius / 2:.1f}"/>'
            f'<circle cx="{x:.1f}" cy="{y_of(median):.1f}" r="{radius:.1f}" fill="{colours.parts["moderated"]}"/>'
            f'<rect x="{x - radius:.1f}" y="{y_of(p95) - radius:.1f}" width="{2 * radius:.1f}" '
            f'height="{2 * radius:.1f}" fill="{colours.parts["failed"]}"/></g>'
        )
    grid = [(y_of(seconds), label) for seconds, label in _TICKS if seconds <= top]
    return _drawing(
        title=f"Times to the decision, {period.first} to {period.last}",
        described="Median and 95th percentile of the time from the raising of an incident to its first decision, by "
        "the day of the decision; logarithmic. Hatched days have no decision.",
        legend=[
            ("median", colours.parts["moderated"]),
            ("95 % within", colours.parts["failed"]),
            ("no decision", "url(#none)"),
        ],
        grid=grid,
        marks=marks,
        columns=columns,
        colours=colours,
    )


def _drawing(
    *,
    title: str,
    described: str,
    legend: Sequence[tuple[str, str]],
    grid: Sequence[tuple[float, str]],
    marks: Iterable[str],
    columns: _Columns,
    colours: PlotColours,
) -> str:
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label={quoteattr(title)} font-family="system-ui, sans-serif" font-size="12">',
        f"<title>{escape(title)}</title><desc>{escape(described)}</desc>",
        '<defs><pattern id="none" width="6" height="6" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
        f'<rect width="6" height="6" fill="{colours.paper}"/>'
        f'<line x1="0" y1="0" x2="0" y2="6" stroke="{colours.hatch}" '
        'stroke-width="2"/></pattern></defs>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{colours.paper}"/>',
        f'<text x="16" y="22" font-size="15" font-weight="600" fill="{colours.ink}">{escape(title)}</text>',
        *_legend(legend, colours),
        *(
            f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_RIGHT}" y2="{y:.1f}" stroke="{colours.grid}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end" fill="{colours.faint}">{escape(label)}</text>'
            for y, label in grid
        ),
        *marks,
        f'<line x1="{_LEFT}" y1="{_BOTTOM}" x2="{_RIGHT}" y2="{_BOTTOM}" stroke="{colours.ink}"/>',
        *_day_labels(columns, colours),
        "</svg>\n",
    ]
    return "\n".join(parts)


def _legend(entries: Sequence[tuple[str, str]], colours: PlotColours) -> Iterator[str]:
    x = float(_LEFT)
    for name, colour in entries:
        yield (
            f'<rect x="{x:.0f}" y="34" width="11" height="11" fill="{colour}" stroke="{colours.faint}" '
            'stroke-width="0.5"/>'
        )
        yield f'<text x="{x + 17:.0f}" y="44" fill="{colours.ink}">{escape(name)}</text>'
        x += 40 + 7.0 * len(name)


def _day_labels(columns: _Columns, colours: PlotColours) -> Iterator[str]:
    every = max(1, ceil(len(columns.days) / _LABELS))
    for number, day in enumerate(columns.days):
        if number % every == 0 and number + floor(every / 2) < len(columns.days):
            yield (
                f'<text x="{columns.middle(day):.1f}" y="{_BOTTOM + 18}" text-anchor="middle" fill="{colours.faint}">'
                f"{day:%m-%d}</text>"
            )


def _rect(x: float, y: float, width: float, height: float, fill: str, title: str) -> str:
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{fill}">'
        f"<title>{escape(title)}</title></rect>"
    )
