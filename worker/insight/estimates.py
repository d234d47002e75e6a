"""Estimates from counts: the share of a sample with its interval, and the agreement of two judges."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Final

Z_95: Final = 1.959964
"""The normal distribution's quantile at 0.975: of such intervals 95 % contain the true share."""


@dataclass(frozen=True, kw_only=True)
class ShareEstimate:
    """A share of a sample, with the bounds of its interval; each is in [0, 1]."""

    share: float
    low: float
    high: float


def wilson(successes: int, n: int, *, z: float = Z_95) -> ShareEstimate | None:
    """The share `successes / n` with Wilson's score interval; None: there is no sample.

    Unlike the usual interval it is no point at shares of 0 and 1, and holds for small samples too. E. B. Wilson,
    "Probable inference, the law of succession, and statistical inference", JASA 22 (1927), 209-212.

    Args:
        successes: 0 to `n`.
        z: quantile of the normal distribution for the confidence.
    """
    if n == 0:
        return None
    share = successes / n
    shrunk = 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrunk
    half = z * sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / shrunk
    # Rounding must not leave a share of 0 or 1 outside of its own interval.
    return ShareEstimate(share=share, low=max(0.0, min(share, centre - half)), high=min(1.0, max(share, centre + half)))


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """The agreement of two judges on the same cases."""

    n: int
    agreed: int
    kappa: float | None
    """Cohen's; None: there is no case, or chance alone would make both agree on every one."""


def cohens_kappa(counted: Mapping[tuple[str, str], int]) -> Agreement:
    """Cohen's kappa of two judges: agreement beyond chance, 1 at most; 0 is what chance gives.

    J. Cohen, "A coefficient of agreement for nominal scales", Educational and Psychological Measurement 20 (1960),
    37-46. The order of the two is the order in which they judged: they may be other people in each case.

    Args:
        counted: judgements of the first and the second -> cases.
    """
    n = sum(counted.values())
    agreed = sum(count for (first, second), count in counted.items() if first == second)
    firsts, seconds = Counter[str](), Counter[str]()
    for (first, second), count in counted.items():
        firsts[first] += count
        seconds[second] += count
    by_chance = sum(firsts[outcome] * seconds[outcome] for outcome in firsts)  # times n squared
    kappa = None if by_chance == n * n else (n * agreed - by_chance) / (n * n - by_chance)
    return Agreement(n=n, agreed=agreed, kappa=kappa)
