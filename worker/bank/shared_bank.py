"""The bank that a deployment shares, as one process sees it: a snapshot from its folder, and Redis's changes since."""

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from redis import Redis

from config.counts import counted
from models.bank.bank import Bank
from models.bank.entries import ListSpec
from models.bank.snapshot import Snapshot, current_snapshot, open_snapshot
from models.bank.writing import PREFIX
from models.errors import SnapshotError
from worker.bank.changelog import NO_SNAPSHOT, START, BankUpdate, Pointer, position, read_pointer, read_update
from worker.bank.keys import SNAPSHOT
from worker.bank.snapshot_storage import SnapshotStorage
from worker.errors import BankRequestError
from worker.health.redis_epoch import STATE_LOST
from worker.store.redis_client import store_errors

_log = logging.getLogger(__name__)

BEHIND = "bank-behind"
"""Slug in `degraded`: the snapshot in force cannot be opened here, or a change cannot be read."""

STALE = "stale-list"
"""Slug in `degraded`: `stale-list:NAME`."""


@dataclass(frozen=True, kw_only=True)
class SharedBank:
    """The shared bank up to one change. Immutable; `follow` returns the next one."""

    bank: Bank = field(default_factory=Bank)
    pointer: Pointer = NO_SNAPSHOT
    """The open snapshot."""
    position: str = START
    """Id of the last change in it."""
    stale: tuple[str, ...] = ()
    """Lists whose source was not read again in time."""
    refreshed_ms: dict[str, int] = field(default_factory=dict)
    missing: str = ""
    """Reason why the snapshot in force is not the open one; empty: it is."""
    changes: int = 0
    """Number of changes since the snapshot."""
    unreadable: int = 0
    """Number of those that this version cannot read."""
    epoch: str = ""
    """Redis's (`worker.health.redis_epoch`) when this was read."""
    lost: bool = False
    """Redis lost its state, and the bank is not known to be complete again."""

    @property
    def behind(self) -> str:
        """Reason why some of what is in force is missing here; empty: nothing is."""
        if self.missing or not self.unreadable:
            return self.missing
        return (
            f"{counted(self.unreadable, 'change')} cannot be read: is this version older than the one that made them?"
        )

    @property
    def degraded(self) -> tuple[str, ...]:
        """Slugs of its faults, for `degraded`."""
        marks = (*((BEHIND,) if self.behind else ()), *((STATE_LOST,) if self.lost else ()))
        return (*marks, *(f"{STALE}:{name}" for name in self.stale))


def follow(redis: Redis, storage: SnapshotStorage, before: SharedBank | None = None) -> SharedBank:
    """Reads what is in force now; cheap if nothing has changed since `before`.

    If a snapshot cannot be opened, the last good one stays open, with all changes since, and `missing` has the reason.

    Raises:
        StoreError: Redis failed.
        BankRequestError: there is no last good snapshot either.
    """
    now = SharedBank() if before is None else before
    while True:
        update = read_update(redis, now.position)
        if update.pointer.damaged:
            if before is None:
                now = _last_good(redis, storage.find(redis), update.pointer.damaged)
                update = read_update(redis, now.position)
            elif update.pointer.damaged != now.missing:
                _log.warning("the hash bank is behind: %s", update.pointer.damaged)
            return _applied(now, update, missing=update.pointer.damaged)
        if update.pointer is NO_SNAPSHOT:
            if now.pointer is not NO_SNAPSHOT:
                return _applied(
                    now, update, missing="Redis does not name a snapshot any more: it may have lost its state"
                )
            adopted = _adopt(redis, storage) if before is None else None
            if adopted is None:
                return _applied(now, update)
            now = adopted
            continue
        if (update.pointer.name, update.pointer.watermark) == (now.pointer.name, now.pointer.watermark):
            return _applied(replace(now, pointer=update.pointer), update)
        folder: Path | None = None
        try:
            folder = storage.find(redis)
            now = _opened(folder, update.pointer)
        except (SnapshotError, BankRequestError) as error:
            if before is not None and _holds_the_same(now, update.pointer):
                return _applied(now, update)
            if str(error) != now.missing:
                _log.warning("the hash bank is behind: %s", error)
            if now.pointer is NO_SNAPSHOT:
                try:
                    now = _last_good(redis, folder, str(error))
                    update = read_update(redis, now.position)
                except BankRequestError:
                    # The first snapshot ever may take minutes to come here: single changes are in force meanwhile.
                    if before is None:
                        raise
            return _applied(now, update, missing=str(error))


def _holds_the_same(now: SharedBank, pointer: Pointer) -> bool:
    """Returns whether the open snapshot with all changes since equals the new one: it is a compaction, and no change
    was missed."""
    return now.pointer.edition == pointer.edition and position(now.position) >= position(pointer.kept_after)


def _applied(now: SharedBank, update: BankUpdate, *, missing: str = "") -> SharedBank:
    bank = now.bank
    if update.changes:
        bank = replace(bank, delta=bank.delta.applied(*update.changes))
    return replace(
        now,
        bank=bank,
        position=update.position,
        stale=stale_lists(bank.specs.values(), update.refreshed_ms, now_ms=update.now_ms),
        refreshed_ms=update.refreshed_ms,
        missing=missing,
        changes=now.changes + len(update.changes) + update.unreadable,
        unreadable=now.unreadable + update.unreadable,
        epoch=update.epoch,
        # No epoch where there was one: the loss has not been noted yet.
        lost=update.lost or (not update.epoch and (bool(now.epoch) or now.lost)),
    )


def went_back(before: SharedBank, after: SharedBank) -> bool:
    """Returns whether Redis lost the state that `before` was read from: the epoch is another one, or the snapshot in
    force is older."""
    if before.epoch and before.epoch != after.epoch:
        return True
    older = position(after.pointer.watermark) < position(before.pointer.watermark)
    # Ids of changes begin anew after a loss: the snapshot that restores the bank may seem older.
    return older and not before.lost


def _opened(folder: Path | None, pointer: Pointer) -> SharedBank:
    if folder is None:
        raise SnapshotError(f"snapshot {pointer.name}: expected it in LIVEWARDEN_BANK_DIR, which is not set")
    snapshot = open_snapshot(folder / pointer.name)
    return SharedBank(bank=Bank(snapshot=snapshot), pointer=pointer, position=pointer.watermark)


def _adopt(redis: Redis, storage: SnapshotStorage) -> SharedBank | None:
    """Takes the snapshot in the operator's folder if Redis names none: Redis was lost, the lists must not be."""
    if not storage.dedicated:
        return None
    found = _current(storage.root)
    if found is None:
        return None
    path, snapshot = found
    pointer = Pointer(name=path.name, watermark=snapshot.watermark or START)
    _log.warning("Redis does not name a snapshot of the hash bank: %s is used; changes since may be lost", path)
    with store_errors():
        redis.hset(SNAPSHOT, mapping={"name": pointer.name, "watermark": pointer.watermark, "adopted": 1})
    return SharedBank(bank=Bank(snapshot=snapshot), pointer=pointer, position=pointer.watermark)


def _last_good(redis: Redis, folder: Path | None, why: str) -> SharedBank:
    """The newest snapshot of the folder that can be opened; logs if Redis does not have every change since."""
    found = None if folder is None else _newest(folder)
    if found is None:
        raise BankRequestError(
            f"the hash bank cannot be opened: {why}: is LIVEWARDEN_BANK_DIR this host's folder of it, and "
            "LIVEWARDEN_STORE_URL the store that all hosts share?"
        )
    path, snapshot = found
    with store_errors():
        kept_after = read_pointer(redis).kept_after
    if position(snapshot.watermark) < position(kept_after):
        _log.warning("snapshot %s is so old that Redis lacks some of the changes since", path)
    pointer = Pointer(name=path.name, watermark=snapshot.watermark or START)
    return SharedBank(bank=Bank(snapshot=snapshot), pointer=pointer, position=pointer.watermark)


def _current(folder: Path) -> tuple[Path, Snapshot] | None:
    """The snapshot that the folder itself names; if it cannot be opened, the newest one that can."""
    try:
        path = current_snapshot(folder)
        return None if path is None else (path, open_snapshot(path))
    except SnapshotError as error:
        _log.warning("%s", error)
        return _newest(folder)


def _newest(folder: Path) -> tuple[Path, Snapshot] | None:
    found = []
    for path in folder.glob(f"{PREFIX}*"):
        try:
            found.append((path, open_snapshot(path)))
        except SnapshotError as error:
            _log.warning("%s", error)
    return max(found, key=lambda one: position(one[1].watermark), default=None)


def offline(storage: SnapshotStorage) -> Bank:
    """The bank of the folder without Redis; if it has none, the built-in lists alone."""
    found = _current(storage.root) if storage.dedicated else None
    return Bank() if found is None else Bank(snapshot=found[1])


def stale_lists(specs: Iterable[ListSpec], refreshed_ms: Mapping[str, int], *, now_ms: int) -> tuple[str, ...]:
    """Names of the stale lists, sorted. The time of a new list's first refresh counts from its creation; if that is
    unknown, a list with a refresh interval is stale from the beginning.

    Args:
        refreshed_ms: list -> when its source was last read completely, in milliseconds of Redis's clock, like `now_ms`;
            0: unknown.
    """
    return tuple(
        sorted(
            spec.name
            for spec in specs
            if spec.refresh_seconds is not None
            and now_ms - refreshed_ms.get(spec.name, spec.created_ms or 0) > spec.refresh_seconds * 1000
        )
    )
