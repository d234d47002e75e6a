"""Acts on items one by one: one that is refused keeps no other back."""

from collections.abc import Callable, Iterable
from typing import Final

from worker.errors import EvidenceError, ObjectStoreError

FAILURES_IN_A_ROW: Final = 3
"""Acts that the store refuses, one after another, until (<=) it counts as away: it refuses the rest as well."""


def each(acts: Iterable[Callable[[], object]]) -> None:
    """Does all of them, unless the store is away.

    Raises:
        ObjectStoreError, EvidenceError: the first refusal, of the store or of the spool, once the others are done.
        Any other error of an act, at once.
    """
    first: ObjectStoreError | EvidenceError | None = None
    in_a_row = 0
    for act in acts:
        try:
            act()
            in_a_row = 0
        except ObjectStoreError as error:
            first, in_a_row = first or error, in_a_row + 1
            if in_a_row >= FAILURES_IN_A_ROW:
                break
        except EvidenceError as error:
            first = first or error
    if first is not None:
        raise first
