"""The set of incidents with evidence, by the time of their next check: each is checked once an hour, and when its term
ends, so that a decision, a hold, a report or another policy counts within the hour."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from redis import Redis

from config.policy.retention import DAY_MS, HOUR_MS, RECORD_DAYS, Terms
from worker.evidence.item import is_incident
from worker.incidents.keys import incident_key
from worker.store import redis_keys
from worker.store.key_pattern import Key
from worker.store.redis_client import store_errors

DUE: Final = redis_keys.EVIDENCE_DUE.name

UNREPORTED: Final = redis_keys.EVIDENCE_UNREPORTED.name

RECHECK_MS: Final = HOUR_MS
"""The longest time between two checks of an incident. With 10,000 incidents three are checked a second, each by reads
of some hundred bytes."""

REFUSED_MS: Final = 600_000
"""After which a purge that the store refused is tried again."""

RECORD_SECONDS: Final = RECORD_DAYS * DAY_MS // 1000

_SCANNED: Final = 1_000
"""Keys of one step of SCAN: a few milliseconds of Redis."""


def next_check_ms(terms: Terms, now_ms: int) -> int:
    """The time of the next check of an incident whose term is not over."""
    if terms.content_until_ms is None:
        return now_ms + RECHECK_MS
    return min(max(terms.content_until_ms, now_ms), now_ms + RECHECK_MS)


def due_now(redis: Redis, now_ms: int, most: int) -> list[str]:
    """Incidents to be checked, the longest due first; after them those whose time was set by a clock that was ahead.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        pipe.zrangebyscore(DUE, "-inf", now_ms, start=0, num=most)
        pipe.zrangebyscore(DUE, f"({now_ms + RECHECK_MS}", "+inf", start=0, num=most)
        due, beyond = pipe.execute()
        found = [str(one) for one in (*due, *beyond)][:most]
        # Moderators' commands write here too: what names no incident would hold up the purge of the others.
        if foreign := [one for one in found if not is_incident(one)]:
            redis.zrem(DUE, *foreign)
    return [one for one in found if is_incident(one)]


def count_due(redis: Redis, now_ms: int) -> int:
    """The number of incidents that `due_now` would return without its limit.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        pipe.zcount(DUE, "-inf", now_ms)
        pipe.zcount(DUE, f"({now_ms + RECHECK_MS}", "+inf")
        return sum(map(int, pipe.execute()))


def schedule(redis: Redis, checked: Iterable[tuple[str, Terms, int]], now_ms: int) -> None:
    """Sets the next checks of incidents that stay, each with its terms and the time of its decision, and lists those
    that nobody reported.

    Their records live on: for a term without an end, or a longer one than a record's life, no decision may be forgotten
    before its evidence is.

    Raises:
        StoreError: Redis failed.
    """
    with store_errors(), redis.pipeline(transaction=False) as pipe:
        for incident_id, terms, decided_ms in checked:
            if terms.why == "unreported":
                pipe.zadd(UNREPORTED, {incident_id: decided_ms})
            else:
                pipe.zrem(UNREPORTED, incident_id)
            pipe.zadd(DUE, {incident_id: next_check_ms(terms, now_ms)})
            pipe.expire(incident_key(incident_id), RECORD_SECONDS, gt=True)
        pipe.execute(raise_on_error=False)  # a record of another type must not keep the others from their checks


def add_missing(redis: Redis, incident_ids: Iterable[str]) -> None:
    """Adds incidents whose evidence was found in Redis, unless they are in the set: so none is missed for good.

    Raises:
        RedisError: Redis failed.
    """
    found = dict.fromkeys(incident_ids, 0)
    if found:
        redis.zadd(DUE, found, nx=True)


def with_evidence(redis: Redis) -> Iterator[Sequence[str]]:
    """Yields the ids of all incidents with evidence, in batches; one may come twice.

    Raises:
        StoreError: Redis failed.
    """
    key: Key = redis_keys.EVIDENCE
    cursor = 0
    while True:
        with store_errors():
            cursor, names = redis.scan(cursor, match=f"{key.prefix}*", count=_SCANNED, _type="hash")
        yield [str(name).removeprefix(key.prefix) for name in names if redis_keys.key_of(str(name)) is key]
        if cursor == 0:
            return
