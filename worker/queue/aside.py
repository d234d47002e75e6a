"""Entries and records in the queue that nobody can be given: foreign, newer or damaged ones.

A take acknowledges such an entry, so that nothing waits behind it, and notes where it is (`set_aside` in
worker/store/lua/shared/queue.lua), not what is in it.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis
from redis.exceptions import ResponseError

from worker.incidents.keys import OPEN_KEYS, incident_key
from worker.store import redis_keys
from worker.store.redis_client import run_script, store_errors

ASIDE: Final = redis_keys.QUEUE_ASIDE.name
ASIDE_COUNTS: Final = redis_keys.QUEUE_ASIDE_COUNTS.name

REASONS: Final[Mapping[str, str]] = {
    "malformed": "no escalation event",
    "oversized": "larger than any event of Livewarden",
    "newer": "an event of a newer version",
    "unknown": "about an incident that is not on record: it came too early, or its stream was erased",
}
"""Reasons in words, by their names."""

AT_ONCE: Final = 500
"""Records that one script checks: it keeps Redis for some 10 ms, since their events are parsed."""
MOST_CHECKED: Final = 50_000
"""Open incidents of a severity that are checked, the oldest."""


@dataclass(frozen=True, kw_only=True)
class EntryAside:
    """An entry of the queue that was set aside."""

    stream_key: str
    entry_id: str
    reason: str
    """A name of REASONS, or a newer version's."""
    size_bytes: int
    at_ms: int
    """Redis's clock."""


@dataclass(frozen=True, kw_only=True)
class EntriesAside:
    """Entries of the queue that were set aside."""

    counts: Mapping[str, int]
    """By reason, ever."""
    newest: tuple[EntryAside, ...]
    """The newest first."""

    @property
    def total(self) -> int:
        """Entries ever."""
        return sum(self.counts.values())


def entries_aside(redis: Redis) -> EntriesAside:
    """Returns what was set aside; nothing where that cannot be read: it is damaged, or an older version's rules hold.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors():
        try:
            with redis.pipeline(transaction=False) as pipe:
                pipe.hgetall(ASIDE_COUNTS)
                pipe.lrange(ASIDE, 0, -1)
                counts, newest = pipe.execute()
        except ResponseError:
            return EntriesAside(counts={}, newest=())
    return EntriesAside(
        counts={str(reason): int(count) for reason, count in sorted(counts.items()) if str(count).isdecimal()},
        newest=tuple(entry for entry in map(_entry_of, newest) if entry is not None),
    )


def unreadable_incidents(redis: Redis) -> list[str]:
    """Returns the ids of open incidents that no take gives to anybody, for their records are damaged.

    Reads all of them: for people who look for a fault, not for each page.

    Raises:
        StoreError: Redis failed.
    """
    found: list[str] = []
    with store_errors():
        for key in OPEN_KEYS:
            ids = [str(one) for one in redis.zrange(key, 0, MOST_CHECKED - 1)]
            for begin in range(0, len(ids), AT_ONCE):
                part = ids[begin : begin + AT_ONCE]
                places = run_script(redis, "unreadable", keys=[incident_key(one) for one in part], args=[])
                found += [part[int(place) - 1] for place in places]
    return found


def aside_lines(aside: EntriesAside, unreadable: int) -> list[str]:
    """Returns what is kept from people, in words; empty: nothing is."""
    lines = []
    for reason, count in aside.counts.items():
        were = "entry of the queue was" if count == 1 else "entries of the queue were"
        lines.append(f"{count} {were} set aside: {REASONS.get(reason, reason)}")
    if unreadable:
        have = "incident has a damaged record" if unreadable == 1 else "incidents have damaged records"
        lines.append(f"{unreadable} open {have}: nobody is given {'it' if unreadable == 1 else 'them'}")
    return lines


def _entry_of(text: object) -> EntryAside | None:
    try:
        record: dict[str, Any] = json.loads(str(text))
        return EntryAside(
            stream_key=str(record["stream"]),
            entry_id=str(record["entry"]),
            reason=str(record["reason"]),
            size_bytes=int(record["bytes"]),
            at_ms=int(record["at_ms"]),
        )
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
