"""Open cases in memory, as Redis has them: read once, and afterwards only what changed."""

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import reduce
from typing import Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.incidents.keys import OPEN_KEYS, incident_key
from worker.people.roster import PEOPLE
from worker.queue.case_order import OpenCase
from worker.queue.open_cases import MOST_CASES, joined, read_queued
from worker.queue.record_fields import LONGEST_NUMBER
from worker.store import redis_keys
from worker.store.redis_client import store_errors

FOLLOWED: Final = (incident_key(""), *OPEN_KEYS, PEOPLE)
"""Beginnings of the keys whose changes may change a case (`worker.store.key_tracking`)."""
EVERYTHING: Final = frozenset({PEOPLE})
"""Keys after whose change all is read again: who left the roster holds nothing any more."""


class CaseMirror:
    """Undecided incidents by case. Not thread-safe."""

    def __init__(self) -> None:
        self._case_of: dict[str, str] = {}
        """Incident -> its case."""
        self._incidents: dict[str, dict[str, OpenCase]] = {}
        """Case -> its undecided incidents, each as a case of its own."""
        self._cases: dict[str, OpenCase] = {}
        self._lease_until_ms: dict[str, float] = {}
        """Case -> end of its holder's lease, by Redis's clock."""
        self._changed: set[str] = set()
        """Cases that may be others than `drain` gave."""

    def read(self, redis: Redis) -> int:
        """Reads all; returns the time by Redis's clock.

        Raises:
            StoreError: Redis failed; the mirror is as it was.
        """
        incidents, now_ms = read_queued(redis)
        self._changed.update(self._cases)
        for kept in (self._case_of, self._incidents, self._cases, self._lease_until_ms):
            kept.clear()
        self._put(incidents, now_ms)
        return now_ms

    def update(self, redis: Redis, keys: Collection[str]) -> int | None:
        """Reads the incidents among keys that changed; returns the time by Redis's clock; None: there are none among
        them.

        Raises:
            StoreError: Redis failed; the mirror is as it was.
        """
        if not EVERYTHING.isdisjoint(keys):
            return self.read(redis)
        changed = changed_incidents(keys)
        if not changed:
            # Scripts write an incident and its place in the queue in one step; whoever mends Redis by hand does not.
            return self.read(redis) if self._open(redis) != len(self._case_of) else None
        incidents, now_ms = read_queued(redis, changed)
        self._put(incidents, now_ms, gone=changed - incidents.keys())
        return now_ms

    def drain(self, now_ms: int) -> dict[str, OpenCase | None]:
        """The cases that changed since the last call, as they are at a time by Redis's clock; None: one is not open any
        more. Leases that are over by then are none."""
        over = [case_id for case_id, until_ms in self._lease_until_ms.items() if until_ms <= now_ms]
        for case_id in over:
            del self._lease_until_ms[case_id]
            self._cases[case_id] = replace(
                self._cases[case_id], holder=None, lease_seconds=0.0, taken_ms=None, hold_why="", handed_to=None
            )
        changed, self._changed = self._changed.union(over), set()
        return {case_id: self._cases.get(case_id) for case_id in changed}

    def _open(self, redis: Redis) -> int:
        """The number of open incidents, of those that are read."""
        with store_errors(), redis.pipeline(transaction=False) as pipe:
            for key in OPEN_KEYS:
                pipe.zcard(key)
            return sum(min(int(number), MOST_CASES) for number in pipe.execute())

    def _put(self, incidents: dict[str, OpenCase], now_ms: int, gone: Iterable[str] = ()) -> None:
        touched: set[str] = set()
        for incident_id in (*gone, *incidents):
            before = self._case_of.pop(incident_id, None)
            if before is not None:
                del self._incidents[before][incident_id]
                touched.add(before)
        for incident_id, one in incidents.items():
            self._case_of[incident_id] = one.case_id
            self._incidents.setdefault(one.case_id, {})[incident_id] = one
            touched.add(one.case_id)
        self._changed |= touched
        for case_id in touched:
            self._lease_until_ms.pop(case_id, None)
            left = self._incidents[case_id]
            if left:
                case = self._cases[case_id] = reduce(joined, left.values())
                if case.holder is not None:
                    self._lease_until_ms[case_id] = now_ms + case.lease_seconds * 1000
            else:
                del self._incidents[case_id]
                self._cases.pop(case_id, None)


def read_turn(redis: Redis) -> int:
    """The number of takes so far, by which `order_cases` gives turns; 0 where it is damaged.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        try:
            text = str(redis.get(redis_keys.QUEUE_TURNS.name) or "")
        except ResponseError:  # of another type
            return 0
    return int(text) if text.isdecimal() and len(text) <= LONGEST_NUMBER else 0


def changed_incidents(keys: Iterable[str]) -> set[str]:
    """The ids of the incidents among keys. Their other keys (`lw:incident:{id}:entries`) change with them."""
    prefix = incident_key("")
    ids = (key.removeprefix(prefix) for key in keys if key.startswith(prefix))
    return {one for one in ids if one and ":" not in one}
