"""Counting of distinct names in bounded memory."""

import sys

import pytest

from worker.logs.distinct_names import DistinctNames


@pytest.mark.parametrize("count", [1, 1_000, 100_000])
def test_names_of_a_window_are_counted_once_when_it_ends(count: int) -> None:
    """Operators would read that ten streams are in trouble, or a million, where it is a thousand."""
    names = DistinctNames(60.0)
    for _ in range(2):
        for number in range(count):
            names.add(f"cam-{number}", 100.0)
    assert names.ended(159.0) == 0
    assert names.ended(160.0) == pytest.approx(count, rel=0.05)
    assert names.ended(161.0) == 0
    assert sys.getsizeof(names._bits) + sys.getsizeof(names._before) < 17_000


def test_a_name_is_known_in_its_window_and_the_next() -> None:
    """Lasting trouble would be reported as new in each window."""
    names = DistinctNames(60.0)
    assert names.add("cam", 100.0)
    assert not names.add("cam", 159.0)
    assert not names.add("cam", 219.0)
    assert names.add("cam", 400.0)
    assert names.ended(1_000.0) == 0  # ended too long ago to be reported
