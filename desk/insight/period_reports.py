"""Reports on periods, made one at a time beside the pages, and kept for a minute."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotDoneError
from dataclasses import dataclass
from typing import Final

from redis import Redis

from config.settings import Settings
from desk.deployment import own_identity
from desk.errors import BusyError, PendingReportError
from worker.insight.period import Period
from worker.insight.summary import PeriodReport, period_report
from worker.store.object_store import ObjectStore

KEPT_SECONDS: Final = 60.0
"""Plots and downloads of a page are of the same report."""
WAIT_SECONDS: Final = 8.0
"""Time for which a page waits; a report on 400 busy days takes longer, and goes on being made."""
MOST_MAKING: Final = 4
"""Reports that are made or wait for it, <=: one is made at a time, for each reads all records of its period."""
MOST_WAITING: Final = 8
"""Pages that wait for reports, <=: each waits in a thread, and moderators' pages need the others."""

MOST_KEPT: Final = 8
"""A report on 400 days is some MB."""

Asked = tuple[Period, str]
ReportMaker = Callable[[Period, str], PeriodReport]


def report_maker(settings: Settings, redis: Redis) -> ReportMaker:
    """Returns what makes a report of this deployment, as `livewarden report` does."""

    def make(period: Period, purpose: str) -> PeriodReport:
        identity = own_identity(settings)
        opened = None if identity is None else identity.decrypt
        return period_report(redis, ObjectStore(settings.store_url), period, purpose=purpose, opened=opened)

    return make


@dataclass(kw_only=True)
class _Making:
    """A report that is being made, or was."""

    future: "Future[PeriodReport]"
    done_at: float | None = None
    """By the clock; None: it is not done."""


class PeriodReports:
    """The reports of one desk."""

    def __init__(
        self,
        make: ReportMaker,
        *,
        wait_seconds: float = WAIT_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`make`: from `report_maker`."""
        self._make_report = make
        self._wait_seconds = wait_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._one = threading.Lock()
        self._waiting = threading.BoundedSemaphore(MOST_WAITING)
        self._known: dict[Asked, _Making] = {}

    def report(self, period: Period, purpose: str) -> PeriodReport:
        """Returns a report, at most a minute old.

        Raises:
            PendingReportError: it is not made yet; said at once where many pages wait already.
            BusyError: too many others are.
            StoreError, ObjectStoreError: Redis or the store failed.
        """
        making = self._asked((period, purpose))
        if making.future.done():
            return making.future.result()
        if not self._waiting.acquire(blocking=False):
            raise PendingReportError
        try:
            return making.future.result(self._wait_seconds)
        except NotDoneError:
            if making.future.done():  # a time-out of its own
                raise
            raise PendingReportError from None
        finally:
            self._waiting.release()

    def _asked(self, asked: Asked) -> _Making:
        with self._lock:
            now = self._clock()
            for key, one in list(self._known.items()):
                if one.done_at is not None and now - one.done_at >= KEPT_SECONDS:
                    del self._known[key]
            found = self._known.get(asked)
            if found is not None:
                return found
            if sum(one.done_at is None for one in self._known.values()) >= MOST_MAKING:
                raise BusyError
            done = [key for key, one in self._known.items() if one.done_at is not None]
            for key in done[: max(0, len(done) - MOST_KEPT + 1)]:  # the oldest
                del self._known[key]
            making = self._known[asked] = _Making(future=Future())
        # Daemon: nobody waits for it when the desk ends.
        threading.Thread(target=self._make, args=(asked, making), name="insight", daemon=True).start()
        return making

    def _make(self, asked: Asked, making: _Making) -> None:
        period, purpose = asked
        try:
            with self._one:
                found = self._make_report(period, purpose)
        except Exception as error:  # raised again in the pages that wait for it
            with self._lock:
                del self._known[asked]
            making.future.set_exception(error)
        else:
            with self._lock:
                making.done_at = self._clock()
            making.future.set_result(found)
