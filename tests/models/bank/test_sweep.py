"""Sweeping many hashes for a few finds all near pairs, and no others."""

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from models.bank.sweep import _BLOCK_HASHES, sweep


def flipped(value: npt.NDArray[np.uint8], bits: npt.NDArray[np.intp]) -> npt.NDArray[np.uint8]:
    """`value`, (32,), with those of its 256 bits flipped."""
    unpacked = np.unpackbits(value)
    unpacked[bits] ^= 1
    return np.packbits(unpacked)


def plain(
    hashes: npt.NDArray[np.uint8], sought: npt.NDArray[np.uint8], limits: npt.NDArray[np.uint8]
) -> set[tuple[int, int, int]]:
    """The same result by brute force."""
    return {
        (row, place, distance)
        for row, one in enumerate(hashes)
        for place, other in enumerate(sought)
        if (distance := int(np.unpackbits(one ^ other).sum())) <= limits[place]
    }


def pairs(
    hashes: npt.NDArray[np.uint8], sought: npt.NDArray[np.uint8], limits: npt.NDArray[np.uint8]
) -> set[tuple[int, int, int]]:
    near = sweep(hashes, sought, limits)
    told = list(zip(near.hashes.tolist(), near.sought.tolist(), near.distances.tolist(), strict=True))
    assert len(set(told)) == len(told)
    return set(told)


@given(seed=st.integers(0, 2**32 - 1), sought=st.integers(0, 5), hashes=st.integers(0, 60))
def test_every_near_pair_is_found(seed: int, sought: int, hashes: int) -> None:
    """A stream that showed known material would be missed, or one that did not would be reported."""
    random = np.random.default_rng(seed)
    wanted = random.integers(0, 256, (sought, 32), np.uint8)
    limits = random.integers(0, 32, sought).astype(np.uint8)
    logged = random.integers(0, 256, (hashes, 32), np.uint8)
    for row in range(0, hashes if sought else 0, 2):
        apart = random.choice(256, random.integers(0, 40), replace=False)
        logged[row] = flipped(wanted[random.integers(sought)], apart)
    assert pairs(logged, wanted, limits) == plain(logged, wanted, limits)


def test_distances_over_a_byte_and_rows_over_blocks_are_correct() -> None:
    """A distance of 256 bits would read as 0, or a match in a later block be reported at the wrong row."""
    wanted = np.zeros((1, 32), np.uint8)
    logged = np.full((_BLOCK_HASHES + 3, 32), 255, np.uint8)
    logged[-1] = flipped(wanted[0], np.arange(31))
    assert pairs(logged, wanted, np.array([31], np.uint8)) == {(_BLOCK_HASHES + 2, 0, 31)}
    assert pairs(logged, wanted, np.array([30], np.uint8)) == set()
