"""Checks of the messages that platforms send, and of the consumer groups that read events."""

from collections.abc import Iterator
from typing import Any

from redis import Redis

from config.counts import counted
from worker.doctor.diagnosis import Diagnosis, ok, warn
from worker.events.operations import OPERATIONS
from worker.incidents.keys import DECISIONS, ESCALATION_KEYS, GROUP
from worker.ingest.messages.batches import waiting
from worker.ingest.messages.keys import lists_of
from worker.ingest.messages.refusals import refused_counts, refused_messages
from worker.ingest.registry.platform_events import STREAM_EVENTS
from worker.ingest.registry.registry import DUE_NEW
from worker.queue.trimming import KEPT_DAYS
from worker.store.redis_client import now_ms

MANY = 1_000
"""Waiting messages: one reader reads as many in some seconds."""

LATELY_MS = 3_600_000

CELERY_DEFAULT = "celery"
"""Celery's queue for messages that name none."""

STANDS_STILL_MS = 24 * 3_600_000
"""Since the oldest entry that a group has not read or not acknowledged."""

_DAY_MS = 24 * 3_600_000


def examine_intake(redis: Redis) -> Iterator[Diagnosis]:
    """Counts waiting, refused and misdirected messages."""
    astray = sum(int(redis.llen(key)) for key in lists_of(CELERY_DEFAULT))
    length, counts, newest = waiting(redis), refused_counts(redis), refused_messages(redis, 1)
    now, new = now_ms(redis), int(redis.zcard(DUE_NEW))
    if astray:
        yield warn(
            "queue celery",
            f"{counted(astray, 'message', 'wait')} in the queue `celery`, which nothing reads",
            advice='a platform sends without `queue="intake"`: have it name the queue and send these again, '
            f"then delete them (`DEL {CELERY_DEFAULT}`)",
        )
    refused = ", ".join(f"{reason} {count:,}" for reason, count in counts.items())
    found = f"{counted(length, 'message', 'wait')}; {f'refused so far: {refused}' if refused else 'none was refused'}"
    if new:
        found += f"; {counted(new, 'stream', 'wait')} for their first poll, or were never read"
    if new > MANY:
        advice = "see who registers so many streams, and whether their URLs can be read: `livewarden streams list`"
    elif length > MANY:
        advice = "see that workers run, and who sends so much"
    elif newest and now - int(newest[0]["at_ms"]) < LATELY_MS:
        advice = "the last was refused within the hour: see which and why with `livewarden streams refused`"
    else:
        yield ok("intake", found)
        return
    yield warn("intake", found, advice)


def examine_readers(redis: Redis) -> Iterator[Diagnosis]:
    """Names consumer groups that stand still: entries older than 30 days are lost to them."""
    now = now_ms(redis)
    still = [
        f"group {group!r} on {key} for {(now - oldest_ms) / _DAY_MS:.0f} days"
        for key in (*ESCALATION_KEYS, DECISIONS, STREAM_EVENTS, OPERATIONS)
        for group, oldest_ms in _unread(redis, key)
        if now - oldest_ms > STANDS_STILL_MS
    ]
    if still:
        yield warn(
            "readers",
            f"stand still: {'; '.join(still)}",
            f"start what reads with them, or `XGROUP DESTROY` them: entries go after {KEPT_DAYS} days",
        )
    else:
        yield ok("readers", "every group has read and acknowledged within a day")


def _unread(redis: Redis, key: str) -> Iterator[tuple[str, int]]:
    """Groups of a stream with entries to read or to acknowledge, and since when. Incidents that moderators hold do not
    count: they may wait long."""
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
