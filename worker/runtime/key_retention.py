"""Keys that should have a life are given one: those of streams whose watch is over, and what an older version, a lost
race or somebody else left behind. `worker.store.redis_keys` says which life.

Scripts set most lives themselves. This walks over all keys of ours, some with each call, so that nothing that they do
not think of stays for good.
"""

from collections.abc import Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, Final

from redis import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import ResponseError

from worker.incidents.keys import ids_key
from worker.ingest.registry.registry import DUES, is_over
from worker.store import redis_keys
from worker.store.redis_client import run_script, unless_full
from worker.store.redis_keys import Key, key_of

LOOKED_AT: Final = 1_000
"""Keys by each call, which comes every 2 s: a million in half an hour, at 4 ms of Redis a call."""

_FOR_EVER: Final = -1
"""What TTL says of a key without a life."""


def give_lives(redis: Redis, *, most: int = LOOKED_AT) -> int:
    """Goes on over the keys; gives how many got a life, or lost one since their stream is watched again.

    Raises:
        RedisError: Redis failed.
    """
    cursor, names = _scan(redis, most)
    with unless_full():
        redis.set(redis_keys.SWEPT.name, cursor)
    found = [(name, key) for name in names if (key := key_of(name)) is not None and key.seconds]
    _note_ids(redis, [name.removeprefix(key.prefix) for name, key in found if key is redis_keys.INCIDENT])
    watched = _watched(redis, {name.removeprefix(key.prefix) for name, key in found if key.of_stream})
    return _give(redis, _with_lives(redis, found), watched)


def _scan(redis: Redis, most: int) -> tuple[int, list[str]]:
    """The next names and where to go on. A name that is no UTF-8 is none of ours; a cursor that is none begins anew."""
    options = {NEVER_DECODE: True}
    scan = ("MATCH", "lw:*", "COUNT", most)
    execute: Callable[..., Any] = redis.execute_command
    try:
        cursor, names = execute("SCAN", redis.get(redis_keys.SWEPT.name) or 0, *scan, **options)
    except (ResponseError, UnicodeDecodeError):
        cursor, names = execute("SCAN", 0, *scan, **options)
    return int(cursor), [name.decode(errors="replace") for name in names]


def _note_ids(redis: Redis, incident_ids: Iterable[str]) -> None:
    """Incidents that an older version raised are found by the beginning of their id too: else it could stand for
    another."""
    with redis.pipeline(transaction=False) as pipe:
        for incident_id in incident_ids:
            pipe.sadd(ids_key(incident_id), incident_id)
            pipe.expire(ids_key(incident_id), redis_keys.INCIDENT_IDS.seconds)
        # Redis may be full, or a set be damaged: it costs a beginning, and no other key its life.
        pipe.execute(raise_on_error=False)


def _with_lives(redis: Redis, found: list[tuple[str, Key]]) -> Iterator[tuple[str, Key, int]]:
    with redis.pipeline(transaction=False) as pipe:
        for name, _ in found:
            pipe.ttl(name)
        lives = pipe.execute()
    return ((name, key, int(life)) for (name, key), life in zip(found, lives, strict=True))


def _give(redis: Redis, lives: Iterable[tuple[str, Key, int]], watched: AbstractSet[str]) -> int:
    """All at once: with `appendfsync always` Redis waits for its disk after each command that comes by itself."""
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
"""What stays while a person has yet to decide, and how a script knows."""


def _watched(redis: Redis, stream_ids: Iterable[str]) -> AbstractSet[str]:
    """Those of the streams that are watched; asked about all at once, for there may be a thousand."""
    ids = sorted(stream_ids)
    with redis.pipeline(transaction=False) as pipe:
        for stream_id in ids:
            for due in DUES:
                pipe.zscore(due, stream_id)
            pipe.hget(redis_keys.STREAM.of(stream_id), "state")
        found: list[Any] = pipe.execute(raise_on_error=False)
    each = len(DUES) + 1
    return {stream_id for place, stream_id in enumerate(ids) if _is_watched(*found[each * place : each * (place + 1)])}


def _is_watched(*found: object) -> bool:
    """By its scores in the due sets and its state. What cannot be read, being of another kind, says nothing."""
    *scores, state = (None if isinstance(one, ResponseError) else one for one in found)
    return any(score is not None for score in scores) or (state is not None and not is_over(str(state)))
