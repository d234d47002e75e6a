"""The watch state of a stream: is it polled in time, and how far does moderation lag? Pure.

Stored values show the state when a worker last wrote them; whether they still hold depends on the clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from worker.ingest.registry.registry import REMOVED

LATE_POLL_MS = 10_000
"""A poll that is later (>) than this makes its stream count as unwatched. Under load polls come a second or two late,
and a slow poll takes 5 s."""

UNKNOWN_DELAY_MS = 10_000
"""Delay between two polls assumed for a record of version 0.1.0, which lacks the time of the next one: the longest
delay there is."""

FIELDS = ("state", "registered_ms", "last_poll_ms", "next_poll_ms")
"""Fields of a stream's hash that `WatchState.of` reads."""

_OVER = frozenset({REMOVED, "ended"})


@dataclass(frozen=True, kw_only=True)
class WatchState:
    """State of a stream's watch: whether it is polled as it should be."""

    watched: bool
    """It should be polled: it has neither ended nor been removed."""
    last_poll_ms: int | None
    """In Redis's clock; None: never."""
    unwatched_since_ms: int | None
    """Since when it is not polled in time; None: it is, or need not be."""

    @classmethod
    def of(cls, stream: Mapping[str, str], *, now_ms: int, anybody_works: bool) -> "WatchState":
        """The state by a stream's hash."""
        last_ms = _number(stream, "last_poll_ms")
        watched = stream.get("state") not in _OVER
        since_ms = last_ms if last_ms is not None else _number(stream, "registered_ms")
        registered_ms = _number(stream, "registered_ms")
        if since_ms is not None and registered_ms is not None:
            since_ms = max(since_ms, registered_ms)  # the last poll may belong to the previous watch
        next_ms = _number(stream, "next_poll_ms")
        if next_ms is None:
            next_ms = None if since_ms is None else since_ms + UNKNOWN_DELAY_MS
        late = next_ms is not None and now_ms - next_ms > LATE_POLL_MS
        unwatched = watched and (late or not anybody_works)
        return cls(
            watched=watched,
            last_poll_ms=last_ms,
            unwatched_since_ms=(now_ms if since_ms is None else since_ms) if unwatched else None,
        )


def lag_ms(stream: Mapping[str, str], *, now_ms: int, watched: bool) -> int | None:
    """Lag of moderation behind the clock; of an ended stream, its last lag. None: nothing was moderated yet."""
    settled_until_ms = _number(stream, "settled_until_ms")
    if watched and settled_until_ms is not None:
        return max(0, now_ms - settled_until_ms)
    return _number(stream, "lag_ms")


def _number(stream: Mapping[str, str], field: str) -> int | None:
    text = stream.get(field, "")
    return int(text) if text.isdecimal() else None
