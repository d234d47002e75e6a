"""Many hashes against a few: look-back over logged pictures for hashes that were not listed when they were judged.

An index of the logged hashes would cost more to build than one pass over them takes, so they are swept: 10^7 × 100 in
about 1.5 s on one thread (`python -m bench.lookback`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import numpy.typing as npt

HASH_BYTES = 32

_BLOCK_HASHES = 32_768
"""Swept together: two words of each and the working arrays, about 1 MB, stay in a core's second cache."""


@dataclass(frozen=True, kw_only=True, eq=False)
class NearPairs:
    """Pairs within the requested distance; all three are (pairs,)."""

    hashes: npt.NDArray[np.intp]
    """Places among the hashes that were swept."""
    sought: npt.NDArray[np.intp]
    """Places among those that were sought."""
    distances: npt.NDArray[np.intp]

    @classmethod
    def none(cls) -> Self:
        """No pair."""
        nothing = np.empty(0, np.intp)
        return cls(hashes=nothing, sought=nothing, distances=nothing)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One after the other; of one part at least."""
        return cls(
            hashes=np.concatenate([part.hashes for part in parts]),
            sought=np.concatenate([part.sought for part in parts]),
            distances=np.concatenate([part.distances for part in parts]),
        )

    def taken(self, indices: npt.NDArray[np.intp]) -> Self:
        """The pairs at these indices."""
        return replace(
            self, hashes=self.hashes[indices], sought=self.sought[indices], distances=self.distances[indices]
        )

    def moved(self, by: int) -> Self:
        """The same pairs where the hashes are part of more, of which `by` come before them."""
        return replace(self, hashes=self.hashes + by)


def sweep(
    hashes: npt.NDArray[np.uint8], sought: npt.NDArray[np.uint8], max_distances: npt.NDArray[np.uint8]
) -> NearPairs:
    """Every pair of `hashes` and `sought` within its distance (<=): exact.

    Args:
        hashes: (n, 32); sought: (k, 32); max_distances: (k,), of each sought hash, under 128.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, HASH_BYTES // 8)
    wanted = np.ascontiguousarray(sought).view(np.uint64).reshape(-1, HASH_BYTES // 8)
    found = [NearPairs.none()]
    for start in range(0, len(words), _BLOCK_HASHES):
        block = words[start : start + _BLOCK_HASHES]
        first, second = np.ascontiguousarray(block[:, 0]), np.ascontiguousarray(block[:, 1])
        apart = np.empty_like(first)
        half, rest = np.empty(len(block), np.uint8), np.empty(len(block), np.uint8)
        near = np.empty(len(block), np.bool_)
        for index, (words_wanted, limit) in enumerate(zip(wanted, max_distances, strict=True)):
            # Half of a hash rules out all but a few: of random ones, less than 1 in 10^8 is within 31 of 128 bits.
            np.bitwise_count(np.bitwise_xor(first, words_wanted[0], out=apart), out=half)
            np.bitwise_count(np.bitwise_xor(second, words_wanted[1], out=apart), out=rest)
            np.less_equal(np.add(half, rest, out=half), limit, out=near)
            if not near.any():
                continue
            rows = np.flatnonzero(near)
            distances = np.bitwise_count(block[rows] ^ words_wanted).sum(axis=1, dtype=np.intp)
            kept = distances <= limit
            if kept.any():
                near_rows = start + rows[kept]
                of = np.full(len(near_rows), index, np.intp)
                found.append(NearPairs(hashes=near_rows, sought=of, distances=distances[kept]))
    return NearPairs.joined(found)
