"""Files of the verdict log that come late: some of their pictures were judged by lists that have changed since.

A look-back searches what is in the log when a hash comes. A picture that was judged without the hash may be logged
after that, however late: a store is slow, a worker stood still, a follower was behind. So each file is registered with
the state of the lists that its pictures were compared with, before it is written, and looked at again once readers
see it. If nothing has come into force since, no look-back has passed it by: one that begins later finds it in the log.
If something has, it is compared with that (`worker.lookback.recheck`).
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
from worker.bank.mark import BankMark
from worker.errors import StoreError
from worker.logs.failure_log import Troubles
from worker.lookback.jobs import JUDGED, LONGEST_DUE_MS, UNCHECKED
from worker.store.redis_client import now_ms, store_errors
from worker.verdictlog.tables import VERDICTS

_trouble = Troubles(logging.getLogger(__name__))

UNCONFIRMED_MS = 60_000
"""After which a file that was announced is looked for, whether its writer lives or not: most stores give up before."""

FILES_SEEN_MS = 60_000
"""For which a list of files that no worker sees any more counts as in force; each looks every few seconds."""


@dataclass(frozen=True, kw_only=True)
class LateFile:
    """One that is to be compared with what came meanwhile."""

    path: str
    due_ms: float
    """When; as in Redis, so that only what nobody changed since is written over."""
    since_ms: int
    """When it was announced."""
    judged_by: BankMark
    rows: int = 0
    """Of it that are done."""

    def to_json(self) -> str:
        """As it is kept in Redis."""
        return json.dumps({"since_ms": self.since_ms, "rows": self.rows, "judged_by": self.judged_by.to_json()})

    @classmethod
    def from_json(cls, path: str, text: str | None, *, due_ms: float, now: int) -> "LateFile":
        """Reads what `to_json` wrote; what is damaged in it is taken for the oldest state."""
        try:
            record = json.loads(text or "{}")
            since_ms, rows, mark = int(record["since_ms"]), int(record.get("rows", 0)), str(record.get("judged_by"))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
            since_ms, rows, mark = now, 0, ""
        return cls(path=path, due_ms=due_ms, since_ms=since_ms, judged_by=BankMark.from_json(mark), rows=rows)


@contextmanager
def registered(redis: Redis, path: str, judged_by: BankMark) -> Iterator[None]:
    """Registers a file of the log around its writing.

    A process that dies in between leaves it registered: it is then looked for. Each step may be sent twice.

    Raises:
        StoreError: Redis failed, before the block; the file is not to be written yet.
    """
    with store_errors():
        now = now_ms(redis)
        _put(redis, LateFile(path=path, due_ms=now + UNCONFIRMED_MS, since_ms=now, judged_by=judged_by))
    try:
        yield
    except BaseException:
        _try(redis, path, None)
        raise
    _try(redis, path, judged_by)


def register_again(redis: Redis, path: str) -> None:
    """Has a file that nobody could read until now compared with all that is in force; one of outcomes has no pictures.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    if path.startswith(f"{VERDICTS.root}/"):
        now = now_ms(redis)
        _put(redis, LateFile(path=path, due_ms=now, since_ms=now, judged_by=BankMark(edition=None, whole=False)))


def _try(redis: Redis, path: str, judged_by: BankMark | None) -> None:
    """After the block, which has its own end: where Redis fails the file stays registered."""
    try:
        with store_errors():
            # In this order: what comes into force after it was asked for is searched for in a log that has the file.
            if judged_by is None or not judged_by.lacks(current_mark(redis)):
                _forget(redis, path)
            else:
                now = now_ms(redis)
                _put(redis, LateFile(path=path, due_ms=now, since_ms=now, judged_by=judged_by))
    except (StoreError, RedisError) as error:
        _trouble.met("file", "a file of the verdict log is compared with what came meanwhile only later: %s", error)


def current_mark(redis: Redis) -> BankMark:
    """What is in force now, wherever it is followed.

    Raises:
        StoreError: Redis failed.
    """
    pointer = read_pointer(redis)
    with store_errors():
        newest = redis.xrevrange(CHANGES, count=1)
        files = redis.zrangebyscore(FILES, now_ms(redis) - FILES_SEEN_MS, "+inf")
    last = str(newest[0][0]) if newest else pointer.watermark
    return BankMark(
        edition=pointer.edition,
        position=max(last, pointer.watermark, key=position),
        files=frozenset(map(str, files)),
    )


def next_late(redis: Redis) -> LateFile | None:
    """The one that is due; None: none is.

    Raises:
        redis.exceptions.RedisError: Redis failed.
    """
    now = now_ms(redis)
    due = redis.zrangebyscore(UNCHECKED, "-inf", now, start=0, num=1, withscores=True)
    # Further ahead than any is ever set: Redis's clock went back.
    due = due or redis.zrangebyscore(UNCHECKED, f"({now + LONGEST_DUE_MS}", "+inf", start=0, num=1, withscores=True)
    if not due:
        return None
    path, due_ms = str(due[0][0]), float(due[0][1])
    text = redis.hget(JUDGED, path)
    return LateFile.from_json(path, None if text is None else str(text), due_ms=due_ms, now=now)


def take_place_of(redis: Redis, late: LateFile, other: LateFile) -> None:
    """Registers `other`, which holds all that `late` held, instead of it. Under the lease; may be sent twice.

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


def _put(redis: Redis, late: LateFile) -> None:
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(JUDGED, late.path, late.to_json())
        pipe.zadd(UNCHECKED, {late.path: late.due_ms})
        pipe.execute()


def _forget(redis: Redis, path: str) -> None:
    with redis.pipeline(transaction=True) as pipe:
        pipe.zrem(UNCHECKED, path)
        pipe.hdel(JUDGED, path)
        pipe.execute()
