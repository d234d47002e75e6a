"""Joining many hashes with many gives the result of comparing every pair."""

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.bank import join as joining
from models.bank.join import join
from models.bank.sweep import NearPairs, sweep

ALL = 1 << 20


def copies(
    values: npt.NDArray[np.uint8], count: int, most_bits: int, random: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """(count, 32): some of `values`, each with 0 to `most_bits` bits flipped."""
    bits = random.random((count, 256)).argsort(axis=1) < random.integers(0, most_bits + 1, (count, 1))
    return np.packbits(np.unpackbits(values[random.integers(0, len(values), count)], axis=1) ^ bits, axis=1)


def pairs(near: NearPairs) -> set[tuple[int, int, int]]:
    told = list(zip(near.hashes.tolist(), near.sought.tolist(), near.distances.tolist(), strict=True))
    assert len(set(told)) == len(told)
    return set(told)


@given(seed=st.integers(0, 2**32 - 1), sought=st.integers(0, 200), hashes=st.integers(0, 300), reach=st.integers(0, 31))
def test_it_finds_all_near_pairs(seed: int, sought: int, hashes: int, reach: int) -> None:
    """Some entries of an imported list would not be looked back for."""
    random = np.random.default_rng(seed)
    wanted = random.integers(0, 256, (sought, 32), np.uint8)
    limits = random.integers(0, reach + 1, sought).astype(np.uint8)
    logged = random.integers(0, 256, (hashes, 32), np.uint8)
    if sought:
        logged[::2] = copies(wanted, len(logged[::2]), reach + 3, random)
    assert pairs(join(logged, wanted, limits, nearest=ALL)) == pairs(sweep(logged, wanted, limits))


def test_it_finds_all_pairs_of_many_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """As above, with several blocks, parts of candidates and tables."""
    random = np.random.default_rng(1)
    wanted = random.integers(0, 256, (3_000, 32), np.uint8)
    logged = np.concatenate([random.integers(0, 256, (9_000, 32), np.uint8), copies(wanted, 1_000, 33, random)])
    limits = random.choice([10, 31], 3_000).astype(np.uint8)
    expected = pairs(sweep(logged, wanted, limits))
    assert len(expected) > 500
    monkeypatch.setattr(joining, "MOST_CANDIDATES", 1_000)
    assert pairs(join(logged, wanted, limits, nearest=ALL)) == expected


def test_in_clusters_it_finds_all_and_returns_the_nearest() -> None:
    """A video's frames are near each other: a still picture of it would cost each look-back hours, or much memory."""
    random = np.random.default_rng(2)
    crowd = copies(random.integers(0, 256, (1, 32), np.uint8), 2_000, 10, random)
    wanted = np.concatenate([crowd, random.integers(0, 256, (2_000, 32), np.uint8)])
    logged = np.concatenate([copies(crowd[:1], 20, 12, random), random.integers(0, 256, (50, 32), np.uint8)])
    limits = np.full(len(wanted), 31, np.uint8)
    every = pairs(sweep(logged, wanted, limits))
    assert pairs(join(logged, wanted, limits, nearest=ALL)) == every
    nearest = pairs(join(logged, wanted, limits, nearest=16))
    assert nearest < every
    for row in range(20):
        apart = sorted(distance for of, _, distance in every if of == row)[:16]
        assert sorted(distance for of, _, distance in nearest if of == row) == apart
