"""Fetches of one errand, which all end before one time."""

import time
from dataclasses import dataclass

from worker.errors import FetchError
from worker.ingest.http.fetch import Fetched, Fetcher
from worker.ingest.http.resource import ByteRange


@dataclass(frozen=True)
class TimedFetch:
    """Fetches for one errand."""

    fetcher: Fetcher
    errand: str
    """For the error's text."""
    until_seconds: float
    """By `time.monotonic`."""

    @property
    def is_over(self) -> bool:
        """True if nothing is fetched any more."""
        return time.monotonic() >= self.until_seconds

    def __call__(self, url: str, byte_range: ByteRange | None = None, *, max_bytes: int) -> Fetched:
        """Fetches a URL.

        Raises:
            FetchError: see its `reason`; `timeout`: the errand's time is over.
        """
        left_seconds = self.until_seconds - time.monotonic()
        if left_seconds <= 0:
            raise FetchError(f"{self.errand}: its time is over", "timeout")
        return self.fetcher.fetch_sync(url, max_bytes=max_bytes, timeout_seconds=left_seconds, byte_range=byte_range)
