"""Which lists are stale: their source was not read again for longer than was said."""

from collections.abc import Iterable, Mapping

from models.bank.entries import ListSpec

STALE = "stale-list"
"""Slug in `degraded`: `stale-list:NAME`."""


def stale_lists(specs: Iterable[ListSpec], refreshed_ms: Mapping[str, int], *, now_ms: int) -> tuple[str, ...]:
    """Names of the stale lists, sorted. The source of a list that was just made may be read as late as that of one that
    was just read; where nobody knows when it was made, it is stale as soon as it says how often it should be read.

    Args:
        refreshed_ms: list -> when its source was last read whole, in milliseconds of Redis's clock, like `now_ms`; 0:
            nobody knows when.
    """
    return tuple(
        sorted(
            spec.name
            for spec in specs
            if spec.refresh_seconds is not None
            and now_ms - refreshed_ms.get(spec.name, spec.created_ms or 0) > spec.refresh_seconds * 1000
        )
    )
