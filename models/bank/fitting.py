"""Which listed hashes are compared with all that a guess leaves open: few, since each takes a fit of 0.8 ms."""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from models.bank.entries import Entry
from models.pdq.continued_hash import ContinuedHash
from models.pdq.pdq import PdqHash

_MAX_FITTED_A_LIST = 4
"""Nearest hashes of one list that are compared with a guess. Of 27 photographs whose guess is too far 25 were matched
by 4 of 60 near copies of up to 24 bits, and 23 by 2."""

_MAX_FITTED = 8
"""Hashes of all lists together, however many there are: 104 fits for the 13 guesses at a picture, about 0.1 s."""


def fitted_distances(guess: ContinuedHash, candidates: Iterable[tuple[str, Entry, int]]) -> Mapping[bytes, int]:
    """Distances of the hashes that are compared, each once: the nearest of each list first, then the second of each.

    Args:
        candidates: (list, entry, Hamming distance), nearest first.
    """
    ranks: defaultdict[str, dict[bytes, int]] = defaultdict(dict)
    best: dict[bytes, int] = {}
    for name, entry, _ in candidates:
        of_list = ranks[name]
        rank = of_list.setdefault(entry.value, len(of_list))
        if rank < _MAX_FITTED_A_LIST:
            best[entry.value] = min(rank, best.get(entry.value, rank))
    values = sorted(best, key=best.__getitem__)[:_MAX_FITTED]
    return {value: guess.distance(PdqHash(bits=value, quality=guess.quality)) for value in values}
