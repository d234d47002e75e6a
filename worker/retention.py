"""Keys that should have a life are given one: those of streams whose watch is over, and what an older version, a lost
race or somebody else left behind. `worker.rediskeys` says which life.

Scripts set most lives themselves. This walks over all keys of ours, some with each call, so that nothing that they do
not think of stays for good.
"""

from collections.abc import Iterator
from typing import Any, Final

from redis import Redis

from worker import rediskeys
from worker.redisdb import run_script, unless_full
from worker.rediskeys import Key, key_of
from worker.streams.registry import DUES, is_over

LOOKED_AT: Final = 1_000
"""Keys by each call, which comes every 2 s: a million in half an hour, at 4 ms of Redis a call."""

_FOR_EVER: Final = -1
"""What TTL says of a key without a life."""


def give_lives(redis: Redis, *, most: int = LOOKED_AT) -> int:
    """Goes on over the keys; gives how many got a life, or lost one since their stream is watched again.

    Raises:
        RedisError: Redis failed.
    """
    cursor, names = redis.scan(int(redis.get(rediskeys.SWEPT.name) or 0), match="lw:*", count=most)
    with unless_full():
        redis.set(rediskeys.SWEPT.name, cursor)
    found = [(str(name), key) for name in names if (key := key_of(str(name))) is not None and key.seconds]
    return sum(_give_life(redis, name, key, ttl) for name, key, ttl in _with_lives(redis, found))


def _with_lives(redis: Redis, found: list[tuple[str, Key]]) -> Iterator[tuple[str, Key, int]]:
    with redis.pipeline(transaction=False) as pipe:
        for name, _ in found:
            pipe.ttl(name)
        lives = pipe.execute()
    return ((name, key, int(life)) for (name, key), life in zip(found, lives, strict=True))


def _give_life(redis: Redis, name: str, key: Key, ttl: int) -> bool:
    if key.of_stream:
        watched = _is_watched(redis, name.removeprefix(key.prefix))
        if watched and ttl != _FOR_EVER:
            return bool(redis.persist(name))
        if watched:
            return False
    if ttl != _FOR_EVER:
        return False
    if key in _UNDECIDED:
        # In one step: an incident may be raised meanwhile.
        return bool(run_script(redis, "give_life", keys=[name], args=[key.seconds, *_UNDECIDED[key]]))
    return bool(redis.expire(name, key.seconds))


_UNDECIDED: Final[dict[Key, tuple[str, ...]]] = {
    rediskeys.INCIDENTS: ("states",),
    rediskeys.INCIDENT: ("incident",),
    rediskeys.INCIDENT_STREAMS: ("streams",),
}
"""What stays while a person has yet to decide, and how a script knows."""


def _is_watched(redis: Redis, stream_id: str) -> bool:
    with redis.pipeline(transaction=False) as pipe:
        pipe.type(rediskeys.STREAM.of(stream_id))
        for due in DUES:
            pipe.zscore(due, stream_id)
        kind, *scores = pipe.execute()
    if any(score is not None for score in scores):
        return True
    state: Any = redis.hget(rediskeys.STREAM.of(stream_id), "state") if kind == "hash" else None
    return state is not None and not is_over(str(state))
