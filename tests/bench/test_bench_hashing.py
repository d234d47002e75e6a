"""The hash bank's benchmark: missed matches meet no goal, and banks are as described."""

import numpy as np
import numpy.typing as npt

from bench.hashes import CROWD, KINDS, Hashes, crowded_hashes, flipped, queries, random_hashes
from bench.hashing_report import search_goals
from bench.search_speed import Found, Searched, compare
from models.bank.flat import search


def measured(listed: Hashes, *, blind_to: int) -> Searched:
    """A measurement with a search that never sees the first rows."""

    def near(wanted: npt.NDArray[np.uint64], max_distance: int) -> Found:
        rows, apart = search(listed[blind_to:].view(np.uint64), wanted, max_distance=max_distance)
        return rows + blind_to, apart

    return compare("random", listed, near, queries(KINDS[0], listed, 100, np.random.default_rng(2)))


def test_a_search_that_misses_meets_no_goal() -> None:
    """A fast search that misses matches would meet its goal."""
    listed = random_hashes(1000, np.random.default_rng(1))
    exact, blind = measured(listed, blind_to=0), measured(listed, blind_to=500)
    assert (exact.matches, exact.missed, exact.recall) == (50, 0, 1.0)
    assert blind.missed > 10
    assert blind.recall < 1
    (goal,) = search_goals([Searched(**{**vars(blind), "entries": 10**6, "ours_milliseconds": 0.0})])
    assert not goal.met


def test_a_tenth_of_the_hashes_is_clustered() -> None:
    """The bank that is hardest for an index would not be what the table describes."""
    hashes = crowded_hashes(20_000, np.random.default_rng(1))
    words = hashes.view(np.uint64)
    sizes = np.array([len(search(words, wanted, max_distance=31)[0]) for wanted in words[:1000]])
    assert 0.07 < (sizes > CROWD // 2).mean() < 0.13
    assert np.median(sizes) == 1


def test_near_duplicates_are_within_the_stated_distance() -> None:
    """Queries that are further away would have no matches, and searching for nothing is fast."""
    hashes = random_hashes(2000, np.random.default_rng(1))
    apart = np.bitwise_count(hashes ^ flipped(hashes, 31, np.random.default_rng(2))).sum(axis=1)
    assert apart.max() <= 31
    assert apart.mean() > 10
