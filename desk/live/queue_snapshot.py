"""The queue at one moment: cases in their order, with their counters, for all pages that are open."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, TypeVar

from desk.cases.queue_counts import QueueCounts, count_cases
from desk.cases.queue_filter import PAGE_CASES, QueueFilter
from worker.queue.case_order import LongestWaits, OpenCase

_Made = TypeVar("_Made")

MOST_KEPT: Final = 64
"""Rendered parts, and filters' cases, that a snapshot keeps for others: most people look at all cases."""


@dataclass(frozen=True, kw_only=True)
class QueuePage:
    """A page of the queue through a filter."""

    cases: Sequence[OpenCase]
    """PAGE_CASES at most."""
    found: int
    """Cases that fit, on all pages."""
    page: int
    pages: int


@dataclass(frozen=True, kw_only=True)
class QueueSnapshot:
    """All open cases at one moment."""

    number: int
    """Counts the snapshots of this process."""
    now_ms: int
    """Redis's clock."""
    cases: Sequence[OpenCase]
    """In the order in which they are to be taken."""
    waits: LongestWaits
    made_at: float = field(default_factory=time.monotonic)
    """This process's monotonic clock, in seconds."""
    # What is kept may be made of what is kept: rows of a filter's cases.
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _kept: dict[object, object] = field(default_factory=dict)

    def age_seconds(self) -> float:
        """Time since it was made."""
        return time.monotonic() - self.made_at

    @cached_property
    def counts(self) -> QueueCounts:
        """The counters of all cases."""
        return count_cases(self.cases, now_ms=self.now_ms, waits=self.waits)

    def page(self, chosen: QueueFilter, reader: str) -> QueuePage:
        """A page through a filter; the last one, if there are fewer."""
        personal = reader if chosen.show in ("mine", "for_me") else ""
        every = chosen.query(page=1)
        found: Sequence[OpenCase] = (
            self.cases if chosen.is_plain else self.kept((every, personal), lambda: chosen.choose(self.cases, reader))
        )
        pages = max(1, -(-len(found) // PAGE_CASES))
        page = min(chosen.page, pages)
        begin = (page - 1) * PAGE_CASES
        return QueuePage(cases=found[begin : begin + PAGE_CASES], found=len(found), page=page, pages=pages)

    def kept(self, key: object, make: Callable[[], _Made]) -> _Made:
        """Returns what `make` returned for this key before; 50 pages that show the same are rendered once."""
        with self._lock:
            if key not in self._kept:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                self._kept[key] = make()
            return self._kept[key]  # type: ignore[return-value]
