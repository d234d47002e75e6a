"""A sketch of durations: quantiles of any number of them in bounded memory."""

from collections import Counter
from math import ceil, floor, log
from typing import Final

ACCURACY: Final = 0.01
"""The relative error of a quantile: 10 min may be shown as 9 min 54 s."""

SHORTEST_SECONDS: Final = 0.001
"""Redis's clock counts milliseconds: shorter durations count as 0."""

LONGEST_SECONDS: Final = 400 * 86_400.0
"""The life of a record: longer durations count as this one."""

_GROWTH: Final = (1 + ACCURACY) / (1 - ACCURACY)

MOST_BUCKETS: Final = ceil(log(LONGEST_SECONDS / SHORTEST_SECONDS) / log(_GROWTH)) + 2
"""Some 1,220: the bound of one sketch's memory."""


class DurationSketch:
    """Counts durations in buckets that grow by 2 %.

    C. Masson, J. E. Rim, H. K. Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error
    guarantees", PVLDB 12 (2019), 2195-2205.
    """

    def __init__(self) -> None:
        self._buckets: Counter[int | None] = Counter()

    @property
    def n(self) -> int:
        """The number of durations."""
        return self._buckets.total()

    def add(self, seconds: float) -> None:
        """Counts a duration; one below 0, of a clock that went back, counts as 0."""
        bounded = min(seconds, LONGEST_SECONDS)
        bucket = None if bounded < SHORTEST_SECONDS else ceil(log(bounded / SHORTEST_SECONDS) / log(_GROWTH))
        self._buckets[bucket] += 1

    def quantile(self, share: float) -> float | None:
        """The duration, in seconds, of rank `floor(share * (n - 1))` in ascending order from 0, within `ACCURACY`;
        None: there is none.

        Args:
            share: in [0, 1]; 0.5 is the lower median.
        """
        rank = floor(share * (self.n - 1))
        passed = 0
        for bucket in sorted(self._buckets, key=lambda one: -1 if one is None else one):
            passed += self._buckets[bucket]
            if passed > rank:
                return 0.0 if bucket is None else 2 * SHORTEST_SECONDS * _GROWTH**bucket / (_GROWTH + 1)
        return None
