"""How long one segment takes its process, and so in which queue its stream belongs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from worker.ingest.registry.slow_streams import QUICK_DECODE_SECONDS, QUICK_SECONDS

QUICK_FAILURE_SECONDS = QUICK_SECONDS / 2
"""A fetch that failed after longer than this is tried again where the slow ones share: it is tried up to six times, and
would cost the others as much as one that takes its whole time."""


@dataclass(kw_only=True)
class SegmentPace:
    """Times one segment."""

    fetch_seconds: float | None = None
    """Segment and initialisation section together; None: nothing was fetched."""
    decode_seconds: float = 0.0
    """Everything that is made of the bytes, models' runs included."""

    @contextmanager
    def fetching(self) -> Iterator[None]:
        """Times the fetch, however it ends."""
        begin_seconds = time.monotonic()
        try:
            yield
        finally:
            self.fetch_seconds = time.monotonic() - begin_seconds

    @contextmanager
    def decoding(self) -> Iterator[None]:
        """Times what follows it, however it ends."""
        begin_seconds = time.monotonic()
        try:
            yield
        finally:
            self.decode_seconds = time.monotonic() - begin_seconds

    @property
    def failed_slowly(self) -> bool:
        """Of a fetch that failed: whether another try belongs where the slow ones share."""
        return (self.fetch_seconds or 0.0) > QUICK_FAILURE_SECONDS

    @property
    def held_seconds(self) -> float:
        """What its process had to do with it."""
        return (self.fetch_seconds or 0.0) + self.decode_seconds

    @property
    def slow(self) -> bool:
        """Whether the segment held its process for too long to be among everybody's."""
        return (self.fetch_seconds or 0.0) > QUICK_SECONDS or self.decode_seconds > QUICK_DECODE_SECONDS
