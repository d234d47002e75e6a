"""The stream of changes in Redis and the snapshot that they follow: together they define the bank of all processes."""

import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from redis import Redis

from models.bank.copying import SNAPSHOT_NAME
from models.bank.delta import BankChange
from models.bank.entries import Entry
from models.errors import ChangeError
from worker.bank.history import KEPT_ACTS, ChangeAuthor, acts_of, texts_of
from worker.bank.keys import CHANGES, HISTORY, REFRESHED, SNAPSHOT
from worker.health.redis_epoch import BEHIND, EPOCH
from worker.logs.failure_log import FailureLog
from worker.people.actor import Actor
from worker.people.roster import unproven
from worker.store.redis_client import ONCE_SECONDS, now_ms, run_script_to_disk, store_errors, time_ms

_trouble = FailureLog(logging.getLogger(__name__))

START = "0-0"
"""Before every change."""


@dataclass(frozen=True, kw_only=True)
class Pointer:
    """The snapshot in force."""

    name: str
    """Its folder in the bank's folder; empty: none has been written yet."""
    watermark: str
    """Id of the last change in it."""
    edition: int | None = None
    """Number of snapshots with content that no change brought: of two with the same number, the older one with all
    changes since equals the newer one. None: unknown."""
    kept_after: str = START
    """The stream has every change after this one."""
    digest: str = ""
    """SHA-256 of the manifest, if the snapshot is in the store; empty: it is not there yet."""
    damaged: str = ""
    """Reason why Redis's record names no snapshot, so that the one in force is unknown; empty: it does."""


NO_SNAPSHOT = Pointer(name="", watermark=START, edition=0)


@dataclass(frozen=True, kw_only=True)
class BankUpdate:
    """The bank in Redis at one instant: its pointer, and the changes after a position."""

    pointer: Pointer
    changes: tuple[BankChange, ...]
    """Those after the requested position, in order."""
    unreadable: int
    """Number of elements among them that this version cannot read as a change."""
    position: str
    """Id of the last of them; without any: the requested position."""
    refreshed_ms: dict[str, int]
    """List -> when its source was last read; 0: the record is damaged."""
    now_ms: int
    epoch: str = ""
    """Redis's (`worker.health.redis_epoch`); empty: none has begun yet."""
    lost: bool = False
    """Redis lost its state, and the bank has not been restored since."""


def position(change_id: str) -> tuple[int, int]:
    """The sort key of a change's id; ids do not sort as texts."""
    milliseconds, _, sequence = (change_id or START).partition("-")
    return int(milliseconds), int(sequence or 0)


def append_changes(
    redis: Redis, changes: Sequence[BankChange], *, by: str | Actor, role: str = "", refreshed: str = ""
) -> tuple[BankChange, ...]:
    """Appends changes, all or none; when this returns they are on Redis's disk, and soon in force everywhere.

    Returns them with ids and times. Without any, nothing is recorded; what the caller saw in the bank is on disk then.

    Args:
        by: their author, recorded with `role` in the history (`worker.bank.history`) and in the audit log. An actor
            has a role, and must be of the roster where there is one.
        refreshed: the list whose source was read completely with them.

    Raises:
        PeopleError: there is a roster, and the actor is not in it, any more.
        StoreError: Redis failed, or did not confirm that it is on disk; the changes may have been made.
    """
    author = ChangeAuthor.of(by, role)
    with store_errors():
        at_ms = now_ms(redis)
    changes = [replace(change, at_ms=at_ms) for change in changes]
    answer = run_script_to_disk(
        redis,
        "bank_append",
        keys=[CHANGES, REFRESHED, SNAPSHOT, HISTORY],
        args=[
            author.by,
            json.dumps([change.to_json() for change in changes]),
            refreshed,
            texts_of(acts_of(changes, author=author, refreshed=refreshed)),
            KEPT_ACTS,
            author.proof,
            int(author.person),
        ],
    )
    if not answer and isinstance(by, Actor):
        raise unproven(by)
    ids, _ = answer
    return tuple(replace(change, id=str(change_id)) for change, change_id in zip(changes, ids, strict=True))


def just_added(redis: Redis, list_name: str, *, by: str) -> Entry | None:
    """The entry that the last change of a list added, if this author made it so lately that Redis's answer to it may
    have been lost.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        since_ms = now_ms(redis) - ONCE_SECONDS * 1000
        elements: list[Any] = redis.xrevrange(CHANGES, min=str(since_ms)) or []
    for _, fields in elements:
        try:
            change = BankChange.from_json(fields.get("change", ""))
        except ChangeError:
            return None
        if change.list == list_name:
            return change.entry if fields.get("by") == by else None
    return None


_POINTER = ("name", "watermark", "edition", "previous", "stored", "digest")


def _pointer(fields: Sequence[str | bytes | None]) -> Pointer:
    name, watermark, edition, previous, stored, digest = (None if field is None else str(field) for field in fields)
    if not name or not watermark:
        return NO_SNAPSHOT
    expected = (
        ("name", SNAPSHOT_NAME, name),
        ("watermark", _CHANGE_ID, watermark),
        ("edition", _EDITION, edition or "0"),
        ("previous", _CHANGE_ID, previous or START),
        ("digest", _DIGEST, digest or "0" * 64),
    )
    for field, pattern, text in expected:
        if not pattern.fullmatch(text):
            damaged = f"Redis: {SNAPSHOT}: {field} is {text[:80]!r}: expected the name of a snapshot, change or digest"
            return replace(NO_SNAPSHOT, edition=None, damaged=damaged)
    return Pointer(
        name=name,
        watermark=watermark,
        edition=int(edition or 0),
        kept_after=previous or START,
        digest=digest if digest and stored == name else "",
    )


_CHANGE_ID = re.compile(r"\d{1,20}-\d{1,20}")
_EDITION = re.compile(r"\d{1,18}")
_DIGEST = re.compile(r"[0-9a-f]{64}")


def read_pointer(redis: Redis) -> Pointer:
    """Reads which snapshot is in force.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        return _pointer(redis.hmget(SNAPSHOT, _POINTER))


def read_update(redis: Redis, after: str) -> BankUpdate:
    """Reads the pointer and the changes after the id `after` (>) at one instant.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors(), redis.pipeline(transaction=True) as pipe:
        pipe.hmget(SNAPSHOT, _POINTER)
        pipe.xrange(CHANGES, min=f"({after or START}")
        pipe.hgetall(REFRESHED)
        pipe.time()
        pipe.hmget(EPOCH, "id", "bank")
        pointer, elements, refreshed, time, (epoch, bank) = pipe.execute()
    changes, unreadable = [], 0
    for change_id, fields in elements:
        try:
            changes.append(BankChange.from_json((fields or {}).get("change", ""), id=str(change_id)))
        except ChangeError as error:
            _trouble.met("change", "the hash bank cannot apply a change: %s", error)
            unreadable += 1
    return BankUpdate(
        pointer=_pointer(pointer),
        changes=tuple(changes),
        unreadable=unreadable,
        position=str(elements[-1][0]) if elements else after or START,
        # A list whose time of refresh is damaged is stale, if it is to be refreshed at all.
        refreshed_ms={
            str(name): int(at_ms) if _EDITION.fullmatch(str(at_ms)) else 0 for name, at_ms in refreshed.items()
        },
        now_ms=time_ms(time),
        epoch=str(epoch or ""),
        lost=bank == BEHIND,
    )
