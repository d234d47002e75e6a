"""The watch of all streams, and what is wrong beside the queue, read every few seconds for all pages: what is not seen
cannot be in the queue."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import islice
from typing import Final

from redis import Redis

from desk.live.altered_feed import AlteredFeed, AlteredNow
from worker.errors import StoreError
from worker.ingest.coverage.totals import totals
from worker.ingest.poll.watch_summary import WatchSummary, read_watch_summary
from worker.logs.failure_log import FailureLog
from worker.queue.aside import entries_aside

AGE_SECONDS: Final = 10.0
"""The summary that a page shows is so old at most."""
WINDOW_SECONDS: Final = 3_600.0
SHORTEST_SECONDS: Final = 120.0
"""Coverage of a shorter time is some segments' chance: the day's is shown."""
MOST_SAMPLES: Final = round(WINDOW_SECONDS / AGE_SECONDS) + 1

_trouble = FailureLog(logging.getLogger(__name__))


@dataclass(frozen=True, kw_only=True)
class CoverageSample:
    """Counted time up to a moment, by day: (streamed, moderated) in seconds."""

    at: float
    """Monotonic, seconds."""
    days: Mapping[date, tuple[float, float]]


@dataclass(frozen=True, kw_only=True)
class WatchNow:
    """Words of pages on the watch, and on what does not reach the queue, in figures."""

    summary: WatchSummary | None = None
    """None: it cannot be read, as with a user of Redis who may see no stream."""
    moderated_share: float | None = None
    """Part of the streamed time that was moderated; None: nothing was streamed, or it is not known."""
    share_seconds: float | None = None
    """Time that the share is of; None: today, from 00:00 UTC."""
    aside: int = 0
    """Entries of the queue that nobody could read, ever."""
    altered: AlteredNow | None = None
    """Pictures that are not the ones that were sealed; None: it cannot be read."""


class WatchFeed:
    """The newest of it, read by the page that finds it old; others get the last one meanwhile."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._clock = clock
        self._reading = threading.Lock()
        self._samples: deque[CoverageSample] = deque(maxlen=MOST_SAMPLES)
        self._altered = AlteredFeed(redis)
        self._newest = WatchNow()
        self._read_at: float | None = None

    def newest(self) -> WatchNow:
        """Returns what was read last, AGE_SECONDS ago at most."""
        old = self._read_at is None or self._clock() - self._read_at >= AGE_SECONDS
        if old and self._reading.acquire(blocking=False):
            try:
                self._newest = self._read()
            finally:
                self._read_at = self._clock()
                self._reading.release()
        return self._newest

    def _read(self) -> WatchNow:
        try:
            aside = entries_aside(self._redis).total
            summary = read_watch_summary(self._redis)
            self._samples.append(CoverageSample(at=self._clock(), days=_live_days(self._redis)))
            altered = self._altered.read(summary.now_ms)
        except StoreError as error:
            _trouble.met("watch", "the watch of streams is not shown: %s", error)
            return WatchNow()
        _trouble.over("watch", "the watch of streams is read again")
        share, seconds = moderated_share(self._samples)
        return WatchNow(summary=summary, moderated_share=share, share_seconds=seconds, aside=aside, altered=altered)


def _live_days(redis: Redis) -> dict[date, tuple[float, float]]:
    return {
        day.day: (day.seconds.get("elapsed", 0.0), day.seconds.get("moderated", 0.0))
        for day in totals(redis, days=2)
        if day.purpose == "live"
    }


def moderated_share(samples: Sequence[CoverageSample]) -> tuple[float | None, float | None]:
    """The moderated part of what was streamed between the samples of the last hour, and that time in seconds; the day's
    and None where they are too close together. The oldest sample comes first."""
    newest = samples[-1]
    within = [one for one in islice(samples, len(samples)) if newest.at - one.at <= WINDOW_SECONDS]
    seconds = newest.at - within[0].at
    if seconds >= SHORTEST_SECONDS:
        before = within[0].days
        parts = [
            (now[0] - before.get(day, (0.0, 0.0))[0], now[1] - before.get(day, (0.0, 0.0))[1])
            for day, now in newest.days.items()
        ]
        streamed, moderated = (sum(part[place] for part in parts) for place in (0, 1))
        return (_part(moderated, streamed), seconds)
    today = max(newest.days, default=None)
    return (None if today is None else _part(newest.days[today][1], newest.days[today][0])), None


def _part(moderated: float, streamed: float) -> float | None:
    # Time is counted when a segment ends: a little more may be moderated than has been listed since.
    return None if streamed <= 0 else min(1.0, max(0.0, moderated / streamed))
