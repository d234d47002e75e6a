"""What a process judges by: the deployed bank with the lists of LIVEWARDEN_LISTS_DIR, kept up to date by a thread."""

import logging
import os
import random
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from config.errors import LivewardenError
from config.facts import ListMatch
from models.bank.bank import EMPTY, Bank, Match
from models.pdq.pdq import PdqHash
from models.pdq.variant_kinds import Variant
from worker.bank.deployed import Deployed, follow, offline, went_back
from worker.bank.folder import FolderLists, load_folder, read_again
from worker.bank.following import Following, told_by
from worker.bank.keys import FOLLOWERS
from worker.bank.layered import BankWithFiles
from worker.bank.mark import BankMark
from worker.bank.place import SnapshotPlace
from worker.errors import StoreError
from worker.logs.failure_log import Troubles
from worker.store.redis_client import now_ms, unless_full

_log = logging.getLogger(__name__)
_trouble = Troubles(_log)

FOLLOW_SECONDS = (0.5, 1.5)
"""Between two looks at Redis: at random, so that many processes do not ask at once. A change is in force everywhere
after the longer one and what it takes to apply it."""

UNFOLLOWED_SECONDS = 30.0
"""Without a look at Redis for longer (>), events are marked: hashes may have come or gone meanwhile."""
UNFOLLOWED = "bank-unfollowed"

REPORT_SECONDS = 30.0
"""How often a process tells its position where that does not change."""

FORGOTTEN_MS = 3_600_000
"""After which a process that tells nothing any more is forgotten, by the next one that starts."""

HELD_SECONDS = 60.0
"""What was held for longer (>) is of an earlier loss: of one an older snapshot may show first, then a new epoch."""

_ANY = PdqHash(bits=bytes(32), quality=100)


@dataclass(frozen=True, kw_only=True)
class InForce:
    """What pictures are compared with, and what is not as it should be with it."""

    bank: Bank
    degraded: tuple[str, ...] = ()
    mark: BankMark = field(default_factory=BankMark)
    """Which state of the lists it is."""

    @cached_property
    def versions(self) -> dict[str, str]:
        """List -> version, of those that ever held anything."""
        return {name: version for name, version in self.bank.versions.items() if version != EMPTY}

    @cached_property
    def variants(self) -> frozenset[Variant]:
        """The transformed pictures that some list asks for."""
        return frozenset(variant for spec in self.bank.specs.values() for variant in spec.variants)


def as_list_match(match: Match) -> ListMatch:
    """A match as policy and events know it."""
    return ListMatch(
        list=match.list,
        entry=match.entry,
        distance=match.distance,
        video=match.video,
        seconds=match.seconds,
        variant=None if match.variant is None else str(match.variant),
        version=match.version,
        tags=match.tags,
        source=match.source,
        category=match.category,
        max_distance=match.max_distance,
    )


BankSource = Callable[[], InForce]
"""Gives what is in force now; asked once a segment, so that a segment is judged by one bank."""


def always(in_force: InForce) -> BankSource:
    """What does not change."""
    return lambda: in_force


def in_force(deployed: Deployed, folder: FolderLists) -> InForce:
    """The deployed bank with the folder's lists over it; a list that both have is the two together."""
    bank = deployed.bank
    if folder.files:
        bank = BankWithFiles.of(bank, folder.bank)
    return InForce(bank=bank, degraded=(*deployed.degraded, *folder.degraded), mark=BankMark.of(deployed, folder))


class Follower:
    """Follows the bank; `in_force` is what holds now."""

    def __init__(self, redis: Redis, place: SnapshotPlace, lists_dir: Path | None) -> None:
        self._redis = redis
        self._place = place
        self._lists_dir = lists_dir
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._folder: FolderLists | None = None
        self._deployed: Deployed | None = None
        self.held: Deployed | None = None
        """The bank as it was when Redis lost its state; None: that never happened, or this bank is whole again."""
        self._held_at = 0.0
        self._followed_at: float | None = None
        self._looked_at: float | None = None
        self._stale: tuple[str, ...] = ()
        self._base: Bank | None = None
        self._forgot = False
        self._in_force = InForce(bank=Bank())

    @property
    def deployed(self) -> Deployed:
        """The bank as it was when last looked at; nothing where it never was."""
        return Deployed() if self._deployed is None else self._deployed

    @property
    def folder(self) -> FolderLists:
        """The lists of files as they were when last looked at."""
        return FolderLists() if self._folder is None else self._folder

    def in_force(self) -> InForce:
        """What holds now. Where no thread follows, it looks by itself, at most once in FOLLOW_SECONDS.

        Raises:
            HashListError, BankRequestError: at the first look: nothing usable is there.
        """
        if self._thread is None or self._base is None:
            now = time.monotonic()
            if self._base is None or self._looked_at is None or now - self._looked_at > FOLLOW_SECONDS[0]:
                self.look()
        current = self._in_force
        followed_at = self._followed_at
        if followed_at is None or time.monotonic() - followed_at > UNFOLLOWED_SECONDS:
            return replace(current, degraded=(*current.degraded, UNFOLLOWED))
        return current

    def inherit(self, other: "Follower") -> None:
        """Begins with what another one has read, before the fork: children share it, and need not read it again."""
        self._folder, self._deployed, self._base = other._folder, other._deployed, other._base
        self._in_force, self._stale = other._in_force, other._stale

    def start(self) -> None:
        """Looks again and again in a thread. Where nothing usable is there `in_force` says so."""
        try:
            self.look()
        except LivewardenError as error:
            _log.warning("the hash bank cannot be used: %s", error)
        self._thread = threading.Thread(target=self._run, name="livewarden-bank", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Tells the thread to end, and does not wait for it."""
        self._stopping.set()

    @property
    def threads(self) -> tuple[threading.Thread, ...]:
        """That which follows, if there is one."""
        return () if self._thread is None else (self._thread,)

    def close(self) -> None:
        """Ends the thread; may be called twice."""
        self.stop()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def look(self) -> None:
        """Takes over what has changed in Redis and in the folder of lists. Redis may be away: what holds goes on.

        Raises:
            HashListError, BankRequestError: at the first look: nothing usable is there.
        """
        with self._lock:
            self._looked_at = time.monotonic()
            read = self._folder
            folder = load_folder(self._lists_dir) if read is None else read_again(read, self._lists_dir)
            try:
                deployed = follow(self._redis, self._place, self._deployed)
                self._followed_at = time.monotonic()
            except (StoreError, OSError) as error:
                _trouble.met("bank", "the hash bank is not followed: %s", error)
                deployed = Deployed(bank=offline(self._place)) if self._deployed is None else self._deployed
            else:
                _trouble.over("bank", "the hash bank is followed again")
                self._hold(deployed)
                self._deployed = deployed
            self._take_over(deployed, folder)

    def _hold(self, deployed: Deployed) -> None:
        """Holds what there was before `deployed`, if Redis lost it."""
        before = self._deployed
        if before is None or not went_back(before, deployed):
            return
        now = time.monotonic()
        if self.held is None or (not before.lost and now - self._held_at > HELD_SECONDS):
            self.held, self._held_at = before, now

    def _take_over(self, deployed: Deployed, folder: FolderLists) -> None:
        bank = self._in_force.bank
        if deployed.bank is not self._base or folder is not self._folder:
            bank = in_force(deployed, folder).bank
            bank.match(_ANY)  # what is made at the first match is made here, so that no picture waits for it
        for name in set(deployed.stale) - set(self._stale):
            # In each process; operators have an event of it, which is logged once.
            _log.debug("hash list %s is stale: its source was not read again in time", name)
        self._stale = deployed.stale
        self._base, self._folder = deployed.bank, folder
        degraded = (*deployed.degraded, *folder.degraded)
        self._in_force = InForce(bank=bank, degraded=degraded, mark=BankMark.of(deployed, folder))

    def _run(self) -> None:
        name = f"{socket.gethostname()}:{os.getpid()}"
        told, told_at = "", 0.0
        while not self._stopping.wait(random.uniform(*FOLLOW_SECONDS)):  # noqa: S311 - jitter, no secret
            try:
                self.look()
                position = "" if self._deployed is None else self._deployed.position
                if position and (position != told or time.monotonic() - told_at > REPORT_SECONDS):
                    self._report(name, position)
                    told, told_at = position, time.monotonic()
                _trouble.over("thread", "the hash bank is looked at again")
            except (LivewardenError, RedisError, OSError) as error:
                _trouble.met("thread", "the hash bank is not followed: %s", error)
            except Exception:  # a thread that ended would leave the bank as it is, for ever
                _trouble.met("thread", "the hash bank is not followed", level=logging.ERROR, exc_info=True)
        if told:
            with suppress(RedisError, OSError):
                # Else it would count as one that is behind until it is known to be gone.
                self._redis.hdel(FOLLOWERS, name)

    def _report(self, name: str, position: str) -> None:
        now = now_ms(self._redis)
        with unless_full():
            self._redis.hset(FOLLOWERS, name, Following(position=position, at_ms=now).to_json())
        if not self._forgot:
            told = {one: told_by(text) for one, text in self._redis.hgetall(FOLLOWERS).items()}
            gone = [one for one, last in told.items() if last is None or now - last.at_ms > FORGOTTEN_MS]
            if gone:
                self._redis.hdel(FOLLOWERS, *gone)
            self._forgot = True
