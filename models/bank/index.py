"""Multi-index search: exact recall at Hamming distances up to 31 without comparing every hash.

A hash is cut into CHUNKS disjoint chunks. Two hashes at most d apart agree, in one chunk at least, up to a radius so
small that all values within it can be looked up: by the pigeonhole principle, if each chunk i had more than r_i of the
differing bits, there would be more than sum(r_i + 1) - 1 of them. At d = 31 ten chunks of radius 2 and one of radius 1
do (Norouzi, Punjani, Fleet: Fast exact search in Hamming space with multi-index hashing, 2014).

For each chunk there is a table from its value to the rows that have it, laid out one after the other in two arrays, so
that all look-ups of a query are one gather, and so that processes may share the arrays through memory maps.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import combinations
from typing import Final

import numpy as np
import numpy.typing as npt

from models.bank.flat import WORDS, Distances, Rows, Words, distances, possible, search

CHUNKS: Final = 11
"""With 16 chunks of radius 1 a query at 10^7 took ten times as long; fewer need larger radii."""

MAX_DISTANCE: Final = 31
"""Hamming distance up to which (<=) two hashes are a match, of 256 (ThreatExchange `pdq/README.md`)."""

SMALLEST: Final = 1 << 14
"""Hashes from which an index is worth its tables; fewer are searched flat in less time than the look-ups take."""

LARGEST_CHUNK_BITS: Final = 23
"""CHUNKS disjoint chunks of 256 bits; also bounds the tables to 11 × 2^23 × 4 bytes."""

BLOCK: Final = 1 << 18
"""Rows worked on at once while building: 8 MB of hashes."""

RANGE_ROWS: Final = 1 << 21
"""Rows sorted at once while building: 80 MB. Fewer would need more passes over all rows."""

_FLAT_SHARE: Final = 4
"""With more candidates than one row in so many, comparing all rows in their order costs less than gathering those."""

_MARKED_SHARE: Final = 512
"""With more rows than one in so many, marking them costs less than sorting them."""

_WORD_BITS = 64

Starts = npt.NDArray[np.uint32]


@dataclass(frozen=True, kw_only=True, eq=False)
class MultiIndex:
    """Hashes, and where to look among them. The arrays may be memory maps; nothing is written to them."""

    words: Words
    """uint64, (n, 4)."""
    starts: Starts
    """uint32, (CHUNKS × 2^bits + 1,): where in `rows` those of a chunk's value start; they end where the next start."""
    rows: npt.NDArray[np.uint32]
    """uint32, (CHUNKS × n,): rows of `words`, chunk by chunk, ordered by the chunk's value."""

    @property
    def bits(self) -> int:
        """Bits of a chunk."""
        return ((len(self.starts) - 1) // CHUNKS).bit_length() - 1

    @property
    def fits(self) -> bool:
        """True if the arrays are of one index, as far as their lengths show."""
        whole = CHUNKS * len(self.words)
        return len(self.starts) == (CHUNKS << self.bits) + 1 and int(self.starts[-1]) == whole == len(self.rows)

    def search(self, wanted: Words, *, max_distance: int) -> tuple[Rows, Distances]:
        """Rows within `max_distance` (<=, < 128) of `wanted`, ascending, and their distances.

        All of them up to MAX_DISTANCE; of those beyond it the ones that differ in no more bits of some chunk than the
        look-ups for MAX_DISTANCE allow.

        Where hashes crowd, candidates may cost more than a pass over every row; then that is taken.
        """
        probes = _probes(self.bits, min(max_distance, MAX_DISTANCE))
        slots = _values(wanted, self.bits).repeat(probes.counts)
        slots ^= probes.masks
        first = self.starts.take(slots, mode="clip")  # every slot is inside; telling so saves a check of each
        slots += 1
        lengths = self.starts.take(slots, mode="clip") - first
        filled = np.flatnonzero(lengths)
        first, lengths = first.take(filled), lengths.take(filled).astype(np.int64)
        ends = np.cumsum(lengths)
        total = int(ends[-1]) if len(ends) else 0
        if total > len(self.words) // _FLAT_SHARE:
            return search(self.words, wanted, max_distance=max_distance)
        listed = np.repeat(first - (ends - lengths), lengths)
        listed += np.arange(total)
        candidates = self.rows.take(listed, mode="clip")
        near = possible(self.words.take(candidates, axis=0, mode="clip"), wanted, max_distance=max_distance)
        if not len(near):
            return np.empty(0, np.int64), np.empty(0, np.uint16)
        rows = _distinct(candidates[near], len(self.words))
        apart = distances(self.words.take(rows, axis=0), wanted)
        found = apart <= max_distance
        return rows[found], apart[found]


def _distinct(rows: npt.NDArray[np.uint32], count: int) -> Rows:
    """Each of the rows, which are below `count`, once and ascending: a row may come through several chunks.

    Sorting many takes longer than marking them; `np.unique` takes ten times as long as either.
    """
    if len(rows) > count // _MARKED_SHARE:
        marked = np.zeros(count, np.bool_)
        marked[rows] = True
        return np.flatnonzero(marked)
    ordered = np.sort(rows).astype(np.int64)
    first = np.ones(len(ordered), np.bool_)
    np.not_equal(ordered[1:], ordered[:-1], out=first[1:])
    return ordered[first]


@dataclass(frozen=True, kw_only=True, eq=False)
class _Probes:
    """Values that are looked up for any query, chunk by chunk."""

    counts: Rows
    """int64, (CHUNKS,): how many slots of each chunk."""
    masks: Rows
    """int64: turns a chunk's value into a slot of `starts`."""


@lru_cache(maxsize=64)
def _probes(bits: int, max_distance: int) -> _Probes:
    """The look-ups that find all within `max_distance`.

    A chunk with a share of s is looked up at radius s - 1, and one with none is not.
    """
    shares = chunk_shares(max_distance)
    masks = [_masks(bits, share) | chunk << bits for chunk, share in enumerate(shares)]
    return _Probes(counts=np.array([len(of) for of in masks]), masks=np.concatenate(masks))


def chunk_shares(max_distance: int) -> list[int]:
    """Shares of `max_distance + 1` by chunk: in one of them at least, what is within `max_distance`
    differs in fewer bits (<) than its share."""
    return [(max_distance + 1 + chunk) // CHUNKS for chunk in range(CHUNKS)]


def _masks(bits: int, share: int) -> Rows:
    """Bits of a chunk to turn: every choice of fewer than `share` (<)."""
    masks = [sum(1 << bit for bit in turned) for radius in range(share) for turned in combinations(range(bits), radius)]
    return np.array(masks, np.int64)


def _chunk_start(chunk: int) -> int:
    """First bit of a chunk; starts lie 23 or 24 bits apart."""
    return chunk * WORDS * _WORD_BITS // CHUNKS


_CHUNK_STARTS: Final = tuple(_chunk_start(chunk) for chunk in range(CHUNKS))


def _values(wanted: Words, bits: int) -> Rows:
    """A hash's chunks: int64, (CHUNKS,). Taken from one large integer, which costs less than arrays so small."""
    whole, low = int.from_bytes(wanted.tobytes(), "little"), (1 << bits) - 1
    return np.array([whole >> start & low for start in _CHUNK_STARTS], np.int64)


def chunk_bits(count: int) -> int:
    """Bits of a chunk that suit so many hashes: a quarter of one to each value, for looking there costs least.

    At 10^6 hashes a query took 0.13 ms with 20 bits, 0.10 ms with 22 and 0.09 ms with 23, which takes twice the memory.
    """
    return min(LARGEST_CHUNK_BITS, math.ceil(math.log2(max(64, count))) + 2)


def build_chunk(words: Words, chunk: int, bits: int) -> Iterator[tuple[Starts, npt.NDArray[np.uint32]]]:
    """One chunk's part of `starts` (without the last end; counted from 0) and of `rows`, value range by value range.

    Each range takes a pass over all of `words`, and 40 bytes for each of about RANGE_ROWS rows, whatever those are
    mapped from; more where hashes crowd.
    """
    ranges = 1 << min(bits, max(0, math.ceil(math.log2(max(1, len(words)) / RANGE_ROWS))))
    values = (1 << bits) // ranges
    begin = 0
    for number in range(ranges):
        first = number * values
        parts = [np.empty(0, np.uint64)]
        for start in range(0, len(words), BLOCK):
            block = words[start : start + BLOCK]
            pairs = (chunk_keys(block, chunk, bits) - np.uint64(first)) << np.uint64(32)  # those before wrap around
            pairs |= np.arange(start, start + len(block), dtype=np.uint64)
            parts.append(pairs if ranges == 1 else pairs[pairs < np.uint64(values << 32)])
        pairs = np.concatenate(parts)
        pairs.sort()
        rows = pairs.astype(np.uint32)
        pairs >>= np.uint64(32)
        counts = np.bincount(pairs.view(np.int64), minlength=values)
        starts = np.full(values, begin, np.uint32)
        starts[1:] += np.cumsum(counts[:-1]).astype(np.uint32)
        begin += len(rows)
        yield starts, rows


def chunk_keys(words: Words, chunk: int, bits: int) -> Words:
    """A chunk's values, of its first `bits` bits: uint64, (n,)."""
    word, shift = divmod(_chunk_start(chunk), _WORD_BITS)
    keys = words[:, word] >> np.uint64(shift)
    if shift + bits > _WORD_BITS:
        keys |= words[:, word + 1] << np.uint64(_WORD_BITS - shift)
    return keys & np.uint64((1 << bits) - 1)


def build_parts(words: Words) -> Iterator[tuple[Starts, npt.NDArray[np.uint32]]]:
    """The parts of `starts` and `rows`, chunk by chunk, to be written one behind the other; `starts` ends with the sum.

    A part takes under a second at 10^7 rows.
    """
    bits = chunk_bits(len(words))
    for chunk in range(CHUNKS):
        for starts, rows in build_chunk(words, chunk, bits):
            starts += np.uint32(chunk * len(words))
            yield starts, rows
    yield np.array([CHUNKS * len(words)], np.uint32), np.empty(0, np.uint32)


def build(words: Words) -> MultiIndex:
    """An index in memory."""
    starts, rows = zip(*build_parts(words), strict=True)
    return MultiIndex(words=words, starts=np.concatenate(starts), rows=np.concatenate(rows))
