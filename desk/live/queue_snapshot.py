"""The queue at one moment: cases in their order, with their counters, for all pages that are open."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, TypeVar

from desk.cases.queue_counts import QueueCounts
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
    ordered: Iterator[OpenCase]
    """Open cases in the order in which they are to be taken; read by `first` alone."""
    counts: QueueCounts
    waits: LongestWaits
    made_at: float = field(default_factory=time.monotonic)
    """This process's monotonic clock, in seconds."""
    # What is kept may be made of what is kept: rows of a filter's cases.
    _lock: threading.RLock = field(default_factory=threading.RLock)
    _kept: dict[object, object] = field(default_factory=dict)
    _first: list[OpenCase] = field(default_factory=list)

    def age_seconds(self) -> float:
        """Time since it was made."""
        return time.monotonic() - self.made_at

    @property
    def cases(self) -> Sequence[OpenCase]:
        """All cases, in their order."""
        return self.first(self.counts.open)

    def first(self, number: int) -> Sequence[OpenCase]:
        """The first cases of the order, so many or all: who reads one page pays for no other."""
        with self._lock:
            self._first.extend(islice(self.ordered, max(0, number - len(self._first))))
            return self._first[:number]

    def page(self, chosen: QueueFilter, reader: str) -> QueuePage:
        """A page through a filter; the last one, if there are fewer."""
        if chosen.is_plain:
            total = self.counts.open
            pages, page, begin = _place(chosen.page, total)
            shown = self.first(begin + PAGE_CASES)[begin:]
        else:
            personal = reader if chosen.show in ("mine", "for_me") else ""
            every = chosen.query(page=1)
            found = self.kept((every, personal), lambda: chosen.choose(self.cases, reader))
            total = len(found)
            pages, page, begin = _place(chosen.page, total)
            shown = found[begin : begin + PAGE_CASES]
        return QueuePage(cases=shown, found=total, page=page, pages=pages)

    def kept(self, key: object, make: Callable[[], _Made]) -> _Made:
        """Returns what `make` returned for this key before; 50 pages that show the same are rendered once."""
        with self._lock:
            if key not in self._kept:
                if len(self._kept) >= MOST_KEPT:
                    self._kept.clear()
                self._kept[key] = make()
            return self._kept[key]  # type: ignore[return-value]


def _place(asked: int, cases: int) -> tuple[int, int, int]:
    """The number of pages, the page of those that is shown, and the place of its first case."""
    pages = max(1, -(-cases // PAGE_CASES))
    page = min(asked, pages)
    return pages, page, (page - 1) * PAGE_CASES
