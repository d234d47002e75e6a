"""The time for which one segment holds its process, by which its stream belongs to a shared queue or the slow one."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.ingest.registry.slow_streams import QUICK_DECODE_SECONDS, QUICK_SECONDS

QUICK_FAILURE_SECONDS = QUICK_SECONDS / 2
"""A fetch that failed after longer than this is tried again in the slow queue: it is tried up to six times, and would
cost the others as much as one that takes its whole time."""


@dataclass(kw_only=True)
class SegmentPace:
    """Times one segment."""

    fetch_seconds: float | None = None
    """Segment and initialisation section together, or the segment before with its own, whichever took longer; None:
    nothing was fetched."""
    decode_seconds: float = 0.0
    """All work on the bytes, models' runs included."""
    fetched_seconds: float = 0.0
    """All fetches together."""

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Times a fetch, however it ends."""
        begin_seconds = time.monotonic()
        try:
            yield
        finally:
            took_seconds = time.monotonic() - begin_seconds
            self.fetch_seconds = max(took_seconds, self.fetch_seconds or 0.0)
            self.fetched_seconds += took_seconds

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Times the work after the first fetch, without those within it, however it ends."""
        begin_seconds, fetched_seconds = time.monotonic(), self.fetched_seconds
        try:
            yield
        finally:
            fetched_within_seconds = self.fetched_seconds - fetched_seconds
            self.decode_seconds = time.monotonic() - begin_seconds - fetched_within_seconds

    @property
    def failed_slowly(self) -> bool:
        """Another try of a fetch that failed belongs to the slow queue."""
        return (self.fetch_seconds or 0.0) > QUICK_FAILURE_SECONDS

    @property
    def held_seconds(self) -> float:
        """For which its process worked on it."""
        return self.fetched_seconds + self.decode_seconds

    @property
    def slow(self) -> bool:
        """The segment held its process for too long for a shared queue."""
        return (self.fetch_seconds or 0.0) > QUICK_SECONDS or self.decode_seconds > QUICK_DECODE_SECONDS
