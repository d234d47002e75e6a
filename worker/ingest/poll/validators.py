"""HTTP validators (ETag, Last-Modified, length) of fetched segments, by which polls recognize a restarted origin."""

import json
from collections.abc import Sequence
from dataclasses import fields

from redis import Redis

from worker.ingest.http.resource import Validators
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.outcome import PossibleRestart
from worker.store import redis_keys
from worker.store.redis_client import unless_full

validators_key = redis_keys.VALIDATORS.of
"""Hash: segment key to the validators it was fetched with, for segments that may still be listed."""
KEPT_SECONDS = redis_keys.VALIDATORS.seconds
"""After the last segment of a stream; validators are needed while their segment is listed."""

MAX_CHARACTERS = 256
"""Limit for one validator; a longer one is not kept. Entity tags have some 40."""

_NAMES = frozenset(field.name for field in fields(Validators))


def keep_validators(redis: Redis, stream_id: str, segment_key: str, validators: Validators) -> None:
    """Stores the validators that a segment was fetched with."""
    known = {
        name: value
        for name, value in vars(validators).items()
        if value is not None and len(str(value)) <= MAX_CHARACTERS
    }
    if known:
        with unless_full(), redis.pipeline(transaction=False) as pipe:
            pipe.hset(validators_key(stream_id), segment_key, json.dumps(known))
            pipe.expire(validators_key(stream_id), KEPT_SECONDS)
            pipe.execute()


def first_comparable(
    redis: Redis, stream_id: str, possible_restarts: Sequence[PossibleRestart]
) -> tuple[PossibleRestart, Validators] | None:
    """The first of `possible_restarts` whose validators are known."""
    if not possible_restarts:
        return None
    for possible, stored in zip(
        possible_restarts,
        redis.hmget(validators_key(stream_id), [possible.key for possible in possible_restarts]),
        strict=True,
    ):
        if stored is not None:
            known = {name: value for name, value in json.loads(stored).items() if name in _NAMES}
            return possible, Validators(**known)
    return None


def unlisted(redis: Redis, stream_id: str, cursor: Cursor) -> list[str]:
    """Segment keys whose validators are no longer needed: the cursor remembers no such segment."""
    names = {seen.name for seen in cursor.seen}
    kept = [str(key) for key in redis.hkeys(validators_key(stream_id))]
    return [key for key in kept if key.rpartition(".")[2] not in names]
