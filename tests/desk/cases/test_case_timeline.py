"""The timeline of a case: what people did on it, its thresholds, and what is missing at this moment."""

from dataclasses import replace
from typing import Any

from redis import Redis
from scene import Scene
from series_made import SCORE, write_series

from config.facts import Severity
from desk.cases.case_timeline import limits_of, marks_of, timeline_of, with_present_gap
from desk.cases.case_view import CaseView, read_case
from desk.cases.stream_view import StreamView
from desk.texts.catalogue import load_texts
from worker.queue.claims import take
from worker.queue.decisions import decide_incident
from worker.timeline.series import CaseSeries, SeriesSegment, SeriesStretch
from worker.timeline.series_store import case_series

TEXTS = load_texts()


def stream(**record: Any) -> StreamView:
    return StreamView(
        stream_id="cam-1",
        state="live",
        on_air_seconds=1.0,
        record=record or None,
        readable=True,
        metadata={},
        earlier=(),
    )


def case_with_series(scene: Scene, **series: Any) -> CaseView:
    incident = scene.raise_incident("cam-1", Severity.HIGH)
    case_id = str(scene.redis.hget(f"lw:incident:{incident}", "case"))
    write_series(scene.redis, case_id, **series)
    return read_case(scene.redis, case_id)


def test_what_people_and_the_platform_did_is_on_it(scene: Scene) -> None:
    """A moderator would not see that a colleague had the case before, or when viewers reported."""
    incident = scene.raise_incident("cam-1")
    assert take(scene.redis, "noor") is not None
    decide_incident(scene.redis, incident, "harmless", by="noor", note="a toy", deployment="test")
    view = read_case(scene.redis, str(scene.redis.hget(f"lw:incident:{incident}", "case")))
    reported = stream(signals_reported={"viewer-reports": "2026-11-27T16:00:00.000Z", "undated": None})
    texts = [mark.text for mark in marks_of(view, reported, "kim", TEXTS)]
    assert texts[0] == "Raised: Critical, known"
    assert "Decided: harmless, by noor" in texts
    assert "Reported: viewer-reports" in texts
    mine = [mark.text for mark in marks_of(view, reported, "NOOR", TEXTS)]
    assert "Decided: harmless, by you" in mine


def test_thresholds_of_its_rules_are_drawn_once(scene: Scene) -> None:
    """A score line would have no measure."""
    view = case_with_series(scene, seconds=10)
    assert [(one.name, one.value) for one in limits_of(view)] == [("m/nsfw", 0.9)]


def test_points_lie_between_what_is_in_the_list(scene: Scene, redis: Redis) -> None:
    """Walking along would jump from match to match, over the scores between."""
    view = case_with_series(scene, seconds=60, gaps=((20, 24, "missed: stalled"),), hits=((30, 4),))
    words = timeline_of(view, stream(), case_series(redis, view.case_id), "kim", TEXTS)
    assert words.drawn is not None
    texts = [one.text for one in words.points]
    assert any(text.startswith("1 sample; " + SCORE) for text in texts)
    assert any("Match 1 of 1" in one.text for one in words.drawn.log)
    assert [one.x_percent for one in words.points] == sorted(one.x_percent for one in words.points)


def test_a_segment_under_way_is_no_missed_time(scene: Scene, redis: Redis) -> None:
    """A live stream whose segments settle out of order would look as if seconds of it were never watched."""
    view = case_with_series(scene, seconds=20)
    series = case_series(redis, view.case_id)
    begin_ms = view.now_ms + 14_000
    series = series.merged(
        [SeriesSegment(key="late", begin_ms=begin_ms, stretches=(SeriesStretch(begin_ms, begin_ms + 2000, ""),))]
    )
    for seconds, expected in ((16, 0), (300, 1)):
        later = replace(view, now_ms=view.now_ms + 1000 * seconds)
        words = timeline_of(later, stream(), series, "kim", TEXTS)
        assert words.drawn is not None
        assert sum("No record" in entry.text for entry in words.drawn.log) == expected


def test_a_case_without_a_series_says_so(scene: Scene) -> None:
    """An empty drawing would look like a stream that nobody watched."""
    view = case_with_series(scene, seconds=0)
    words = timeline_of(view, stream(), CaseSeries(), "kim", TEXTS)
    assert (words.drawn, words.points) == (None, ())
    assert words.empty


def test_what_is_missing_now_is_a_gap_already(scene: Scene, redis: Redis) -> None:
    """A moderator would take a stalled stream for one that is merely not settled yet."""
    view = case_with_series(scene, seconds=60)
    series = case_series(redis, view.case_id)
    later = replace(view, now_ms=view.now_ms + 1_500_000)
    stalled = stream(provisional={"reason": "stalled", "since_ms": view.now_ms, "seconds": 1500.0})
    found = with_present_gap(series, stalled, later.now_ms)
    lost_ms = sum(ms for cell in found.cells.values() for ms in cell.lost_ms.values())
    assert abs(lost_ms - 1_500_000) < 1_000
    words = timeline_of(later, stalled, series, "kim", TEXTS)
    assert words.drawn is not None
    assert any("stalled" in entry.text for entry in words.drawn.log)
    assert with_present_gap(series, stream(provisional="junk"), later.now_ms) == series
