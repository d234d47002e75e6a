"""Candidates that no incident took leave the spool after ten minutes, in a thread that waits for no store."""

import logging
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Final

from redis import Redis

from config.settings import Settings
from worker.evidence.each_act import each
from worker.evidence.item_states import states_of
from worker.evidence.spool import Spool
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic

_troubles = FailureLog(logging.getLogger(__name__))

EXPIRE_SECONDS: Final = 600.0
"""Age from which (>=) a candidate that no incident took is deleted, counted while this process runs: the clock of a
machine may jump, and a restart keeps candidates for longer."""

INTERVAL_SECONDS: Final = (10.0, 20.0)
"""Between two looks into the spool, at random. The uploader deletes candidates too, sooner, unless the store hangs."""


class SpoolExpiry:
    """Deletes from one spool what has expired. Several processes may do so: each asks Redis just before."""

    def __init__(self, redis: Redis, spool: Spool, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._spool = spool
        self._clock = clock
        self._seen_at: dict[str, float] = {}
        self._owned: set[str] = set()
        """Items that had an incident: the uploader knows whether they were purged, or Redis has lost its data."""

    def step(self) -> None:
        """Deletes what has expired.

        Raises:
            EvidenceError: the spool refuses something; the rest is deleted.
            redis.exceptions.RedisError: Redis failed.
        """
        now = self._clock()
        self._seen_at = {entry.ref: self._seen_at.get(entry.ref, now) for entry in self._spool.entries()}
        # Those that had an incident are not asked for again.
        self._owned &= self._seen_at.keys()
        self._owned |= states_of(self._redis, [ref for ref in self._seen_at if ref not in self._owned]).keys()
        old = [ref for ref, seen_at in self._seen_at.items() if now - seen_at >= EXPIRE_SECONDS]
        each(partial(self._spool.remove, ref) for ref in old if ref not in self._owned)


def keep_expiring(redis: Redis, settings: Settings, stopping: threading.Event) -> None:
    """Deletes what has expired until `stopping` is set: a thread of each worker's main process."""
    periodic(
        SpoolExpiry(redis, Spool.of(settings)).step,
        stopping,
        interval_seconds=INTERVAL_SECONDS,
        troubles=_troubles,
        failing="evidence that has expired is not deleted from the spool, and tried again",
        well_again="evidence that has expired is deleted from the spool again",
    )
