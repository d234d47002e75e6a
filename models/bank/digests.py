"""Exact look-ups among many keys: the first four bytes of each, with its row, sorted.

One array of 8 bytes a key, which may be a memory map. Keys that only begin alike are distinguished by the caller, who
has them whole: among 10^7 keys that are spread evenly one look-up in 400 meets such a neighbour.
"""

import zlib
from typing import Final

import numpy as np
import numpy.typing as npt

ROW_BITS: Final = 32
BLOCK: Final = 1 << 18
"""Keys read together: 2 MB."""

_ROW_MASK: Final = (1 << ROW_BITS) - 1

Prefixes = npt.NDArray[np.uint32]
SortedKeys = npt.NDArray[np.uint64]
"""uint64, (n,): a key's prefix in the upper half, its row in the lower, ascending."""


def prefixes_of_digests(values: npt.NDArray[np.uint8]) -> Prefixes:
    """The first four bytes of digests, uint8 (n, size), which are spread evenly: uint32, (n,)."""
    return np.ascontiguousarray(values[:, :4]).view(">u4").ravel().astype(np.uint32)


def prefix_of_text(text: bytes) -> int:
    """Four bytes that are spread evenly, from a text that is not."""
    return zlib.crc32(text)


def keys_of(prefixes: Prefixes, first_row: int) -> SortedKeys:
    """The keys of rows that follow each other, which are still to be sorted."""
    keys = prefixes.astype(np.uint64) << np.uint64(ROW_BITS)
    keys |= np.arange(first_row, first_row + len(prefixes), dtype=np.uint64)
    return keys


def prefixes_in_rows(keys: SortedKeys, start: int, end: int) -> Prefixes:
    """The prefixes of rows [start, end), from all keys."""
    prefixes = np.empty(end - start, np.uint32)
    for first in range(0, len(keys), BLOCK):
        block = keys[first : first + BLOCK]
        rows = (block & np.uint64(_ROW_MASK)).astype(np.int64)
        within = (rows >= start) & (rows < end)
        prefixes[rows[within] - start] = block[within] >> np.uint64(ROW_BITS)
    return prefixes


def rows_of(keys: SortedKeys, prefix: int) -> list[int]:
    """Rows whose key has this prefix, ascending."""
    low, high = prefix << ROW_BITS, prefix << ROW_BITS | _ROW_MASK
    first = np.searchsorted(keys, np.uint64(low))
    end = np.searchsorted(keys, np.uint64(high), side="right")
    return [key & _ROW_MASK for key in keys[first:end].tolist()]
