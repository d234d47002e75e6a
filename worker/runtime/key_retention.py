"""Gives keys a life that should have one: those of streams whose watch is over, and leftovers of an older version, a
lost race or a foreign program. `worker.store.redis_keys` has the lives.

Scripts set most lives themselves. This walks over all keys of Livewarden, some with each call, so that no key that they
miss stays for good.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final

from redis import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import ResponseError

from worker.incidents.due_ends import add_missing_ends
from worker.incidents.keys import ids_key
from worker.ingest.registry.registry import DUES, is_over
from worker.retention.due import add_missing
from worker.store import redis_keys
from worker.store.key_pattern import Key
from worker.store.redis_client import run_script, unless_full
from worker.store.redis_keys import key_of

MOST_KEYS: Final = 1_000
"""Keys of each call, which comes every 2 s: a million in half an hour, at 4 ms of Redis a call."""

_FOR_EVER: Final = -1
"""Answer of TTL for a key without a life."""


def give_lives(redis: Redis) -> int:
    """Walks over the next keys; returns how many got a life, or lost one since their stream is watched again.

    Raises:
        RedisError: Redis failed.
    """
    cursor, names = _scan(redis)
    with unless_full():
        redis.set(redis_keys.SWEPT.name, cursor)
    found = [(name, key) for name in names if (key := key_of(name)) is not None and key.seconds]
    evidence = redis_keys.EVIDENCE
    with unless_full():
        add_missing(redis, [name.removeprefix(evidence.prefix) for name in names if key_of(name) is evidence])
    incidents = redis_keys.INCIDENTS
    with unless_full():
        add_missing_ends(redis, [name.removeprefix(incidents.prefix) for name, key in found if key is incidents])
    _note_ids(redis, [name.removeprefix(key.prefix) for name, key in found if key is redis_keys.INCIDENT])
    watched = _watched(redis, {name.removeprefix(key.prefix) for name, key in found if key.of_stream})
    return _give(redis, _with_lives(redis, found), watched)


def _scan(redis: Redis) -> tuple[int, list[str]]:
    """The next names and the cursor after them. A name that is no UTF-8 is foreign; a damaged cursor begins anew."""
    options = {NEVER_DECODE: True}
    scan = ("MATCH", "lw:*", "COUNT", MOST_KEYS)
    execute: Callable[..., Any] = redis.execute_command
    try:
        cursor, names = execute("SCAN", redis.get(redis_keys.SWEPT.name) or 0, *scan, **options)
    except (ResponseError, UnicodeDecodeError):
        cursor, names = execute("SCAN", 0, *scan, **options)
    return int(cursor), [name.decode(errors="replace") for name in names]


def _note_ids(redis: Redis, incident_ids: Iterable[str]) -> None:
    """Notes the ids of incidents that an older version raised, so that the beginning of such an id names no other."""
    with redis.pipeline(transaction=False) as pipe:
        for incident_id in incident_ids:
            pipe.sadd(ids_key(incident_id), incident_id)
            pipe.expire(ids_key(incident_id), redis_keys.INCIDENT_IDS.seconds)
        # Redis may be full, or a set be damaged: that costs the beginning of an id, and no other key its life.
        pipe.execute(raise_on_error=False)


def _with_lives(redis: Redis, found: list[tuple[str, Key]]) -> Iterator[tuple[str, Key, int]]:
    with redis.pipeline(transaction=False) as pipe:
        for name, _ in found:
            pipe.ttl(name)
        lives = pipe.execute()
    return ((name, key, int(life)) for (name, key), life in zip(found, lives, strict=True))


def _give(redis: Redis, lives: Iterable[tuple[str, Key, int]], watched: AbstractSet[str]) -> int:
    """Sets lives in one go: with `appendfsync always` Redis waits for its disk after each command that comes alone."""
    undecided: list[tuple[str, Key]] = []
    with redis.pipeline(transaction=False) as pipe:
        for name, key, ttl in lives:
            if key.of_stream and name.removeprefix(key.prefix) in watched:
                if ttl != _FOR_EVER:
                    pipe.persist(name)
            elif ttl == _FOR_EVER and key in _UNDECIDED:
                undecided.append((name, key))
            elif ttl == _FOR_EVER:
                pipe.expire(name, key.seconds)
        given = sum(map(bool, pipe.execute()))
    for name, key in undecided:
        # In one step: an incident may be raised meanwhile.
        given += int(run_script(redis, "give_life", keys=[name], args=[key.seconds, *_UNDECIDED[key]]))
    return given


_UNDECIDED: Final[dict[Key, tuple[str, ...]]] = {
    redis_keys.INCIDENTS: ("states",),
    redis_keys.INCIDENT: ("incident",),
    redis_keys.INCIDENT_STREAMS: ("streams",),
}
"""Keys that stay while a person has yet to decide, and the script's argument for it."""


def _watched(redis: Redis, stream_ids: Iterable[str]) -> AbstractSet[str]:
    """Returns the streams that are watched; queried in one go, for there may be a thousand."""
    ids = sorted(stream_ids)
    with redis.pipeline(transaction=False) as pipe:
        for stream_id in ids:
            for due in DUES:
                pipe.zscore(due, stream_id)
            pipe.hget(redis_keys.STREAM.of(stream_id), "state")
        found: list[Any] = pipe.execute(raise_on_error=False)
    each = len(DUES) + 1
    return {stream_id for index, stream_id in enumerate(ids) if _is_watched(*found[each * index : each * (index + 1)])}


def _is_watched(*found: object) -> bool:
    """Decides by the scores in the due sets and the state. A key of another type counts as absent."""
    *scores, state = (None if isinstance(one, ResponseError) else one for one in found)
    return any(score is not None for score in scores) or (state is not None and not is_over(str(state)))
