"""Damaged files of the verdict log: no look-back can read them, so an event to operators is published.

lw:verdictlog:damaged   hash: path -> JSON: since when, why, and whether it was published; until the file is gone or
                        intact, MOST_DAMAGED at most
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
from worker.events.operations import alert_operators
from worker.store import redis_keys
from worker.store.redis_client import now_ms, store_errors, unless_full
from worker.verdictlog.files import LogFile
from worker.verdictlog.reading import LeftOut

_log = logging.getLogger(__name__)

DAMAGED: Final = redis_keys.LOG_DAMAGED.name
LOG_DAMAGED: Final = "livewarden.operations.verdict_log_damaged.v1"

MOST_DAMAGED: Final = 1_000
"""More are left out likewise, but not recorded: with so many, their names do not lead to the cause."""

MOST_NAMED: Final = 20
"""Files named in one event."""

MAX_PROBLEM_LENGTH: Final = 300


@dataclass(frozen=True, kw_only=True)
class Damage:
    """The damage of a file."""

    since_ms: int
    """Time when it was found, by Redis's clock."""
    problem: str
    published: bool
    """It was published to operators."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Reads a record of `to_json`; a damaged one counts as published."""
        try:
            record = json.loads(text)
            return cls(
                since_ms=int(record["since_ms"]), problem=str(record["problem"]), published=record["told"] is True
            )
        except (ValueError, TypeError, KeyError):
            return cls(since_ms=0, problem="", published=True)

    def to_json(self) -> str:
        """The record in Redis."""
        return json.dumps({"since_ms": self.since_ms, "problem": self.problem, "told": self.published})


def damage_recorder(redis: Redis) -> LeftOut:
    """Returns a function that records damaged files, and logs each once for all processes.

    It raises redis.exceptions.RedisError if Redis fails.
    """

    def note(file: LogFile, error: ObjectStoreError) -> None:
        if redis.hexists(DAMAGED, file.path) or redis.hlen(DAMAGED) >= MOST_DAMAGED:
            return
        damage = Damage(since_ms=now_ms(redis), problem=str(error)[:MAX_PROBLEM_LENGTH], published=False)
        with unless_full():
            if redis.hsetnx(DAMAGED, file.path, damage.to_json()):
                _log.error("a file of the verdict log is damaged, and left out: %s", error)

    return note


def damaged_files(redis: Redis) -> Mapping[str, Damage]:
    """Reads the recorded damage, by path; the longest known first.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        found = {str(path): Damage.from_json(str(text)) for path, text in redis.hgetall(DAMAGED).items()}
    return dict(sorted(found.items(), key=lambda one: (one[1].since_ms, one[0])))


def recheck_damaged(
    redis: Redis,
    is_listed: Callable[[str], bool],
    is_damaged: Callable[[str], bool | None],
    when_whole: Callable[[str], None],
    *,
    until: float,
) -> None:
    """Forgets files that are gone or intact by now, as far as there is time: a file that another program copies there
    may have been read half.

    Files that are gone are forgotten first, since that needs no reading. The order is random, so that each file is
    checked at some time if there is no time for all.

    Args:
        is_listed: returns whether there is a file of that path; raises as `is_damaged`.
        is_damaged: of a path; None: the file is gone.
        when_whole: called with the path of an intact file before it is forgotten: no look-back has searched it.

    Raises:
        StoreError: Redis failed.
        Any error of `is_damaged` and `when_whole`.
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


def publish_damage(redis: Redis, *, deployment: str) -> bool:
    """Publishes an event to operators of damage that was recorded since the last one; returns whether there was any.

    Raises:
        StoreError: Redis failed, or did not confirm that it is on disk; the event may have been published.
    """
    known = damaged_files(redis)
    new = {path: damage for path, damage in known.items() if not damage.published}
    if not new:
        return False
    first = next(iter(new.values()))
    data = {"files": list(new)[:MOST_NAMED], "files_new": len(new), "files_total": len(known), "problem": first.problem}
    with store_errors():
        now = now_ms(redis)
    event_id = derived_id(LOG_DAMAGED, *sorted(new))
    alert_operators(redis, LOG_DAMAGED, event_id, subject="verdict-log", data=data, deployment=deployment, now_ms=now)
    with store_errors():
        published: dict[Any, Any] = {
            path: Damage(since_ms=of.since_ms, problem=of.problem, published=True).to_json() for path, of in new.items()
        }
        redis.hset(DAMAGED, mapping=published)  # as large as before, so a full Redis does not refuse it
    return True
