"""Quantiles of durations."""

from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.insight.durations import ACCURACY, LONGEST_SECONDS, MOST_BUCKETS, DurationSketch


def sketch_of(durations: list[float]) -> DurationSketch:
    found = DurationSketch()
    for duration in durations:
        found.add(duration)
    return found


@given(
    st.lists(st.integers(0, round(LONGEST_SECONDS * 1000)).map(lambda ms: ms / 1000), min_size=1, max_size=300),
    st.sampled_from([0.0, 0.25, 0.5, 0.95, 1.0]),
)
def test_quantiles_are_within_a_hundredth(durations: list[float], share: float) -> None:
    """A target for the time of review would be shown as met when it is missed."""
    exact = sorted(durations)[floor(share * (len(durations) - 1))]
    assert sketch_of(durations).quantile(share) == pytest.approx(exact, rel=ACCURACY * 1.001, abs=1e-9)


def test_memory_is_bounded_however_many_there_are() -> None:
    """The report of a year would end a small machine."""
    found = sketch_of([1.002**number / 1000 for number in range(20_000)] + [-1.0, 1e12])
    assert found.n == 20_002
    assert len(found._buckets) <= MOST_BUCKETS


def test_nothing_has_no_quantile() -> None:
    """A period without a decision would be shown with decisions in no time."""
    assert DurationSketch().quantile(0.5) is None


def test_a_clock_that_went_back_counts_as_no_time() -> None:
    """One such incident would end the report."""
    assert sketch_of([-5.0]).quantile(0.5) == 0.0
