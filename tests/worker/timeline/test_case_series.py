"""The series of a case: order, bounds, text."""

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.facts import Severity
from worker.errors import StoreError
from worker.timeline.series import (
    CELL_MS,
    FINE_MS,
    KEPT_MS,
    LONGEST_MS,
    MAX_HITS_AT_AN_END,
    CaseSeries,
    CellPlace,
    SeriesHit,
    SeriesSample,
    SeriesSegment,
    SeriesStretch,
)
from worker.timeline.series_text import MAX_SERIES_BYTES, read_segment, read_series, segment_text, series_text

START_MS = 1_800_000_000_000


def a_segment(number: int, *, seconds: int = 4, lost: str = "", score: float = 0.5, hit: bool = False) -> SeriesSegment:
    begin_ms = START_MS + number * seconds * 1000
    return SeriesSegment(
        key=f"1.0.0.{number}",
        begin_ms=begin_ms,
        stretches=(SeriesStretch(begin_ms, begin_ms + seconds * 1000, lost),),
        samples=()
        if lost
        else tuple(SeriesSample(begin_ms + at * 1000, {"m/nsfw": score}) for at in range(0, seconds, 2)),
        hits=(SeriesHit(begin_ms + 500, "known", Severity.CRITICAL, "ncmec", 4),) if hit else (),
    )


SEGMENTS = st.lists(
    st.builds(
        a_segment,
        st.one_of(st.integers(0, 40), st.integers(0, 20_000)),
        lost=st.sampled_from(["", "", "failed: undecodable", "failed: budget"]),
        score=st.floats(0, 1),
        hit=st.booleans(),
    ),
    max_size=30,
    unique_by=lambda segment: segment.key,
)


@given(SEGMENTS, st.randoms(use_true_random=False), st.integers(1, 5))
def test_the_order_in_which_segments_end_makes_no_difference(segments, random, at_once: int):
    """Two workers would show a moderator two different pasts of one stream."""
    shuffled = random.sample(segments, len(segments))
    series = CaseSeries()
    for begin in range(0, len(shuffled), at_once):
        series = series.merged(shuffled[begin : begin + at_once])
        series = read_series(series_text(series))
    assert series == CaseSeries().merged(segments)


@given(SEGMENTS)
def test_a_segment_counts_once_however_often_it_is_merged(segments):
    """A worker that dies after its write would double the samples that a moderator reads."""
    series = CaseSeries().merged(segments)
    assert series.merged(segments) == series
    if all(segment.begin_ms > series.newest_ms - KEPT_MS // 2 for segment in segments):
        expected = sum(stretch.end_ms - stretch.begin_ms for segment in segments for stretch in segment.stretches)
        assert sum(cell.moderated_ms + sum(cell.lost_ms.values()) for cell in series.cells.values()) == expected
        assert sum(cell.samples for cell in series.cells.values()) == sum(len(one.samples) for one in segments)


@given(SEGMENTS)
def test_cells_do_not_overlap_and_are_coarser_with_age(segments):
    """The drawing would show a moment twice, or the newest minute as one bar."""
    series = CaseSeries().merged(segments)
    ordered = sorted(series.cells, key=lambda place: place.begin_ms)
    assert all(one.end_ms <= next_.begin_ms and one.level >= next_.level for one, next_ in pairwise(ordered))
    assert all(place.level == 0 for place in ordered if place.end_ms > series.newest_ms - FINE_MS)
    assert all(place.end_ms > series.newest_ms - KEPT_MS for place in ordered)


def test_the_worst_of_two_days_fits_its_bound():
    """A stream that is on air for days would fill Redis, which then refuses escalations."""
    names = [f"model-with-a-long-name/label-{number}" for number in range(5)]
    series = CaseSeries()
    newest = KEPT_MS // 2_000
    # Older cells are of 8 s and more.
    numbers = [*range(0, newest, 4), *range(newest, newest + 400)]
    for begin in range(0, len(numbers), 2_000):
        segments = []
        for one in numbers[begin : begin + 2_000]:
            begin_ms = START_MS + one * 2_000
            segments.append(
                SeriesSegment(
                    key=f"{one:016x}",
                    begin_ms=begin_ms,
                    stretches=tuple(
                        SeriesStretch(begin_ms + part * 400, begin_ms + part * 400 + 400, lost)
                        for part, lost in enumerate(("", "failed: undecodable", "failed: budget", ""))
                    ),
                    samples=(SeriesSample(begin_ms, dict.fromkeys(names, 1.0)),) * 4,
                    hits=(SeriesHit(begin_ms, "a-rule", Severity.CRITICAL, "ncmec", 31),),
                )
            )
        series = series.merged(segments)
    text = series_text(series)
    assert len(text) <= MAX_SERIES_BYTES
    # By its bounds, not by leaving cells out.
    assert read_series(text) == series
    assert len(series.hits) == 2 * MAX_HITS_AT_AN_END


def test_a_series_that_a_hostile_stream_made_long_loses_its_oldest_cells():
    """Redis would be filled by a stream with a reason for every cell."""
    series = CaseSeries().merged([a_segment(number) for number in range(20_000)])
    many = {
        place: replace(cell, lost_ms={f"failed: {n:030d}": 10**12 for n in range(12)})
        for place, cell in series.cells.items()
    }
    text = series_text(replace(series, cells=many))
    assert len(text) <= MAX_SERIES_BYTES
    left = read_series(text)
    assert 0 < len(left.cells) < len(many)
    assert set(left.cells) == set(sorted(many, key=lambda place: place.begin_ms)[-len(left.cells) :])
    assert left.hits == series.hits


def test_a_claimed_hour_makes_no_hour_of_cells():
    """A broadcaster who declares segments of an hour would push everything else out."""
    series = CaseSeries().merged([a_segment(0, seconds=3600)])
    assert sum(cell.moderated_ms for cell in series.cells.values()) == LONGEST_MS


def test_old_cells_keep_the_highest_score():
    """The peak for which a case was raised would fade while it waits."""
    peak = a_segment(0, score=0.91, hit=True)
    series = CaseSeries().merged([peak, *(a_segment(number, score=0.1) for number in range(1, 3_000))])
    first = min(series.cells, key=lambda place: place.begin_ms)
    assert first.level > 0
    assert series.cells[first].scores == {"m/nsfw": 910}
    assert series.hits == peak.hits


def test_a_place_is_the_same_by_one_step_or_many():
    """A series that many workers have written would differ from one written at once."""
    for age_ms in range(0, KEPT_MS, 777_777):
        place = CellPlace(0, (START_MS - age_ms) // CELL_MS)
        stepped = place
        for newest_ms in range(START_MS - age_ms, START_MS, max(1, age_ms // 7)):
            stepped = stepped.at(newest_ms)
        assert stepped.at(START_MS) == place.at(START_MS)


@given(SEGMENTS)
def test_texts_are_read_back(segments):
    """What one worker wrote another could not go on with."""
    for segment in segments:
        read = read_segment(segment_text(segment))
        assert read is not None
        assert (read.key, read.stretches, read.hits) == (segment.key, segment.stretches, segment.hits)
    series = CaseSeries().merged(segments)
    assert read_series(series_text(series)) == series


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        "[" * 100_000,
        json.dumps({"v": 2}),
        '{"v":1,"newest":"x"}',
        '{"v":1,"newest":1,"names":[],"reasons":[],"rules":[],"lists":[],"cells":[[1]],"hits":[],"known":{}}',
        '{"v":1,"newest":1,"names":[],"reasons":[],"rules":[],"lists":[],"cells":[],"hits":[[1,5,0,0,1]],"known":{}}',
    ],
)
def test_a_damaged_text_is_refused(text: str):
    """A foreign value would end the task of a segment."""
    with pytest.raises(StoreError, match="expected what livewarden writes"):
        read_series(text)
    assert read_segment(text) is None
