"""Sorting of more keys than fit into memory: all are returned in order."""

import tracemalloc
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from models.bank import external_sort
from models.bank.external_sort import SortedRuns
from models.errors import SnapshotError


@pytest.mark.parametrize("rows", [0, 1, 1_000, 5_000, 23_456])
@pytest.mark.parametrize("spread", [1, 1 << 30, 1 << 64])
def test_all_rows_are_returned_in_key_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, spread: int
) -> None:
    """A lost entry could not be looked up, or would be reported as new each day."""
    monkeypatch.setattr(external_sort, "RUN_ROWS", 5_000)
    random = np.random.default_rng(rows)
    keys = random.integers(0, spread, rows, np.uint64, endpoint=spread < 1 << 64) if rows else np.empty(0, np.uint64)
    with SortedRuns(2, tmp_path) as sorted_runs:
        for start in range(0, rows, 777):
            part = keys[start : start + 777]
            sorted_runs.append(part, np.arange(start, start + len(part)))
        for _ in range(2):  # may be read again
            ranges = list(sorted_runs.ranges())
            found = np.concatenate([np.empty((2, 0), np.uint64), *ranges], axis=1)
            order = np.argsort(keys, kind="stable")
            assert np.array_equal(found[0], keys[order])
            assert np.array_equal(found[1], order)
            for one, next_one in pairwise(ranges):
                assert one[0, -1] < next_one[0, 0]
        assert sorted_runs.count == rows
    assert list(tmp_path.iterdir()) == []


def test_memory_does_not_grow_with_the_rows(tmp_path: Path) -> None:
    """A file of some gigabytes would use up the machine's memory, and stop moderation."""
    random = np.random.default_rng(1)
    peaks = []
    for count in (1 << 20, 1 << 22):
        tracemalloc.start()
        with SortedRuns(2, tmp_path) as sorted_runs:
            for _ in range(0, count, 1 << 14):
                sorted_runs.append(random.integers(0, 1 << 64, 1 << 14, np.uint64), np.arange(1 << 14))
            assert sum(part.shape[1] for part in sorted_runs.ranges()) == count
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 4_000_000


def test_few_rows_never_reach_the_disk() -> None:
    """An import of ten hashes would fail where there is no room for files."""
    with SortedRuns(1, Path("/proc/nowhere")) as sorted_runs:
        sorted_runs.append(np.arange(10))
        assert sum(part.shape[1] for part in sorted_runs.ranges()) == 10


def test_a_disk_that_accepts_nothing_is_reported() -> None:
    """A user would see a traceback that does not name the disk."""
    with SortedRuns(1, Path("/proc/nowhere")) as sorted_runs, pytest.raises(SnapshotError, match="cannot be written"):
        sorted_runs.append(np.zeros(external_sort.RUN_ROWS, np.uint64))
