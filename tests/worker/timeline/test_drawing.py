"""The drawing of a timeline."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.facts import Severity
from worker.ingest.pending.segments import LONGEST_DEADLINE_MS
from worker.timeline.drawing import CaseTimeline, ScoreLimit, TimelineMark, draw
from worker.timeline.layout import (
    DROPPED_PERCENT,
    UNSETTLED_MS,
    WIDE_PERCENT,
    BandKind,
    bands,
    placed,
    score_lines,
    span_of,
)
from worker.timeline.series import CaseSeries, SeriesHit, SeriesSample, SeriesSegment, SeriesStretch

MAX_SVG_BYTES = 90_000
"""A page weighs 150 kB at most."""
START_MS = 1_800_000_000_000
HOSTILE = '"><script>alert(1)</script><a style="x" onclick=\'y\' \u202e&amp;'


def a_segment(number: int, *, lost: str = "", score: float = 0.5, hits: tuple[SeriesHit, ...] = ()) -> SeriesSegment:
    begin_ms = START_MS + number * 4000
    return SeriesSegment(
        key=str(number),
        begin_ms=begin_ms,
        stretches=(SeriesStretch(begin_ms, begin_ms + 4000, lost),),
        samples=() if lost else tuple(SeriesSample(begin_ms + at, {"m/nsfw": score}) for at in (500, 2500)),
        hits=hits,
    )


def a_hit(seconds: float, *, distance: int = 4, list_: str = "ncmec", rule: str = "known") -> SeriesHit:
    return SeriesHit(START_MS + round(seconds * 1000), rule, Severity.CRITICAL, list_, distance)


def a_series() -> CaseSeries:
    return CaseSeries().merged(
        [
            *(a_segment(number, score=0.3 + number / 40) for number in range(10)),
            *(a_segment(number, lost="failed: undecodable") for number in (10, 11, 12)),
            *(a_segment(number) for number in range(13, 18)),
            *(a_segment(number, lost="skipped: budget") for number in (18, 19)),
            *(a_segment(number, hits=(a_hit(number * 4 + 1),)) for number in range(22, 27)),
        ]
    )


def tree_of(drawn: CaseTimeline) -> ElementTree.Element:
    return ElementTree.fromstring(drawn.svg)


def test_gaps_are_drawn_with_their_kinds_and_reasons():
    """A moderator would take time that nobody saw for time in which nothing happened."""
    series = a_series()
    span = span_of(series, [], now_ms=START_MS + 115_000)
    found = [
        (band.kind, band.reason, (band.end_ms - band.begin_ms) / 1000)
        for band in bands(series, span, now_ms=START_MS + 115_000)
    ]
    assert found == [
        (BandKind.SEEN, "", 40),
        (BandKind.MISSED, "undecodable", 12),
        (BandKind.SEEN, "", 20),
        (BandKind.SKIPPED, "budget", 8),
        (BandKind.UNKNOWN, "no record", 8),
        (BandKind.SEEN, "", 20),
        (BandKind.PENDING, "", 7),
    ]
    drawn = draw(series, now_ms=START_MS + 115_000)
    assert drawn.svg.count('fill="url(#hatch)"') == 1
    assert drawn.svg.count('class="gap" fill="none"') == 1
    assert drawn.svg.count('class="wait" fill="url(#dots)"') == 2
    assert [entry.text for entry in drawn.log if not entry.anchor] == [
        "Missed 12 s: undecodable",
        "Skipped 8 s: budget",
        "No record of 8 s: it is not known here whether it was moderated",
    ]


def test_time_that_may_still_be_settled_is_pending():
    """A moderator would take seconds that a worker has in hand for seconds that nobody watched."""
    series = a_series()  # without the seconds 80 to 88
    span = span_of(series, [], now_ms=None)

    def between(read_at: int) -> list[tuple[BandKind, str, float]]:
        found = bands(series, span, now_ms=None, read_ms=START_MS + 1000 * read_at)
        return [
            (band.kind, band.reason, (band.end_ms - band.begin_ms) / 1000)
            for band in found
            if 80 <= (band.begin_ms - START_MS) / 1000 < 88
        ]

    assert between(115) == [(BandKind.PENDING, "", 8)]
    assert between(205) == [(BandKind.UNKNOWN, "no record", 5), (BandKind.PENDING, "", 3)]
    assert between(208) == [(BandKind.UNKNOWN, "no record", 8)]
    drawn = draw(series, read_ms=START_MS + 115_000)
    assert not any("No record" in entry.text for entry in drawn.log)
    assert UNSETTLED_MS >= LONGEST_DEADLINE_MS


def test_the_distance_of_a_match_is_not_behind_the_next_match():
    """A digit would be half covered, and misread."""
    hits = tuple(a_hit(second, distance=distance) for second, distance in ((10, 1), (10.5, 2), (11, 3), (30, 4)))
    drawn = draw(a_series().merged([SeriesSegment(key="h", begin_ms=START_MS, stretches=(), hits=hits)]))
    labels = re.findall(r'class="strong[^"]*">([0-9]+)<', drawn.svg)
    assert labels[:2] == ["3", "4"]


def test_a_short_gap_in_an_old_cell_is_not_lost():
    """An hour later a gap of 12 s would look covered."""
    series = a_series().merged([a_segment(number) for number in range(900, 960)])
    span = span_of(series, [], now_ms=None)
    lost = {band.reason: band.lost_ms for band in bands(series, span, now_ms=None)}
    assert lost["undecodable"] == pytest.approx(12_000, abs=1500)
    assert lost["budget"] == pytest.approx(8_000, abs=1500)


def test_lines_break_at_gaps():
    """A score would be drawn for time in which nothing was classified."""
    (runs,) = score_lines(a_series()).values()
    assert [len(run) for run in runs] == [20, 10, 10]
    path = re.search(r'class="l-score" d="([^"]+)"', draw(a_series()).svg)
    assert path is not None
    assert path[1].count("M") == 3


def test_an_ended_stream_has_no_now():
    """A moderator would believe that the stream is on air."""
    drawn = draw(a_series())
    assert "l-now" not in drawn.svg
    assert drawn.svg.split("</defs>")[1].count("url(#dots)") == 1  # the 8 s without a record


def test_labels_at_the_edges_stay_within_the_drawing():
    """The first and the last time would be cut off on a narrow screen."""
    drawn = draw(a_series(), now_ms=START_MS + 115_000)
    for text in tree_of(drawn).iter("text"):
        x, anchor = float(str(text.get("x")).rstrip("%")), str(text.get("class", "")).split()
        assert "mid" not in anchor or DROPPED_PERCENT <= x <= 100 - DROPPED_PERCENT


def test_each_hit_leads_to_its_line_and_one_of_them_to_the_keyboard():
    """A moderator who uses the keyboard or a screen reader could not walk along the matches."""
    drawn = draw(a_series(), now_ms=START_MS + 115_000)
    links = [one for one in tree_of(drawn).iter() if one.tag == "a"]
    assert [link.get("href") for link in links] == [f"#{one.anchor}" for one in drawn.log if one.anchor]
    assert [link.get("tabindex") for link in links] == [None, "-1", "-1", "-1", "-1"]
    assert [link.get("aria-labelledby") for link in links] == [one.anchor for one in drawn.log if one.anchor]
    assert next(one.text for one in drawn.log if one.anchor).startswith("Match 1 of 5 at ")


@given(st.lists(st.tuples(st.floats(0, 100), st.sampled_from(["a", "b"])), max_size=12))
def test_labels_do_not_cover_each_other(labels):
    """Texts over each other could not be read."""
    kept = placed(labels)
    assert all(b.x_percent - a.x_percent >= DROPPED_PERCENT for a, b in pairwise(kept))
    narrow = [one for one in kept if not one.wide]
    assert all(b.x_percent - a.x_percent >= WIDE_PERCENT for a, b in pairwise(narrow))
    assert bool(kept) == bool(labels)


def test_long_labels_need_more_room():
    """The reasons of two gaps would be printed over each other."""
    texts = ["undecodable 8 s", "no record 1280 s", "budget 8 s"]
    kept = placed(zip((1.0, 8.0, 28.0), texts, strict=True))
    assert [(one.text, one.wide) for one in kept] == [(texts[0], False), (texts[2], True)]


def test_hostile_strings_stay_text():
    """A broadcaster or an operator of a list could run script in a moderator's browser."""
    hits = tuple(a_hit(number, list_=HOSTILE, rule=HOSTILE) for number in (1, 3))
    segment = a_segment(1, lost=f"failed: {HOSTILE}")
    named = SeriesSegment(
        key="n",
        begin_ms=START_MS,
        stretches=(SeriesStretch(START_MS, START_MS + 4000, ""),),
        samples=(SeriesSample(START_MS, {HOSTILE: 0.4}),),
    )
    series = CaseSeries().merged([segment, named, SeriesSegment(key="h", begin_ms=START_MS, stretches=(), hits=hits)])
    drawn = draw(
        series,
        marks=[TimelineMark(at_ms=START_MS + 2000, text=HOSTILE)],
        limits=[ScoreLimit(name=HOSTILE, value=0.8), ScoreLimit(name="off", value=float("nan"))],
        now_ms=START_MS + 9000,
    )
    for element in tree_of(drawn).iter():
        assert element.tag in {"svg", "a", "rect", "text", "line", "path", "circle", "title", "defs", "pattern"}
        assert set(element.attrib) <= {
            "role", "aria-label", "aria-labelledby", "id", "width", "height", "patternUnits", "patternTransform",
            "class", "d", "x", "y", "x1", "x2", "y1", "y2", "viewBox", "preserveAspectRatio", "href", "tabindex", "r",
            "fill",
        }  # fmt: skip
        assert element.get("href", "#").startswith("#")
    assert "\u202e" not in "".join(one.text or "" for one in tree_of(drawn).iter("text"))


@pytest.mark.parametrize("now_ms", [None, START_MS])
def test_an_empty_series_is_drawn(now_ms: int | None):
    """The page of a case that was raised this second would fail."""
    drawn = draw(CaseSeries(), now_ms=now_ms)
    assert tree_of(drawn).tag == "svg"
    assert drawn.log == ()
    one = draw(CaseSeries(), marks=[TimelineMark(at_ms=START_MS, text="raised")], now_ms=now_ms)
    assert [entry.text for entry in one.log] == ["raised"]
    assert ">raised<" in one.svg


def test_a_decision_of_the_next_day_does_not_squeeze_the_stream():
    """All that was seen would be drawn in one pixel."""
    series = a_series()
    late = TimelineMark(at_ms=START_MS + 86_400_000, text="decided")
    drawn = draw(series, marks=[late])
    assert span_of(series, [late.at_ms], now_ms=None).end_ms == series.newest_ms
    assert drawn.log[-1].text == "decided"
    assert ">decided<" not in drawn.svg


def test_the_longest_series_is_a_light_page():
    """A case page with a timeline of two days would weigh more than its pictures."""
    # As many gaps as there can be.
    old = [number for number in range(0, 43_000, 8) if number % 300 < 150]
    numbers = [*old, *range(43_000, 43_200, 2)]
    series = CaseSeries().merged([a_segment(number, hits=(a_hit(number * 4),)) for number in numbers])
    drawn = draw(series, limits=[ScoreLimit(name="m/nsfw", value=0.8)])
    assert len(series.cells) > 500
    assert len(drawn.svg) + sum(len(entry.text) + 60 for entry in drawn.log) <= MAX_SVG_BYTES
