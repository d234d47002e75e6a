"""Queries of the bank's index compared with faiss's flat one."""

from collections.abc import Callable
from dataclasses import dataclass
from time import thread_time
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from bench.hashes import Hashes
from models.bank.index import MAX_DISTANCE

QUERIES = 400

Found = tuple[NDArray[Any], NDArray[Any]]
"""Rows, and their distances."""
Near = Callable[[NDArray[np.uint64], int], Found]
"""Words of a hash and a distance -> entries within it (<=)."""


@dataclass(frozen=True, kw_only=True)
class Searched:
    """Time and matches of the queries."""

    kind: str
    entries: int
    ours_milliseconds: float
    """Median time of a query, like faiss's."""
    slow_milliseconds: float
    """Time of the slowest query in a hundred."""
    faiss_milliseconds: float
    matches: int
    """Matches of faiss, over all queries."""
    missed: int
    """Matches of faiss that Livewarden missed, or found at another distance."""

    @property
    def ratio(self) -> float:
        """Livewarden's time ÷ faiss's."""
        return self.ours_milliseconds / self.faiss_milliseconds

    @property
    def recall(self) -> float:
        """Share of faiss's matches that Livewarden found."""
        return 1 - self.missed / max(1, self.matches)


def compare(kind: str, listed: Hashes, near: Near, wanted: Hashes) -> Searched:
    """Queries both alternately, so that neither benefits from the cache; counts CPU time, since the clock would count
    other processes too.

    faiss's range search is strict, so its radius is MAX_DISTANCE + 1.
    """
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexBinaryFlat(256)
    flat.add(listed)
    ours: list[float] = []
    theirs: list[float] = []
    matches = missed = 0
    for query in wanted:
        words = query.view(np.uint64)
        started = thread_time()
        rows, distances = near(words, MAX_DISTANCE)
        between = thread_time()
        _, apart, found = flat.range_search(query[None], MAX_DISTANCE + 1)
        ours.append(between - started)
        theirs.append(thread_time() - between)
        true = set(zip(found.tolist(), apart.astype(int).tolist(), strict=True))
        got = set(zip(rows.tolist(), distances.tolist(), strict=True))
        matches += len(true)
        missed += len(true ^ got)
    return Searched(
        kind=kind,
        entries=len(listed),
        ours_milliseconds=1000 * float(np.median(ours)),
        slow_milliseconds=1000 * float(np.quantile(ours, 0.99)),
        faiss_milliseconds=1000 * float(np.median(theirs)),
        matches=matches,
        missed=missed,
    )
