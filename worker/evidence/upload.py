"""Carries sealed items from the spool into the store: a thread of each worker's main process, one of them a spool.

An item leaves the spool once the store has given it back unaltered and Redis says so. A process that is killed between
two steps leaves an item that the next one carries again. Nothing here is waited for by moderation.
"""

import errno
import fcntl
import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

from redis import Redis
from redis.exceptions import ResponseError

from config.settings import Settings
from worker.errors import EvidenceError, ObjectStoreError
from worker.evidence.altered import publish_altered
from worker.evidence.each_act import each
from worker.evidence.evidence_store import EvidenceStore
from worker.evidence.expiry import EXPIRE_SECONDS
from worker.evidence.forgotten import ForgottenWatch
from worker.evidence.item import EvidenceKind, digest_of
from worker.evidence.item_states import note_place, record_of, states_of
from worker.evidence.record import CANDIDATE_BUCKET_MS, ItemState
from worker.evidence.spool import Spool, SpoolEntry
from worker.evidence.sweep import sweep, sweep_is_due
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic
from worker.store.object_store import ObjectStore
from worker.store.redis_client import now_ms

_log = logging.getLogger(__name__)
_troubles = FailureLog(_log)

INTERVAL_SECONDS: Final = (0.5, 1.5)
"""Between two looks into the spool: at random, so that a host's workers do not all begin together."""

COPY_SECONDS: Final = 60.0
"""Age from which (>=) a candidate is copied into the store: of a host that is lost, less than a minute's are."""

COPIES_A_STEP: Final = 20
"""Candidates copied before incidents' items are sought again."""

REST_SECONDS: Final = (1.0, 60.0)
"""The first and the longest pause after a failure of the store; each is twice the one before."""

ASK_SECONDS: Final = 10.0
"""Between two questions whether a sweep is due, <=."""

LOCK: Final = ".uploading"
"""File in the spool: locked by the process that uploads."""


@dataclass(frozen=True, kw_only=True)
class UploadPlan:
    """The work on a spool's items."""

    carry: tuple[tuple[SpoolEntry, str], ...]
    """Items of incidents, each with its incident: hits first, then context, each the oldest first."""
    copy: tuple[SpoolEntry, ...]
    """Candidates that have waited for long."""
    expired: tuple[SpoolEntry, ...]
    """Candidates that no incident took."""
    done: tuple[SpoolEntry, ...]
    """Items that the store has."""
    aside: tuple[SpoolEntry, ...]
    """Items that are damaged."""


def plan(
    entries: Sequence[SpoolEntry],
    states: Mapping[str, ItemState],
    seconds: Mapping[str, float],
    copied: Mapping[str, int],
) -> UploadPlan:
    """Returns what is due.

    Args:
        entries: of the spool, the oldest first.
        states: of those that belong to an incident.
        seconds: for how long each has been in the spool.
        copied: candidates that the store has, with their buckets.
    """
    free = [entry for entry in entries if entry.ref not in states]
    owned = [entry for entry in entries if entry.ref in states]
    waiting = [entry for entry in owned if states[entry.ref].waits]
    expired = [entry for entry in free if seconds[entry.ref] >= EXPIRE_SECONDS]
    young = [entry for entry in free if seconds[entry.ref] < EXPIRE_SECONDS and entry.ref not in copied]
    return UploadPlan(
        carry=tuple(
            (entry, states[entry.ref].incident)
            for entry in sorted(waiting, key=lambda entry: entry.kind is not EvidenceKind.HIT)
        ),
        copy=tuple(entry for entry in young if seconds[entry.ref] >= COPY_SECONDS)[:COPIES_A_STEP],
        expired=tuple(expired),
        done=tuple(entry for entry in owned if states[entry.ref].place == "stored"),
        aside=tuple(entry for entry in owned if states[entry.ref].place == "damaged"),
    )


class Uploader:
    """One process's uploads from one spool."""

    def __init__(
        self,
        redis: Redis,
        spool: Spool,
        open_store: Callable[[], ObjectStore],
        *,
        deployment: str,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = redis
        self._deployment = deployment
        self._spool = spool
        self._store = EvidenceStore(open_store)
        self._clock = clock
        self._seen_at: dict[str, float] = {}
        self._copied: dict[str, int] = {}
        self._waited: dict[str, str] = {}
        """Incidents of items that waited at the last step, by reference."""
        self._forgotten = ForgottenWatch(redis, clock)
        self._rest_seconds = REST_SECONDS[0]
        self._asks_at = float("-inf")

    def step(self) -> float | None:
        """Carries what is due; returns the pause after a failure of the store, in seconds.

        Raises:
            EvidenceError: the spool refuses something; what else can be done is done.
            redis.exceptions.RedisError: Redis failed.
        """
        try:
            # What a full store refuses to take, and a broken spool to give, must not keep there what has to leave.
            each([self._carry_alone, self._sweep_if_due])
        except ObjectStoreError as error:
            _troubles.met("store", "evidence waits in the spool: %s", error)
            pause, self._rest_seconds = self._rest_seconds, min(2 * self._rest_seconds, REST_SECONDS[1])
            return pause
        self._rest_seconds = REST_SECONDS[0]
        _troubles.over("store", "the store takes evidence again")
        return None

    def _asks_for_sweep(self) -> bool:
        """Returns whether Redis is asked: a thousand idle workers need not ask each second."""
        if self._clock() < self._asks_at:
            return False
        self._asks_at = self._clock() + ASK_SECONDS
        return True

    def _carry_alone(self) -> None:
        with _alone(self._spool) as alone:
            if alone:
                self._carry_due()

    def _sweep_if_due(self) -> None:
        if self._asks_for_sweep() and sweep_is_due(self._redis):
            self._spool.clean()
            sweep(self._redis, self._store, self._spool)

    def _carry_due(self) -> None:
        entries, now = self._spool.entries(), self._clock()
        self._seen_at = {entry.ref: self._seen_at.get(entry.ref, now) for entry in entries}
        self._note_dropped()
        self._copied = {ref: bucket for ref, bucket in self._copied.items() if ref in self._seen_at}
        if not entries:
            return
        seconds = {ref: now - seen_at for ref, seen_at in self._seen_at.items()}
        states = states_of(self._redis, [entry.ref for entry in entries])
        forgotten = self._forgotten.check(seconds.keys(), states, self._waited)
        known = [entry for entry in entries if entry.ref not in forgotten.held and entry.ref not in forgotten.lost]
        due = plan(known, states, seconds, self._copied)
        self._waited = {entry.ref: incident for entry, incident in due.carry}
        for entry in due.aside:
            self._spool.set_aside(entry.ref)
        copies = [(self._copied.pop(entry.ref), entry.ref) for entry in due.expired if entry.ref in self._copied]
        each(
            [
                # Before the store is asked for anything: while it is away nothing may be kept for longer.
                *(partial(self._spool.remove, entry.ref) for entry in (*due.done, *due.expired)),
                *(partial(self._carry, entry, incident) for entry, incident in due.carry),
                *(partial(self._carry_lost, ref, incident) for ref, incident in forgotten.lost.items()),
                *(partial(self._store.remove_candidate, bucket, ref) for bucket, ref in copies),
                *(partial(self._copy, entry) for entry in due.copy),
            ]
        )

    def _note_dropped(self) -> None:
        """Notes items that have left the spool without this process: context that made room for hits."""
        left = [ref for ref in self._waited if ref not in self._seen_at]
        self._waited = {ref: incident for ref, incident in self._waited.items() if ref in self._seen_at}
        for ref, state in states_of(self._redis, left).items():
            if state.waits:
                note_place(self._redis, state.incident, ref, "dropped")

    def _carry(self, entry: SpoolEntry, incident: str) -> None:
        try:
            sealed = self._spool.read(entry.ref)
        except EvidenceError as error:
            if error.reason == "damaged":
                self._damaged(entry, incident, error)
            elif error.reason != "missing":  # missing: it made room meanwhile
                raise  # it may be read in a moment
            return
        try:
            record = record_of(self._redis, incident, entry.ref)
        except EvidenceError as error:
            # Kept all the same: a person may find out by its head whose it is.
            _log.warning("evidence %s of incident %s: %s", entry.ref, incident, error)
        except ResponseError as error:  # foreign data under the incident's key, which must not keep others back
            _troubles.met(f"incident {incident}", "evidence of incident %s waits in the spool: %s", incident, error)
            return
        else:
            if record is None:  # evicted meanwhile: the next step takes it for a candidate
                return
            if not record.accepts(digest_of(sealed)):
                self._damaged(entry, incident, "its bytes are not those that were sealed")
                return
        self._store.put(incident, entry.ref, sealed)
        if not note_place(self._redis, incident, entry.ref, "stored"):
            self._store.remove(incident, entry.ref)  # purged while it was on its way
            return
        self._spool.remove(entry.ref)
        self._waited.pop(entry.ref, None)
        if (bucket := self._copied.pop(entry.ref, None)) is not None:
            self._store.remove_candidate(bucket, entry.ref)

    def _carry_lost(self, ref: str, incident: str) -> None:
        """Carries an item of which Redis knows nothing any more: nobody knows its outcome, and people decide on it."""
        try:
            sealed = self._spool.read(ref)
        except EvidenceError as error:
            if error.reason == "spool":
                raise
            return
        self._store.put(incident, ref, sealed)
        _log.warning("evidence %s of incident %s is in the store, and Redis has lost its record", ref, incident)
        self._spool.remove(ref)

    def _copy(self, entry: SpoolEntry) -> None:
        try:
            sealed = self._spool.read(entry.ref)
        except EvidenceError:
            return
        bucket = now_ms(self._redis) // CANDIDATE_BUCKET_MS
        self._store.put_candidate(bucket, entry.ref, sealed)
        self._copied[entry.ref] = bucket

    def _damaged(self, entry: SpoolEntry, incident: str, reason: object) -> None:
        _log.warning(
            "evidence %s of incident %s is damaged in the spool and set aside: %s", entry.ref, incident, reason
        )
        note_place(self._redis, incident, entry.ref, "damaged")
        self._spool.set_aside(entry.ref)
        # Last: a Redis that is full refuses it, and must not keep a damaged item in the spool. The log line has it.
        publish_altered(self._redis, entry.ref, incident=incident, deployment=self._deployment)


def keep_uploading(redis: Redis, settings: Settings, stopping: threading.Event) -> None:
    """Carries items until `stopping` is set: a thread of each worker's main process."""
    uploader = Uploader(
        redis, Spool.of(settings), lambda: ObjectStore(settings.store_url), deployment=settings.deployment
    )
    periodic(
        uploader.step,
        stopping,
        interval_seconds=INTERVAL_SECONDS,
        troubles=_troubles,
        failing="evidence is not carried into the store, and tried again",
        well_again="evidence is carried into the store again",
        rest_seconds=REST_SECONDS[0] * 5,
    )


@contextmanager
def _alone(spool: Spool) -> Iterator[bool]:
    """Yields whether no other process uploads from this spool; the lock of a dead one is free. No folder: no spool.

    A disk that has become read-only has no locks: what it holds is carried by each process, which is safe, and better
    than none.
    """
    try:
        lock = (spool.folder / LOCK).open("wb")
    except FileNotFoundError:
        yield False
        return
    except OSError as error:
        if error.errno == errno.EROFS:
            yield True
            return
        raise EvidenceError(f"{spool.folder}: {error.strerror}", reason="spool") from error
    with lock:
        try:
            # Of this process alone: a pool child that is forked meanwhile does not inherit it.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            yield False
            return
        yield True
