"""The hash lists in force in one process: the shared bank with the lists of LIVEWARDEN_LISTS_DIR over it."""

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Self

from redis import Redis

from config.facts import ListMatch
from config.settings import Settings
from models.bank.bank import EMPTY, Bank, Match
from models.bank.delta import Delta
from models.bank.snapshot import open_snapshot
from models.pdq.variant_kinds import Variant
from worker.bank.changelog import NO_SNAPSHOT, START, position, read_update
from worker.bank.folder_lists import BankWithFiles, FolderLists, load_folder
from worker.bank.keys import FILES
from worker.bank.replication import fetch_at_start
from worker.bank.shared_bank import BEHIND, SharedBank, follow, offline
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError, StoreError
from worker.health.redis_epoch import STATE_LOST
from worker.store.redis_client import connect, now_ms, store_errors

UNFOLLOWED = "bank-unfollowed"
"""Slug in `degraded`: Redis was not read for longer than UNFOLLOWED_SECONDS."""

FILES_SEEN_MS = 60_000
"""For which a list of files counts after a worker last saw it; each reads the folder every few seconds."""


@dataclass(frozen=True, kw_only=True)
class BankMark:
    """One state of the hash lists, with which pictures are compared. Without arguments: the built-in lists alone."""

    edition: int | None = 0
    """The open snapshot's (`worker.bank.changelog.Pointer.edition`); None: unknown."""
    position: str = START
    """Id of the last change of the bank in force."""
    files: frozenset[str] = frozenset()
    """"LIST VERSION" of each list of files."""
    complete: bool = True
    """Every change up to `position` was readable."""

    @classmethod
    def of(cls, shared: SharedBank, folder: FolderLists) -> Self:
        """The mark of a process."""
        return cls(
            edition=shared.pointer.edition,
            position=shared.position,
            files=frozenset(f"{name} {version}" for name, (version, _) in folder.lists.items()),
            complete=not shared.unreadable,
        )

    @classmethod
    def oldest(cls, marks: Iterable[Self]) -> Self:
        """A state that contains nothing which one of the marks, at least one, lacks."""
        first, *others = marks
        oldest = first
        for mark in others:
            oldest = cls(
                edition=oldest.edition if oldest.edition == mark.edition else None,
                position=min(oldest.position, mark.position, key=position),
                files=oldest.files & mark.files,
                complete=oldest.complete and mark.complete,
            )
        return oldest

    def lacks_shared(self, current: "BankMark") -> bool:
        """Returns whether `current` may have a hash of the shared bank that this one lacks."""
        if not self.complete or self.edition is None or self.edition != current.edition:
            return True
        return position(self.position) < position(current.position)

    def lacks(self, current: "BankMark") -> bool:
        """As `lacks_shared`, for lists of files too."""
        return self.lacks_shared(current) or not current.files <= self.files

    def to_json(self) -> str:
        """The record in Redis."""
        return json.dumps(
            {"edition": self.edition, "position": self.position, "files": sorted(self.files), "whole": self.complete}
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads a record of `to_json`. Damaged or missing fields are taken for the oldest state."""
        try:
            record = json.loads(text)
            edition, where = record.get("edition"), str(record.get("position", START))
            position(where)
            return cls(
                edition=edition if isinstance(edition, int) else None,
                position=where,
                files=frozenset(map(str, record.get("files", ()))),
                complete=record.get("whole") is True,
            )
        except (ValueError, TypeError, AttributeError, RecursionError):
            return cls(edition=None, complete=False)


@dataclass(frozen=True, kw_only=True)
class ListsInForce:
    """The lists that pictures are compared with, and their faults."""

    bank: Bank
    degraded: tuple[str, ...] = ()
    mark: BankMark = field(default_factory=BankMark)
    """Their state."""

    @cached_property
    def versions(self) -> dict[str, str]:
        """List -> version, of lists that have ever had an entry."""
        return {name: version for name, version in self.bank.versions.items() if version != EMPTY}

    @cached_property
    def variants(self) -> frozenset[Variant]:
        """The transformations that any list requires."""
        return frozenset(variant for spec in self.bank.specs.values() for variant in spec.variants)


def as_list_match(match: Match) -> ListMatch:
    """Converts a match into the form of policy and events."""
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


BankSource = Callable[[], ListsInForce]
"""Returns the lists in force now; called once a segment, so that a segment is judged by one bank."""


def always(in_force: ListsInForce) -> BankSource:
    """A source that never changes."""
    return lambda: in_force


def combine_lists(shared: SharedBank, folder: FolderLists) -> ListsInForce:
    """Lays the folder's lists over the shared bank; a list that both have is the union of the two."""
    bank = shared.bank
    if folder.files:
        bank = BankWithFiles.of(bank, folder.bank)
    return ListsInForce(bank=bank, degraded=(*shared.degraded, *folder.degraded), mark=BankMark.of(shared, folder))


def open_lists(settings: Settings, *, lists_dir: Path | None = None) -> ListsInForce:
    """Opens the lists with Redis or without, for a scan.

    Args:
        lists_dir: a folder of lists that a person named: only these and the built-in ones are used.

    Raises:
        HashListError, BankRequestError: nothing usable is there.
    """
    if lists_dir is not None:
        return combine_lists(SharedBank(), load_folder(lists_dir))
    storage, folder = SnapshotStorage.of(settings), load_folder(settings.lists_dir)
    redis = connect(settings.redis_url.get_secret_value(), retries=0)
    try:
        fetch_at_start(redis, storage)
        return combine_lists(follow(redis, storage), folder)
    except StoreError:
        without: Bank = combine_lists(SharedBank(bank=offline(storage)), folder).bank
        # Where there is no deployment, its bank is not missing.
        return ListsInForce(bank=without, degraded=(UNFOLLOWED,) if "redis_url" in settings.model_fields_set else ())
    finally:
        redis.close()


def deployment_list_names(redis: Redis, settings: Settings) -> frozenset[str]:
    """Names of the lists of a deployment that runs no process here, in its bank and in files of its hosts. Changes
    nothing, and fetches nothing.

    Raises:
        StoreError: Redis is away, or refuses this user.
        LivewardenError: the snapshot in force is not on this machine, or cannot be opened.
    """
    storage = SnapshotStorage.of(settings)
    update = read_update(redis, START)
    pointer = update.pointer
    if pointer.damaged:
        raise BankRequestError(pointer.damaged)
    bank = Bank()
    if pointer is not NO_SNAPSHOT:
        folder = storage.find(redis)
        if folder is None:
            raise BankRequestError(f"the bank's snapshot {pointer.name} is not on this machine")
        bank = Bank(snapshot=open_snapshot(folder / pointer.name))
        update = read_update(redis, pointer.watermark)
    bank = Bank(snapshot=bank.snapshot, delta=Delta().applied(*update.changes))
    return frozenset(bank.specs) | frozenset(load_folder(settings.lists_dir).lists) | _of_files(redis)


def followed_names(redis: Redis, in_force: ListsInForce) -> frozenset[str] | None:
    """Names of the lists of this process's deployment; None: some of what is in force is missing here.

    Raises:
        StoreError: Redis failed.
    """
    if not {BEHIND, STATE_LOST, UNFOLLOWED}.isdisjoint(in_force.degraded):
        return None
    return frozenset(in_force.bank.specs) | _of_files(redis)


def _of_files(redis: Redis) -> frozenset[str]:
    with store_errors():
        seen = redis.zrangebyscore(FILES, now_ms(redis) - FILES_SEEN_MS, "+inf")
    return frozenset(str(one).rpartition(" ")[0] for one in seen)
