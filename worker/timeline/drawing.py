"""The timeline of a case as SVG, from its series alone: x in per cent, so that one drawing serves all widths, y in px.

No style attribute and no script, for a strict Content-Security-Policy: classes are those of the desk's style sheet.
Every string is escaped, for names of rules, lists and scores are an operator's, and reasons were in Redis.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from worker.events.cloudevent import rfc3339
from worker.timeline.labels import anchored, beside, reason_text, safe, short
from worker.timeline.layout import (
    DROPPED_PERCENT,
    WIDE_PERCENT,
    Band,
    BandKind,
    TimeSpan,
    axis_ms,
    bands,
    placed,
    score_lines,
    span_of,
)
from worker.timeline.series import CaseSeries, SeriesHit

SCORE_TOP_PIXELS: Final = 62
SCORE_HEIGHT_PIXELS: Final = 60
MATCH_Y_PIXELS: Final = 138
EVENT_Y_PIXELS: Final = 162
AXIS_Y_PIXELS: Final = 176
MAX_TICKS_A_CELL: Final = 4
"""Samples of a cell that are drawn apart."""
MAX_TICKS: Final = 400
"""Limit for a drawing: nearer ones are one block on any screen."""
PRECISE_MS: Final = 3_600_000
"""Shorter (<) spans are drawn to the tenth of a second."""
MAX_SHOWN_MARKS: Final = 100
"""Decisions and other events, the newest."""

NOW_PERCENT: Final = 14.0
"""A time on the axis nearer (<) than this to now is shown on wide screens only."""

WIDE: Final = ' class="wide"'
"""Hides a part on a narrow screen."""

_BANDS: Final = {
    BandKind.SEEN: 'class="f-seen"',
    BandKind.MISSED: 'class="gap" fill="url(#hatch)"',
    BandKind.SKIPPED: 'class="gap" fill="none"',
    BandKind.UNKNOWN: 'class="wait" fill="url(#dots)"',
    BandKind.PENDING: 'class="wait" fill="url(#dots)"',
}
_PATTERNS: Final = (
    '<defs><pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path class="l-gap" d="M0 0v5"/></pattern>'
    '<pattern id="dots" width="4" height="4" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<path class="l-wait" d="M0 0v4"/></pattern></defs>'
)


@dataclass(frozen=True, kw_only=True)
class TimelineMark:
    """Something that happened beside the pictures: raised, taken, decided, reported."""

    at_ms: int
    text: str
    label: str = ""
    """Shorter, for the drawing; empty: the text."""


@dataclass(frozen=True, kw_only=True)
class ScoreLimit:
    """The threshold of a score."""

    name: str
    value: float
    """0 to 1."""


@dataclass(frozen=True, kw_only=True)
class CaseTimeline:
    """A drawing, and its content as a list for those who do not see it."""

    svg: str
    log: tuple["TimelineEntry", ...]
    """In order of time."""
    span: TimeSpan


@dataclass(frozen=True, kw_only=True)
class TimelineEntry:
    """A line of the list beneath a timeline. Its texts are not escaped: a template does that."""

    time: str
    text: str
    at_ms: int
    x_percent: float
    """Its place in the drawing."""
    anchor: str = ""
    """The id to which the drawing links; empty: nothing in the drawing leads here."""


def draw(
    series: CaseSeries,
    *,
    marks: Sequence[TimelineMark] = (),
    limits: Sequence[ScoreLimit] = (),
    now_ms: int | None = None,
    read_ms: int | None = None,
    clock: Callable[[int], str] = lambda at_ms: rfc3339(at_ms)[11:19],
) -> CaseTimeline:
    """Draws a series.

    Args:
        marks: from the record of the case: the series has none.
        now_ms: Redis's clock where the stream is live; None: it has ended.
        read_ms: as of `bands`.
        clock: a time of the day as HH:MM:SS, in the reader's zone; UTC otherwise.
    """
    shown = sorted(marks, key=lambda mark: mark.at_ms)[-MAX_SHOWN_MARKS:]
    span = span_of(series, [mark.at_ms for mark in shown], now_ms=now_ms)
    coverage = bands(series, span, now_ms=now_ms, read_ms=read_ms)
    drawing = _Drawing(series=series, span=span, limits=limits, clock=clock)
    parts = [
        '<svg role="group" aria-label="Timeline: coverage, samples, scores, matches and events. '
        'All of it is in the list below.">',
        _PATTERNS,
        *drawing.coverage(coverage),
        *drawing.samples(),
        *drawing.scores(),
        *([] if now_ms is None else [_upright("l-now", span.percent(now_ms))]),
        *drawing.hits(),
        *drawing.marks(shown),
        f'<line class="l-axis" x1="0" x2="100%" y1="{AXIS_Y_PIXELS}" y2="{AXIS_Y_PIXELS}"/>',
        *drawing.axis(now_ms),
        "</svg>",
    ]
    return CaseTimeline(svg="\n".join(parts), log=tuple(drawing.log(coverage, shown)), span=span)


def _upright(name: str, x_percent: float) -> str:
    return f'<line class="{name}" x1="{x_percent}%" x2="{x_percent}%" y1="2" y2="{AXIS_Y_PIXELS}"/>'


def _anchor(number: int) -> str:
    return f"tl-{number}"


def _gap_text(band: Band) -> str:
    """A gap in words: "Missed 12 s: stalled"."""
    if band.kind is BandKind.UNKNOWN:
        return f"No record of {_seconds(band)}: it is not known here whether it was moderated"
    said = "Skipped" if band.kind is BandKind.SKIPPED else "Missed"
    return f"{said} {_seconds(band)}: {reason_text(band.reason)}"


def _seconds(band: Band) -> str:
    return f"{max(1, round(band.lost_ms / 1000))} s"


def _hit_text(hit: SeriesHit, number: int, total: int, at: str) -> str:
    if hit.list:
        return f"Match {number} of {total} at {at}: list {hit.list}, distance {hit.distance}, rule {hit.rule}"
    return f"Hit {number} of {total} at {at}: rule {hit.rule}, {hit.severity}"


@dataclass(frozen=True, kw_only=True)
class _Drawing:
    series: CaseSeries
    span: TimeSpan
    limits: Sequence[ScoreLimit]
    clock: Callable[[int], str]

    def coverage(self, coverage: Sequence[Band]) -> list[str]:
        found: list[str] = []
        labels: list[tuple[float, str]] = []
        for band in coverage:
            begin, end = self.span.percent(band.begin_ms), self.span.percent(band.end_ms)
            # A gap is drawn as plainly as coverage, however short it is on a day's span.
            width = max(round(end - begin, 2), 0.01 if band.kind is BandKind.SEEN else 0.2)
            found.append(f'<rect x="{begin}%" y="6" width="{width}%" height="10" {_BANDS[band.kind]}/>')
            if band.reason:
                labels.append((round((begin + end) / 2, 2), f"{reason_text(band.reason)} {_seconds(band)}"))
        for one in placed(labels):
            at = anchored(one.x_percent, one.text) + (" wide" if one.wide else "")
            found.append(f'<text class="{at}" x="{one.x_percent}%" y="29">{short(one.text)}</text>')
        return found

    def samples(self) -> list[str]:
        """Ticks. A cell knows how many samples it has, not when each was taken: they are spread over it."""
        path: list[str] = []
        apart_ms = (self.span.end_ms - self.span.begin_ms) / MAX_TICKS
        last_ms = self.span.begin_ms - apart_ms
        for place in sorted(self.series.cells, key=lambda one: one.begin_ms):
            count = min(self.series.cells[place].samples, MAX_TICKS_A_CELL)
            for one in range(count):
                at_ms = place.begin_ms + (one + 0.5) * (place.end_ms - place.begin_ms) / count
                if at_ms - last_ms >= apart_ms:
                    path.append(f"M{self._second(at_ms)} 5v14")
                    last_ms = at_ms
        inner = f'<path class="l-tick" d="{"".join(path)}"/>' if path else ""
        return [self._stretched(34, 24, inner)]

    def scores(self) -> list[str]:
        top, height = SCORE_TOP_PIXELS, SCORE_HEIGHT_PIXELS
        lines = [f'<line class="l-line" x1="0" x2="100%" y1="{y}" y2="{y}"/>' for y in (top, top + height)]
        paths = [
            f'<path class="l-score" d="{"".join(map(self._run, runs))}"><title>{safe(name)}</title></path>'
            for name, runs in score_lines(self.series).items()
        ]
        lines.append(self._stretched(top, height, "".join(paths)))
        taken: list[float] = []
        for limit in sorted(self.limits, key=lambda one: -one.value):
            if not 0 <= limit.value <= 1:
                continue
            y = round(top + height * (1 - limit.value), 1)
            lines.append(
                f'<line class="l-limit" x1="0" x2="100%" y1="{y}" y2="{y}"><title>{safe(limit.name)}</title></line>'
            )
            if all(abs(y - other) >= 11 for other in taken):  # letters are 11 px high
                taken.append(y)
                lines.append(f'<text class="end" x="-6" y="{round(y + 4, 1)}">{limit.value:.2f}</text>')
        return lines

    def hits(self) -> list[str]:
        """Diamonds, each a link to its place in the list; the first can be reached by Tab, the others by arrows."""
        found: list[str] = []
        places = [self.span.percent(hit.capture_ms) for hit in self.series.hits]
        for number, hit in enumerate(self.series.hits, 1):
            x, after = places[number - 1], places[number] if number < len(places) else 200.0
            label = ""
            # The next diamond would cover it: of several that are near each other the last has its distance drawn.
            if hit.distance >= 0 and after - x >= DROPPED_PERCENT:
                wide = " wide" if after - x < WIDE_PERCENT else ""
                label = f'<text x="9" y="4" class="strong{wide}">{hit.distance}</text>'
            tab = "" if number == 1 else ' tabindex="-1"'
            found.append(
                f'<a{tab} href="#{_anchor(number)}" aria-labelledby="{_anchor(number)}">'
                f'<svg x="{x}%" y="{MATCH_Y_PIXELS}">'
                f'<circle class="ring" r="12"/><path class="f-critical" d="M0-6 6 0 0 6-6 0z"/>{label}</svg></a>'
            )
        return found

    def marks(self, marks: Sequence[TimelineMark]) -> list[str]:
        within = [
            (self.span.percent(mark.at_ms), mark.label or mark.text) for mark in marks if self.span.holds(mark.at_ms)
        ]
        found = [f'<svg x="{x}%" y="{EVENT_Y_PIXELS}"><path class="l-ink" d="M0-6v12"/></svg>' for x, _ in within]
        return found + [
            f'<svg x="{one.x_percent}%" y="{EVENT_Y_PIXELS}"{WIDE if one.wide else ""}>'
            f'<text{beside(one)} y="4">{short(one.text)}</text></svg>'
            for one in placed(within)
        ]

    def axis(self, now_ms: int | None) -> list[str]:
        now = None if now_ms is None else self.span.percent(now_ms)
        times = axis_ms(self.span)
        to_the_minute = all(at_ms % 60_000 == 0 for at_ms in times)
        labels = [(self.span.percent(at_ms), self.clock(at_ms)[: 5 if to_the_minute else 8]) for at_ms in times]
        found = []
        for one in placed(labels):
            from_now = 100.0 if now is None else abs(one.x_percent - now)
            if from_now >= WIDE_PERCENT:
                at = anchored(one.x_percent, one.text) + (" wide" if one.wide or from_now < NOW_PERCENT else "")
                found.append(f'<text class="{at}" x="{one.x_percent}%" y="190">{safe(one.text)}</text>')
        if now is not None:
            found.append(f'<text class="strong {anchored(now, "now")}" x="{now}%" y="190">now</text>')
        return found

    def log(self, coverage: Sequence[Band], marks: Sequence[TimelineMark]) -> list[TimelineEntry]:
        """All of it in words: gaps, hits and marks."""
        total = len(self.series.hits)
        said = [(band.begin_ms, _gap_text(band), "") for band in coverage if band.reason]
        said += [
            (hit.capture_ms, _hit_text(hit, number, total, self.clock(hit.capture_ms)), _anchor(number))
            for number, hit in enumerate(self.series.hits, 1)
        ]
        said += [(mark.at_ms, mark.text, "") for mark in marks]
        said.sort(key=lambda one: one[0])
        return [
            TimelineEntry(
                time=self.clock(at_ms), text=text, at_ms=at_ms, x_percent=self.span.percent(at_ms), anchor=anchor
            )
            for at_ms, text, anchor in said
        ]

    def _second(self, at_ms: float) -> float:
        # Tenths are nothing on a span of an hour, and thousands of them are some kB.
        precise = self.span.end_ms - self.span.begin_ms < PRECISE_MS
        return round((at_ms - self.span.begin_ms) / 1000, 1 if precise else None)

    def _run(self, run: Sequence[tuple[int, int]]) -> str:
        points = [
            f"{self._second(at_ms)} {round(SCORE_HEIGHT_PIXELS * (1 - thousandths / 1000), 1)}"
            for at_ms, thousandths in run
        ]
        # A run of one point would be invisible.
        return f"M{points[0]}h.1" if len(points) == 1 else "M" + "L".join(points)

    def _stretched(self, y: int, height: int, inner: str) -> str:
        length = self._second(self.span.end_ms)
        return (
            f'<svg y="{y}" width="100%" height="{height}" viewBox="0 0 {length} {height}" '
            f'preserveAspectRatio="none">{inner}</svg>'
        )
