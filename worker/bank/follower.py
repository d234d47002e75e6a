"""The follower of the hash lists: a thread of each process keeps them up to date, and reports its position to Redis."""

import json
import logging
import os
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from config.errors import LivewardenError
from models.bank.bank import Bank
from models.pdq.pdq import PdqHash
from worker.bank.changelog import START, position
from worker.bank.folder_lists import FolderLists, load_folder, reload_folder
from worker.bank.keys import FOLLOWERS
from worker.bank.lists_in_force import UNFOLLOWED, BankMark, ListsInForce, combine_lists
from worker.bank.shared_bank import SharedBank, follow, offline, went_back
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import StoreError
from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic, start_thread
from worker.store.redis_client import now_ms, unless_full

_log = logging.getLogger(__name__)
_trouble = FailureLog(_log)

FOLLOW_SECONDS = (0.5, 1.5)
"""Between two reads of Redis: at random, so that many processes do not read at the same time. A change is in force
everywhere after the longer interval and the time to apply it."""

UNFOLLOWED_SECONDS = 30.0
"""If Redis was not read for longer (>), events are marked: hashes may have come or gone meanwhile."""

REPORT_SECONDS = 30.0
"""The interval of reports of a position that does not change."""

FORGOTTEN_MS = 3_600_000
"""After which the next process to start forgets one that reports nothing."""

HELD_SECONDS = 60.0
"""A bank held for longer (>) is of an earlier loss. One loss may show twice: an older snapshot first, then a new
epoch."""

_ANY = PdqHash(bits=bytes(32), quality=100)


@dataclass(frozen=True, kw_only=True)
class FollowerReport:
    """The position that a process reported, and when."""

    position: str
    at_ms: int
    """By Redis's clock."""

    def to_json(self) -> str:
        """The record in Redis."""
        return json.dumps({"position": self.position, "at_ms": self.at_ms})


def read_report(text: object) -> FollowerReport | None:
    """Reads a process's record; None: it is damaged."""
    try:
        record = json.loads(str(text))
        where = str(record.get("position", START))
        position(where)
        return FollowerReport(position=where, at_ms=int(record["at_ms"]))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


class BankFollower:
    """Follows the bank; `in_force` returns the lists in force now."""

    def __init__(self, redis: Redis, storage: SnapshotStorage, lists_dir: Path | None) -> None:
        self._redis = redis
        self._storage = storage
        self._lists_dir = lists_dir
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._folder: FolderLists | None = None
        self._shared: SharedBank | None = None
        self.held: SharedBank | None = None
        """The bank as it was when Redis lost its state; None: it never did, or the bank was restored since."""
        self._held_at = 0.0
        self._followed_at: float | None = None
        self._read_at: float | None = None
        self._stale: tuple[str, ...] = ()
        self._base: Bank | None = None
        self._forgot = False
        self._in_force = ListsInForce(bank=Bank())

    @property
    def shared(self) -> SharedBank:
        """The bank as last read; empty if it never was."""
        return SharedBank() if self._shared is None else self._shared

    @property
    def folder(self) -> FolderLists:
        """The lists of files as last read."""
        return FolderLists() if self._folder is None else self._folder

    def in_force(self) -> ListsInForce:
        """Returns the lists in force now. Without a thread it reads them itself, at most once in FOLLOW_SECONDS.

        Raises:
            HashListError, BankRequestError: at the first read: no list is usable.
        """
        if self._thread is None or self._base is None:
            now = time.monotonic()
            if self._base is None or self._read_at is None or now - self._read_at > FOLLOW_SECONDS[0]:
                self.refresh()
        current = self._in_force
        followed_at = self._followed_at
        if followed_at is None or time.monotonic() - followed_at > UNFOLLOWED_SECONDS:
            return replace(current, degraded=(*current.degraded, UNFOLLOWED))
        return current

    def inherit(self, other: "BankFollower") -> None:
        """Takes over what another follower has read, before the fork: children share it, and need not read it again."""
        self._folder, self._shared, self._base = other._folder, other._shared, other._base
        self._in_force, self._stale = other._in_force, other._stale

    def start(self) -> None:
        """Starts the thread. If no list is usable, `in_force` raises."""
        try:
            self.refresh()
        except LivewardenError as error:
            _log.warning("the hash bank cannot be used: %s", error)
        self._thread = start_thread("bank", self._run)

    def stop(self) -> None:
        """Has the thread end, and does not wait for it."""
        self._stopping.set()

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """The thread, if there is one."""
        return () if self._thread is None else (self._thread,)

    def close(self) -> None:
        """Ends the thread; may be called twice."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def refresh(self) -> None:
        """Applies changes in Redis and in the folder of lists. If Redis is away, the lists stay as they are.

        Raises:
            HashListError, BankRequestError: at the first read: no list is usable.
        """
        with self._lock:
            self._read_at = time.monotonic()
            read = self._folder
            folder = load_folder(self._lists_dir) if read is None else reload_folder(read, self._lists_dir)
            try:
                shared = follow(self._redis, self._storage, self._shared)
                self._followed_at = time.monotonic()
            except (StoreError, OSError) as error:
                _trouble.met("bank", "the hash bank is not followed: %s", error)
                shared = SharedBank(bank=offline(self._storage)) if self._shared is None else self._shared
            else:
                _trouble.over("bank", "the hash bank is followed again")
                self._hold(shared)
                self._shared = shared
            self._take_over(shared, folder)

    def _hold(self, shared: SharedBank) -> None:
        """Holds the bank before `shared` if Redis lost it."""
        before = self._shared
        if before is None or not went_back(before, shared):
            return
        now = time.monotonic()
        if self.held is None or (not before.lost and now - self._held_at > HELD_SECONDS):
            self.held, self._held_at = before, now

    def _take_over(self, shared: SharedBank, folder: FolderLists) -> None:
        bank = self._in_force.bank
        if shared.bank is not self._base or folder is not self._folder:
            bank = combine_lists(shared, folder).bank
            bank.match(_ANY)  # builds here what the first match would build, so that no picture waits for it
        for name in set(shared.stale) - set(self._stale):
            # At debug, since each process logs it; operators get an event, which is logged once.
            _log.debug("hash list %s is stale: its source was not read again in time", name)
        self._stale = shared.stale
        self._base, self._folder = shared.bank, folder
        degraded = (*shared.degraded, *folder.degraded)
        self._in_force = ListsInForce(bank=bank, degraded=degraded, mark=BankMark.of(shared, folder))

    def _run(self) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}"
        reported, reported_at = "", 0.0

        def step() -> None:
            nonlocal reported, reported_at
            self.refresh()
            position = "" if self._shared is None else self._shared.position
            if position and (position != reported or time.monotonic() - reported_at > REPORT_SECONDS):
                self._report(name, position)
                reported, reported_at = position, time.monotonic()

        periodic(
            step,
            self._stopping,
            interval_seconds=FOLLOW_SECONDS,
            troubles=_trouble,
            failing="the hash bank is not followed",
            well_again="the hash bank is followed again",
        )
        if reported:
            with suppress(RedisError, OSError):
                # Else it would count as a process that is behind until it is forgotten.
                self._redis.hdel(FOLLOWERS, name)

    def _report(self, name: str, position: str) -> None:
        now = now_ms(self._redis)
        with unless_full():
            self._redis.hset(FOLLOWERS, name, FollowerReport(position=position, at_ms=now).to_json())
        if not self._forgot:
            reports = {one: read_report(text) for one, text in self._redis.hgetall(FOLLOWERS).items()}
            gone = [one for one, last in reports.items() if last is None or now - last.at_ms > FORGOTTEN_MS]
            if gone:
                self._redis.hdel(FOLLOWERS, *gone)
            self._forgot = True
