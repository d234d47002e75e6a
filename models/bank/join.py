"""Many hashes against many: looking back over a day of pictures for a list that has just come in whole.

Sweeping costs a comparison of each pair, and searching the bank's index (`models.bank.index`) some 2,800 look-ups a
picture. Here the radius of a look-up is halved between both sides: each sought hash is listed under every value that
one flipped bit makes of a chunk, and each picture looks its chunk up with one bit flipped. What differs in two bits of
a chunk meets in the middle, with 264 look-ups a picture (`python -m bench.lookback`).
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bank.flat import WORDS, Words, distances, search
from models.bank.index import LARGEST_CHUNK_BITS, MAX_DISTANCE, chunk_keys, chunk_shares
from models.bank.sweep import NearPairs

BLOCK: Final = 4096
"""Hashes looked up at once: their slots, 800 KB, stay in a core's second cache."""

MOST_CANDIDATES: Final = 1 << 20
"""Pairs compared at once: 40 MB."""

_FLAT_SHARE: Final = 16
"""With more candidates in a chunk than one sought hash in so many, as in a crowd of near copies, looking at every one
costs less."""

Places = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Chunk:
    """Sought hashes within one flipped bit of a chunk's value."""

    there: npt.NDArray[np.bool_]
    """(2^bits,): whether any is: an eighth of the size of `starts`, and most look-ups end here."""
    starts: npt.NDArray[np.uint32]
    """(2^bits + 1,): where in `rows` those of a value start."""
    rows: npt.NDArray[np.uint32]
    flips: Places
    """Masks that make the looked-up values of a picture's value: (1 or 1 + bits,)."""


def join(
    hashes: npt.NDArray[np.uint8], sought: npt.NDArray[np.uint8], max_distances: npt.NDArray[np.uint8], *, nearest: int
) -> NearPairs:
    """For each of `hashes` the `nearest` of `sought` within their distance (<=): exact.

    Args:
        hashes: (n, 32); sought: (k, 32), at most 2^27; max_distances: (k,), of each sought hash, at most MAX_DISTANCE.

    Takes 40 MB, 50 bytes a logged hash and 300 a sought one.
    """
    words = np.ascontiguousarray(hashes).view(np.uint64).reshape(-1, WORDS)
    wanted = np.ascontiguousarray(sought).view(np.uint64).reshape(-1, WORDS)
    if not len(words) or not len(wanted):
        return NearPairs.none()
    reach = int(max_distances.max())
    if reach > MAX_DISTANCE:
        raise ValueError(f"a distance of {reach}: expected at most {MAX_DISTANCE}")
    joining = _Join(wanted=wanted, max_distances=max_distances, reach=reach, nearest=nearest)
    found = NearPairs.none()
    crowded = np.zeros(len(words), np.bool_)
    for chunk, share in enumerate(chunk_shares(reach)):
        if share == 0:
            continue
        listed = joining.listed(chunk, radius=share - 1)
        parts = [found]
        for start in range(0, len(words), BLOCK):
            block = slice(start, start + BLOCK)
            parts.append(joining.near(words[block], chunk, listed, crowded[block]).moved(start))
        found = _distinct(NearPairs.joined(parts), nearest)
    return found


@dataclass(frozen=True, kw_only=True, eq=False)
class _Join:
    """The sought hashes, with their tables."""

    wanted: Words
    """uint64, (k, 4)."""
    max_distances: npt.NDArray[np.uint8]
    reach: int
    """The largest of them."""
    nearest: int

    @property
    def bits(self) -> int:
        """Bits of a chunk: so many that a value has half a sought hash, with its flipped copies."""
        return min(LARGEST_CHUNK_BITS, math.ceil(math.log2(max(64, len(self.wanted)) * LARGEST_CHUNK_BITS)) + 1)

    def listed(self, chunk: int, *, radius: int) -> _Chunk:
        """The table of a chunk; of an odd radius the larger half is the sought hashes'."""
        turned = np.array([0, *(1 << bit for bit in range(self.bits))], np.uint64)
        own, theirs = turned if radius > 0 else turned[:1], turned if radius > 1 else turned[:1]
        keys = (chunk_keys(self.wanted, chunk, self.bits)[:, None] ^ own).ravel()
        pairs = keys << np.uint64(32)
        pairs |= np.repeat(np.arange(len(self.wanted), dtype=np.uint64), len(own))
        pairs.sort()
        counts = np.bincount(keys.view(np.int64), minlength=1 << self.bits)
        starts = np.zeros(len(counts) + 1, np.uint32)
        np.cumsum(counts, out=starts[1:])
        return _Chunk(there=counts > 0, starts=starts, rows=pairs.astype(np.uint32), flips=theirs.astype(np.int64))

    def near(self, block: Words, chunk: int, listed: _Chunk, crowded: npt.NDArray[np.bool_]) -> NearPairs:
        """Pairs of a block that meet in this chunk.

        `crowded`, (BLOCK,), marks hashes that are done for all chunks; more are marked in it.
        """
        keys = chunk_keys(block, chunk, self.bits).astype(np.int64)
        order = np.argsort(keys)  # look-ups that lie near each other cost less
        order = order[~crowded[order]]
        slots = (keys[order] ^ listed.flips[:, None]).ravel()
        filled = np.flatnonzero(listed.there.take(slots, mode="clip"))
        hashes, slots = order.take(filled % max(1, len(order))), slots.take(filled)
        first = listed.starts.take(slots, mode="clip").astype(np.int64)
        slots += 1
        lengths = listed.starts.take(slots, mode="clip") - first
        many = np.bincount(hashes, weights=lengths, minlength=len(block)) > len(self.wanted) // _FLAT_SHARE
        crowded |= many
        parts = [self._of_one(block, int(row)) for row in np.flatnonzero(many)]
        kept = np.flatnonzero(~many[hashes])
        parts += self._of_candidates(block, hashes[kept], listed.rows, first[kept], lengths[kept])
        return _distinct(NearPairs.joined([NearPairs.none(), *parts]), self.nearest)

    def _of_one(self, block: Words, row: int) -> NearPairs:
        """The pairs of one hash, compared with every sought one."""
        rows, apart = search(self.wanted, block[row], max_distance=self.reach)
        within = apart <= self.max_distances[rows]
        rows, apart = rows[within], apart[within]
        order = np.argsort(apart, kind="stable")[: self.nearest]
        return NearPairs(
            hashes=np.full(len(order), row, np.intp), sought=rows[order], distances=apart[order].astype(np.intp)
        )

    def _of_candidates(
        self, block: Words, hashes: Places, rows: npt.NDArray[np.uint32], first: Places, lengths: Places
    ) -> Iterator[NearPairs]:
        """Candidates `rows[first : first + length]` of each of `hashes` within their distance."""
        ends = np.cumsum(lengths)
        begin = 0
        while begin < len(ends):
            done = int(ends[begin - 1]) if begin else 0
            end = max(begin + 1, int(np.searchsorted(ends, done + MOST_CANDIDATES, side="right")))
            part = slice(begin, end)
            begin = end
            listed = np.repeat(first[part] - (ends[part] - lengths[part] - done), lengths[part])
            listed += np.arange(len(listed))
            yield self._compared(block, np.repeat(hashes[part], lengths[part]), rows.take(listed))

    def _compared(self, block: Words, hashes: Places, sought: npt.NDArray[np.uint32]) -> NearPairs:
        """Pairs within their distance; two words of four exclude most others."""
        half = np.bitwise_count(block[:, 0].take(hashes) ^ self.wanted[:, 0].take(sought))
        half += np.bitwise_count(block[:, 1].take(hashes) ^ self.wanted[:, 1].take(sought))
        possible = np.flatnonzero(half <= self.reach)
        hashes, wanted_indices = hashes[possible], sought[possible].astype(np.intp)
        apart = distances(block[hashes], self.wanted[wanted_indices])
        near = apart <= self.max_distances[wanted_indices]
        return NearPairs(hashes=hashes[near], sought=wanted_indices[near], distances=apart[near].astype(np.intp))


def _distinct(pairs: NearPairs, nearest: int) -> NearPairs:
    """Each pair once, and of each hash the `nearest` ones; ordered by hash, then by distance."""
    order = np.lexsort((pairs.sought, pairs.distances, pairs.hashes))
    pairs = pairs.taken(order)
    if not len(order):
        return pairs
    again = (pairs.hashes[1:] == pairs.hashes[:-1]) & (pairs.sought[1:] == pairs.sought[:-1])
    pairs = pairs.taken(np.flatnonzero(np.concatenate([[True], ~again])))
    starts = np.flatnonzero(np.concatenate([[True], pairs.hashes[1:] != pairs.hashes[:-1]]))
    lengths = np.diff(np.append(starts, len(pairs.hashes)))
    ranks = np.arange(len(pairs.hashes)) - np.repeat(starts, lengths)
    return pairs.taken(np.flatnonzero(ranks < nearest))
