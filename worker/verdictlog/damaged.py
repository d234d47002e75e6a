"""Files of the verdict log that cannot be read: what they hold cannot be looked back on, so operators are told.

lw:verdictlog:damaged   hash: path -> JSON: since when, why, and whether operators were told; until the file is gone or
                        whole, MOST_DAMAGED at most
"""

import json
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final, Self

from redis import Redis

from worker.errors import ObjectStoreError
from worker.events.cloudevent import derived_id
from worker.events.operations import tell_operators
from worker.store import redis_keys
from worker.store.redis_client import now_ms, store_errors, unless_full
from worker.verdictlog.files import LogFile
from worker.verdictlog.reading import LeftOut

_log = logging.getLogger(__name__)

DAMAGED: Final = redis_keys.LOG_DAMAGED.name
LOG_DAMAGED: Final = "livewarden.operations.verdict_log_damaged.v1"

MOST_DAMAGED: Final = 1_000
"""More are left out all the same, and are not remembered: what damages so many is not to be found by their names."""

MOST_TOLD: Final = 20
"""Files that one event names."""

MAX_PROBLEM_LENGTH: Final = 300


@dataclass(frozen=True, kw_only=True)
class Damage:
    """What is wrong with a file."""

    since_ms: int
    """When it was found, by Redis's clock."""
    problem: str
    told: bool
    """Operators were told."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads what `to_json` wrote; what is damaged in it is as good as told."""
        try:
            record = json.loads(text)
            return cls(since_ms=int(record["since_ms"]), problem=str(record["problem"]), told=record["told"] is True)
        except (ValueError, TypeError, KeyError):
            return cls(since_ms=0, problem="", told=True)

    def to_json(self) -> str:
        """As it is kept in Redis."""
        return json.dumps({"since_ms": self.since_ms, "problem": self.problem, "told": self.told})


def noting(redis: Redis) -> LeftOut:
    """Notes files that are damaged, and logs each once, whichever process comes upon it first, and however often.

    What it gives raises redis.exceptions.RedisError where Redis fails.
    """

    def note(file: LogFile, error: ObjectStoreError) -> None:
        if redis.hexists(DAMAGED, file.path) or redis.hlen(DAMAGED) >= MOST_DAMAGED:
            return
        damage = Damage(since_ms=now_ms(redis), problem=str(error)[:MAX_PROBLEM_LENGTH], told=False)
        with unless_full():
            if redis.hsetnx(DAMAGED, file.path, damage.to_json()):
                _log.error("a file of the verdict log is damaged, and left out: %s", error)

    return note


def damaged_files(redis: Redis) -> Mapping[str, Damage]:
    """What was noted, by path; the longest known first.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        found = {str(path): Damage.from_json(str(text)) for path, text in redis.hgetall(DAMAGED).items()}
    return dict(sorted(found.items(), key=lambda one: (one[1].since_ms, one[0])))


def look_again(
    redis: Redis,
    is_listed: Callable[[str], bool],
    is_damaged: Callable[[str], bool | None],
    when_whole: Callable[[str], None],
    *,
    until: float,
) -> None:
    """Forgets files that are gone or whole by now, as far as there is time: one that another program copied there is
    first seen half.

    What is gone is forgotten first, for that needs no reading. The order is random, so that each file gets its turn
    where there is no time for all.

    Args:
        is_listed: of a path: whether there is such a file; raises what `is_damaged` does.
        is_damaged: of a path; None: there is no such file any more.
        when_whole: is told of a file before it is forgotten: nothing was looked for in it meanwhile.

    Raises:
        StoreError: Redis failed.
        Whatever `is_damaged` and `when_whole` raise.
    """
    paths = list(damaged_files(redis))
    random.shuffle(paths)
    there = []
    for path in paths:
        if monotonic() >= until:
            return
        if is_listed(path):
            there.append(path)
        else:
            with store_errors():
                redis.hdel(DAMAGED, path)
    for path in there:
        if monotonic() >= until:
            return
        still = is_damaged(path)
        if still:
            continue
        if still is not None:
            when_whole(path)
            _log.warning("%s of the verdict log can be read now", path)
        with store_errors():
            redis.hdel(DAMAGED, path)


def tell_damaged(redis: Redis, *, deployment: str) -> bool:
    """Tells operators of what was noted since they were last told; gives whether there was any.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; it may have been told.
    """
    known = damaged_files(redis)
    new = {path: damage for path, damage in known.items() if not damage.told}
    if not new:
        return False
    first = next(iter(new.values()))
    data = {"files": list(new)[:MOST_TOLD], "files_new": len(new), "files_total": len(known), "problem": first.problem}
    with store_errors():
        now = now_ms(redis)
    event_id = derived_id(LOG_DAMAGED, *sorted(new))
    tell_operators(redis, LOG_DAMAGED, event_id, subject="verdict-log", data=data, deployment=deployment, now_ms=now)
    with store_errors():
        told: dict[Any, Any] = {
            path: Damage(since_ms=of.since_ms, problem=of.problem, told=True).to_json() for path, of in new.items()
        }
        redis.hset(DAMAGED, mapping=told)  # as large as before: nothing is refused for want of room
    return True
