"""The fetches of one segment's task: the segment, the one before it where that is needed, and their initialisation
sections; all within one deadline."""

import logging
import time
from dataclasses import dataclass, field

from worker.errors import FetchError
from worker.ingest.http.fetch import Fetched, Fetcher
from worker.ingest.http.resource import ByteRange
from worker.ingest.pending.segments import SegmentRecord
from worker.ingest.registry.slow_streams import QUICK_SECONDS
from worker.moderation.segment_before import SegmentBytes
from worker.runtime.segment_pace import SegmentPace

_log = logging.getLogger(__name__)

MAX_SEGMENT_BYTES = 64 * 2**20
"""Bytes of a segment with its initialisation section, as the decoder takes them; a 10 s segment of 40 Mbit/s has 50 MB.
With a bound for each of four fetches a process grew by 240 MB (2026-11-28)."""

FETCH_TIMEOUT_SECONDS = 5.0
"""Timeout of one fetch in the slow queue. In the others a segment and its initialisation section have `QUICK_SECONDS`
together, and so have those of the segment before: a stream whose every segment needs that one costs the others twice at
most."""

TASK_FETCH_SECONDS = 8.0
"""From the beginning of a task to the end of its last fetch: with the decoder's own limit of 5 s after that, this stays
under the task's soft time limit (16 s)."""


class TookLongError(Exception):
    """The segment before took longer than a shared queue waits."""


@dataclass(kw_only=True)
class SegmentFetches:
    """Fetches of one task."""

    fetcher: Fetcher
    record: SegmentRecord
    pace: SegmentPace
    shared: bool
    """The task came up in a shared queue."""
    until_seconds: float = field(default_factory=lambda: time.monotonic() + TASK_FETCH_SECONDS)
    """Deadline, by the monotonic clock."""
    _init: bytes = b""
    _before: SegmentBytes | None = None
    _asked: bool = False

    def segment(self) -> tuple[Fetched, SegmentBytes]:
        """Fetches the segment and its initialisation section; returns the first answer as well.

        Raises:
            FetchError: one of them cannot be fetched.
        """
        record = self.record
        with self.pace.fetching():
            until_seconds = self._until()
            fetched = self._fetch(record.url, record.byte_range, until_seconds)
            if record.init_url is not None:
                self._init = self._fetch(
                    record.init_url, record.init_byte_range, until_seconds, beside=fetched.body
                ).body
        return fetched, SegmentBytes(data=fetched.body, init=self._init)

    @property
    def has_before(self) -> bool:
        """True if the segment before was fetched."""
        return self._before is not None

    def before(self) -> SegmentBytes | None:
        """Fetches the segment before, at most once; None: it is not known, or cannot be fetched in time.

        Raises:
            TookLongError: it was not there in a shared queue's time; it may be in the slow one's.
        """
        if not self._asked:
            self._asked, self._before = True, self._fetch_before()
        return self._before

    def _fetch_before(self) -> SegmentBytes | None:
        record, before = self.record, self.record.before
        if before is None:
            return None
        same_init = (before.init_url, before.init_byte_range) == (record.init_url, record.init_byte_range)
        try:
            with self.pace.fetching():
                until_seconds = self._until()
                init = self._init if same_init else b""
                data = self._fetch(before.url, before.byte_range, until_seconds, beside=init).body
                if before.init_url is not None and not same_init:
                    init = self._fetch(before.init_url, before.init_byte_range, until_seconds, beside=data).body
        except FetchError as error:
            if self.shared and error.reason == "timeout":
                raise TookLongError from error
            _log.debug("segment %s: without the segment before: %s", record.key, error)
            return None
        return SegmentBytes(data=data, init=init)

    def _until(self) -> float:
        """Deadline of a segment and its initialisation section."""
        return min(self.until_seconds, time.monotonic() + QUICK_SECONDS) if self.shared else self.until_seconds

    def _fetch(self, url: str, byte_range: ByteRange | None, until_seconds: float, *, beside: bytes = b"") -> Fetched:
        """Fetches what `MAX_SEGMENT_BYTES` have room for beside the other part."""
        left_seconds = min(FETCH_TIMEOUT_SECONDS, max(0.0, until_seconds - time.monotonic()))
        return self.fetcher.fetch_sync(
            url, max_bytes=MAX_SEGMENT_BYTES - len(beside), timeout_seconds=left_seconds, byte_range=byte_range
        )
