"""Consumer groups that stand still: who reads nothing for a day loses what is older than 30."""

from collections.abc import Iterator
from typing import Any

from redis import Redis
from redis.exceptions import RedisError

from config.settings import Settings
from worker.doctor.diagnosis import Diagnosis, State
from worker.events.operations import OPERATIONS
from worker.incidents.keys import DECISIONS, ESCALATION_KEYS, GROUP
from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.queue.trimming import KEPT_DAYS
from worker.store.redis_client import connect, now_ms

STANDS_STILL_MS = 24 * 3_600_000
"""Since the oldest entry that a group has not read or not acknowledged."""

_DAY_MS = 24 * 3_600_000


def examine_readers(settings: Settings) -> Iterator[Diagnosis]:
    """Names the groups that stand still; nothing if Redis is away, which another check says."""
    redis = connect(settings.redis_url.get_secret_value(), retries=0)
    try:
        now = now_ms(redis)
        still = [
            f"group {group!r} on {key} for {(now - oldest_ms) / _DAY_MS:.0f} days"
            for key in (*ESCALATION_KEYS, DECISIONS, STREAM_EVENTS, OPERATIONS)
            for group, oldest_ms in _waiting(redis, key)
            if now - oldest_ms > STANDS_STILL_MS
        ]
    except RedisError:
        return
    if still:
        yield Diagnosis(
            name="readers",
            state=State.WARN,
            found=f"stand still: {'; '.join(still)}",
            advice=f"start what reads with them, or `XGROUP DESTROY` them: entries go after {KEPT_DAYS} days",
        )
    else:
        yield Diagnosis(name="readers", state=State.OK, found="every group has read and acknowledged within a day")


def _waiting(redis: Redis, key: str) -> Iterator[tuple[str, int]]:
    """Groups of a stream that have something to read or to acknowledge, and since when. What moderators hold is no
    trouble of theirs: an incident may wait long."""
    for group in redis.xinfo_groups(key) if redis.exists(key) else ():
        name = str(group["name"])
        entries: Any = redis.xrange(key, min=f"({group['last-delivered-id']}", count=1)
        found = [_time_ms(str(entry_id)) for entry_id, _ in entries]
        if name != GROUP and group["pending"]:
            found.append(_time_ms(str(redis.xpending(key, name)["min"])))
        if found:
            yield name, min(found)


def _time_ms(entry_id: str) -> int:
    return int(entry_id.partition("-")[0])
