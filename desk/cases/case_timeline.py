"""The timeline of a case: its series as the worker draws it, with what people and the platform did beside it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from desk.cases.case_view import CaseView
from desk.cases.event_values import ms_of, number_of, object_of, objects_of, text_of, whole_of
from desk.cases.reason_words import outcome_word, severity_word
from desk.cases.stream_view import StreamView
from desk.texts.catalogue import Texts
from desk.texts.clock import clock
from worker.ingest.coverage.ledger import entry
from worker.people.actor import folded
from worker.timeline.drawing import CaseTimeline, ScoreLimit, TimelineMark, draw
from worker.timeline.series import KEPT_MS, LONGEST_MS, CaseSeries, SeriesSegment, SeriesStretch
from worker.timeline.walk import WalkPoint, walk

MOST_LIMITS: Final = 6


@dataclass(frozen=True, kw_only=True)
class TimelineWords:
    """The timeline as its template needs it."""

    drawn: CaseTimeline | None
    """None: there is nothing to draw."""
    points: tuple[WalkPoint, ...]
    empty: str
    """The reason that there is nothing; empty: there is."""


def timeline_of(view: CaseView, stream: StreamView, series: CaseSeries, reader: str, texts: Texts) -> TimelineWords:
    """Draws the timeline of a case for `reader`."""
    marks = list(marks_of(view, stream, reader, texts))
    series = with_present_gap(series, stream, view.now_ms)
    if not series.cells and not series.hits:
        return TimelineWords(drawn=None, points=(), empty=texts("timeline.empty"))
    drawn = draw(
        series,
        marks=marks,
        limits=list(limits_of(view)),
        now_ms=view.now_ms if stream.live and view.undecided else None,
        read_ms=view.now_ms,
        clock=clock,
    )

    def cell_text(samples: int, scores: dict[str, float]) -> str:
        found = texts("timeline.samples", count=samples) if samples != 1 else texts("timeline.sample")
        said = [texts("timeline.score", name=name, score=f"{score:.2f}") for name, score in scores.items()]
        return "; ".join([found, *said])

    return TimelineWords(drawn=drawn, points=walk(series, drawn, clock=clock, cell_text=cell_text), empty="")


def with_present_gap(series: CaseSeries, stream: StreamView, now_ms: int) -> CaseSeries:
    """The series with what the stream is missing at this moment: no segment has told of it yet."""
    gap = object_of(object_of(stream.record).get("provisional"))
    since_ms, reason = whole_of(gap.get("since_ms")), text_of(gap.get("reason"))
    if since_ms is None or not reason or not series.newest_ms:
        return series
    begin_ms = max(since_ms, series.newest_ms, now_ms - KEPT_MS)
    lost = entry("missed", reason)
    return series.merged(
        SeriesSegment(
            key=f"now {at_ms}",
            begin_ms=at_ms,
            stretches=(SeriesStretch(at_ms, min(at_ms + LONGEST_MS, now_ms), lost),),
        )
        for at_ms in range(begin_ms, now_ms, LONGEST_MS)
    )


def limits_of(view: CaseView) -> Iterator[ScoreLimit]:
    """The thresholds of scores that rules of the case compare, each once."""
    seen: set[tuple[str, float]] = set()
    for record in view.records:
        condition = object_of(object_of(object_of(record.get("event")).get("data")).get("condition"))
        for one in objects_of(condition.get("thresholds")):
            name, value = text_of(one.get("name")), number_of(one.get("value"))
            if one.get("of") in ("score", "max") and value is not None and (name, value) not in seen:
                seen.add((name, value))
                if len(seen) <= MOST_LIMITS:
                    yield ScoreLimit(name=name, value=value)


def marks_of(view: CaseView, stream: StreamView, reader: str, texts: Texts) -> Iterator[TimelineMark]:
    """Marks of what people and the platform did: raised, taken, decided and revised, ended, signals reported."""
    for record in view.records:
        yield from _marks(record, reader, texts)
    takes = {
        (at, text_of(one.get("holder")))
        for one in view.records
        if one.get("holder") and (at := ms_of(one.get("taken"))) is not None
    }
    for at, who in sorted(takes):
        mine = folded(who) == folded(reader)
        yield TimelineMark(at_ms=at, text=texts("timeline.taken_you") if mine else texts("timeline.taken", name=who))
    reported = object_of(object_of(stream.record).get("signals_reported"))
    for name, at_text in reported.items():
        reported_ms = ms_of(at_text)
        if reported_ms is not None:
            yield TimelineMark(
                at_ms=reported_ms, text=texts("timeline.signal", name=text_of(name)), label=text_of(name)
            )


def _marks(record: Mapping[str, Any], reader: str, texts: Texts) -> Iterator[TimelineMark]:
    severity, rule = severity_word(text_of(record.get("severity")), texts), text_of(record.get("rule"), "?")
    if (raised := ms_of(record.get("raised"))) is not None:
        yield TimelineMark(
            at_ms=raised,
            text=texts("timeline.raised", severity=severity, rule=rule),
            label=texts("timeline.raised_label"),
        )
    if (ended := ms_of(record.get("ended"))) is not None:
        yield TimelineMark(at_ms=ended, text=texts("timeline.ended", rule=rule), label=texts("timeline.ended_label"))
    for number, one in enumerate(objects_of(record.get("decisions"))):
        at = ms_of(one.get("decided"))
        if at is None:
            continue
        key = "timeline.revised" if number else "timeline.decided"
        by = text_of(one.get("decided_by"), "?")
        who = texts("timeline.you") if folded(by) == folded(reader) else by
        outcome = outcome_word(one.get("outcome"), texts)
        yield TimelineMark(at_ms=at, text=texts(key, outcome=outcome, by=who), label=outcome)
