"""The index finds every listed hash within the distance, for any size of the bank and any clustering."""

from collections.abc import Callable
from itertools import pairwise

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bank import index
from models.bank.flat import distances, search
from models.bank.index import MAX_DISTANCE, build, chunk_bits

faiss.omp_set_num_threads(1)  # its threads delay small searches by seconds where others work

Hashes = npt.NDArray[np.uint8]
Crowded = Callable[..., Hashes]


def words(hashes: Hashes) -> npt.NDArray[np.uint64]:
    return np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, 4)


def by_faiss(listed: Hashes, wanted: Hashes, max_distance: int) -> set[tuple[int, int]]:
    """(row, distance) by faiss's flat index, whose range search is strict."""
    flat = faiss.IndexBinaryFlat(256)
    flat.add(listed)
    _, apart, rows = flat.range_search(wanted[None], max_distance + 1)
    return set(zip(rows.tolist(), apart.astype(int).tolist(), strict=True))


@pytest.mark.parametrize("count", [1, 2, 3, 100, 5000, 40_000])
def test_finds_what_faiss_finds(crowded: Crowded, count: int) -> None:
    """A missed near-duplicate would be known material on air."""
    listed = crowded(count)
    made = build(words(listed))
    for wanted in (*crowded(20, 1), *listed[:: max(1, count // 40)]):
        rows, apart = made.search(words(wanted)[0], max_distance=MAX_DISTANCE)
        assert list(rows) == sorted(set(rows.tolist())), "rows come once, in their order"
        assert set(zip(rows.tolist(), apart.tolist(), strict=True)) == by_faiss(listed, wanted, MAX_DISTANCE)


@pytest.mark.parametrize("max_distance", range(MAX_DISTANCE + 1))
def test_each_distance_is_exact(crowded: Crowded, max_distance: int) -> None:
    """A list's own distance d would include d + 1, or exclude d."""
    listed = crowded(5000)
    made = build(words(listed))
    for wanted in listed[1:600:3]:
        rows, _ = made.search(words(wanted)[0], max_distance=max_distance)
        expected = np.flatnonzero(distances(words(listed), words(wanted)[0]) <= max_distance)
        assert rows.tolist() == expected.tolist()


def test_beyond_the_largest_distance_nothing_is_found_that_is_farther(crowded: Crowded) -> None:
    """Candidates for a guess at what was cropped off would come with wrong distances, or none would come."""
    listed = crowded(5000)
    made = build(words(listed))
    found = there = 0
    for wanted in listed[1:600:3]:
        rows, apart = made.search(words(wanted)[0], max_distance=40)
        exact = distances(words(listed), words(wanted)[0])
        assert rows.tolist() == sorted(set(rows.tolist()))
        assert apart.tolist() == exact[rows].tolist()
        assert set(np.flatnonzero(exact <= MAX_DISTANCE).tolist()) <= set(rows.tolist())
        found, there = found + len(rows), there + int(np.sum(exact <= 40))
    assert 0.95 * there < found <= there


def test_the_chunks_tolerate_the_worst_distribution_of_differing_bits() -> None:
    """Differing bits spread so that hardly any chunk is within its radius would be missed."""
    random = np.random.default_rng(5)
    listed = random.integers(0, 256, (5000, 32), np.uint8)
    made = build(words(listed))
    edges = [chunk * 256 // index.CHUNKS for chunk in range(index.CHUNKS + 1)]
    for row in range(300):
        flags = np.unpackbits(listed[row], bitorder="little")
        spread = [3] * 10 + [1] if row % 2 else [2] + [3] * 9 + [2]
        for (start, _), count in zip(pairwise(edges), spread, strict=True):
            flags[start + random.choice(made.bits, count, replace=False)] ^= 1
        wanted = np.packbits(flags, bitorder="little")
        rows, apart = made.search(words(wanted)[0], max_distance=31)
        assert (row, 31) in set(zip(rows.tolist(), apart.tolist(), strict=True))


def test_a_cluster_is_found_completely() -> None:
    """One picture listed thousands of times would be missed, or take minutes."""
    random = np.random.default_rng(3)
    crowd = np.repeat(random.integers(0, 256, (1, 32), np.uint8), 6000, axis=0)
    crowd[:, 31] = random.integers(0, 256, 6000, np.uint8)
    listed = np.vstack([random.integers(0, 256, (3000, 32), np.uint8), crowd])
    rows, _ = build(words(listed)).search(words(crowd[0])[0], max_distance=31)
    assert rows.tolist() == list(range(3000, 9000))


def test_opposite_pictures_are_far_apart() -> None:
    """A distance of 256 bits would be 0 in a byte."""
    listed = np.zeros((3, 32), np.uint8)
    assert distances(words(listed), words(~listed[0])[0]).tolist() == [256] * 3
    assert len(search(words(listed), words(~listed[0])[0], max_distance=31)[0]) == 0


def test_an_index_built_in_parts_is_equal(crowded: Crowded, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large bank, which is built in parts, would miss matches that a small one finds."""
    listed = words(np.vstack([crowded(5000), np.zeros((300, 32), np.uint8)]))
    whole = build(listed)
    monkeypatch.setattr(index, "RANGE_ROWS", 700)
    parts = build(listed)
    assert np.array_equal(parts.starts, whole.starts)
    assert np.array_equal(parts.rows, whole.rows)


def test_table_sizes_fit_the_bank() -> None:
    """A small bank would take the tables of a large one, or a large one more than its share of memory."""
    assert [chunk_bits(count) for count in (4096, 10**5, 10**6, 10**7, 10**8)] == [14, 19, 22, 23, 23]


@given(st.binary(min_size=32, max_size=32), st.lists(st.integers(0, 255), max_size=31, unique=True))
def test_any_31_bits_may_differ(value: bytes, bits: list[int]) -> None:
    """Some pattern of differing bits would be missed, though random ones are found."""
    flags = np.unpackbits(np.frombuffer(value, np.uint8))
    flags[bits] ^= 1
    rows, apart = _haystack(value).search(words(np.packbits(flags))[0], max_distance=31)
    assert (200, len(bits)) in zip(rows.tolist(), apart.tolist(), strict=True)


def _haystack(value: bytes) -> index.MultiIndex:
    listed = np.random.default_rng(9).integers(0, 256, (400, 32), np.uint8)
    listed[200] = np.frombuffer(value, np.uint8)
    return build(words(listed))
