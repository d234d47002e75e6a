"""Late files of the verdict log: some of their pictures were judged by lists that have changed since.

A look-back searches the log as it is when a hash comes. A picture that was judged without the hash may be logged later,
by any time: a store is slow, a worker was stopped, a follower was behind. So each file is registered with the state of
the lists that its pictures were compared with, before it is written, and checked again once readers see it. If nothing
has come into force since, no look-back has missed it: one that begins later finds it in the log. Else the file is
compared with what has (`worker.lookback.recheck`).
"""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from redis import Redis
from redis.exceptions import RedisError

from worker.bank.changelog import position, read_pointer
from worker.bank.keys import CHANGES, FILES
from worker.bank.lists_in_force import FILES_SEEN_MS, BankMark
from worker.errors import StoreError
from worker.logs.failure_log import FailureLog
from worker.lookback.jobs import JUDGED, LONGEST_DUE_MS, UNCHECKED
from worker.store.redis_client import now_ms, store_errors
from worker.verdictlog.tables import VERDICTS

_trouble = FailureLog(logging.getLogger(__name__))

UNCONFIRMED_MS = 60_000
"""After which a registered file is checked, whether its writer lives or not: most stores give up before."""


@dataclass(frozen=True, kw_only=True)
class LateFile:
    """A file that is to be compared with hashes that came meanwhile."""

    path: str
    due_ms: float
    """As in Redis, so that a record that was changed since is not overwritten."""
    since_ms: int
    """Time when it was registered."""
    judged_by: BankMark
    rows: int = 0
    """Number of its rows that are done."""

    def to_json(self) -> str:
        """The record in Redis."""
        return json.dumps({"since_ms": self.since_ms, "rows": self.rows, "judged_by": self.judged_by.to_json()})

    @classmethod
    def from_json(cls, path: str, text: str | None, *, due_ms: float, now: int) -> "LateFile":
        """Reads a record of `to_json`; damaged fields are taken for the oldest state."""
        try:
            record = json.loads(text or "{}")
            since_ms, rows, mark = int(record["since_ms"]), int(record.get("rows", 0)), str(record.get("judged_by"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            since_ms, rows, mark = now, 0, ""
        return cls(path=path, due_ms=due_ms, since_ms=since_ms, judged_by=BankMark.from_json(mark), rows=rows)


@contextmanager
def registered(redis: Redis, path: str, judged_by: BankMark) -> Iterator[None]:
    """Registers a file of the log while it is written.

    If the process dies meanwhile, the file stays registered and is checked. Each step may be sent twice.

    Raises:
        StoreError: Redis failed before the block; the file must not be written yet.
    """
    with store_errors():
        _put(redis, path, judged_by, due_in_ms=UNCONFIRMED_MS)
    try:
        yield
    except BaseException:
        _try(redis, path, None)
        raise
    _try(redis, path, judged_by)


def register_again(redis: Redis, path: str) -> None:
    """Has a file that was unreadable until now compared with all lists in force; a file of outcomes has no pictures.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    if path.startswith(f"{VERDICTS.root}/"):
        _put(redis, path, BankMark(edition=None, complete=False))


def _try(redis: Redis, path: str, judged_by: BankMark | None) -> None:
    """Ends a registration; `judged_by` None: the file was not written. If Redis fails, the file stays registered."""
    try:
        with store_errors():
            # In this order: a hash that comes into force after the mark was read is sought in a log that has the file.
            if judged_by is None or not judged_by.lacks(current_mark(redis)):
                _forget(redis, path)
            else:
                _put(redis, path, judged_by)
    except (StoreError, RedisError) as error:
        _trouble.met("file", "a file of the verdict log will be compared with new hashes later: %s", error)


def current_mark(redis: Redis) -> BankMark:
    """The state of the lists that is in force now, on any host.

    Raises:
        StoreError: Redis failed.
    """
    pointer = read_pointer(redis)
    with store_errors():
        newest = redis.xrevrange(CHANGES, count=1)
        files = redis.zrangebyscore(FILES, now_ms(redis) - FILES_SEEN_MS, "+inf")
    last = str(newest[0][0]) if newest else pointer.watermark
    return BankMark(
        edition=pointer.edition, position=max(last, pointer.watermark, key=position), files=frozenset(map(str, files))
    )


def next_late(redis: Redis) -> LateFile | None:
    """Returns a file that is due; None: none is.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    now = now_ms(redis)
    due = redis.zrangebyscore(UNCHECKED, "-inf", now, start=0, num=1, withscores=True)
    # A time further ahead than is ever set: Redis's clock went back.
    due = due or redis.zrangebyscore(UNCHECKED, f"({now + LONGEST_DUE_MS}", "+inf", start=0, num=1, withscores=True)
    if not due:
        return None
    path, due_ms = str(due[0][0]), float(due[0][1])
    text = redis.hget(JUDGED, path)
    return LateFile.from_json(path, None if text is None else str(text), due_ms=due_ms, now=now)


def replace_late(redis: Redis, late: LateFile, other: LateFile) -> None:
    """Registers `other`, which has all rows of `late`, instead of it. Under the lease; may be sent twice.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    kept = redis.hget(JUDGED, other.path)
    if kept is not None:
        known = LateFile.from_json(other.path, str(kept), due_ms=other.due_ms, now=other.since_ms)
        oldest = BankMark.oldest((known.judged_by, other.judged_by))
        other = replace(other, since_ms=min(known.since_ms, other.since_ms), judged_by=oldest)
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(JUDGED, other.path, other.to_json())
        pipe.zadd(UNCHECKED, {other.path: other.due_ms})
        pipe.zrem(UNCHECKED, late.path)
        pipe.hdel(JUDGED, late.path)
        pipe.execute()


def _put(redis: Redis, path: str, judged_by: BankMark, *, due_in_ms: int = 0) -> None:
    now = now_ms(redis)
    late = LateFile(path=path, due_ms=now + due_in_ms, since_ms=now, judged_by=judged_by)
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(JUDGED, path, late.to_json())
        pipe.zadd(UNCHECKED, {path: late.due_ms})
        pipe.execute()


def _forget(redis: Redis, path: str) -> None:
    with redis.pipeline(transaction=True) as pipe:
        pipe.zrem(UNCHECKED, path)
        pipe.hdel(JUDGED, path)
        pipe.execute()
