"""Operators are published which origins have streams that cannot be read or do not go on: an event for the origin, not
for each stream, one when it begins, some while it changes, one when it is over.

`lw:streams:missing` is a sorted set by since when, of `<host>:<port> <reason> <stream ID>`, which polls keep;
`lw:missing:told` has what was published last, by origin.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from worker.errors import FetchError
from worker.events.cloudevent import derived_id, rfc3339
from worker.events.operations import OPERATIONS, operations_event
from worker.ingest.http.urls import target_of
from worker.ingest.playlist.outcome import MissedReason
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

MISSING: Final = redis_keys.STREAMS_MISSING.name
TOLD: Final = redis_keys.ORIGIN_GAPS.name

GAP: Final = "livewarden.operations.origin_gap.v1"
RECOVERED: Final = "livewarden.operations.origin_recovered.v1"

TOLD_AFTER_MS: Final = 15_000
"""Of one stream. An origin that restarts is back by then, and a packager that hung for two segments too."""

TOLD_EVERY_MS: Final = 60_000
"""Of one origin, at most: an outage that grows, or one that comes and goes, is an event a minute."""

FORGOTTEN_AFTER_MS: Final = 3_600_000
"""Since its recovery, what was published of an origin."""

MAX_IDS: Final = 20
"""Of streams that an event names: enough to look at, and an event stays small."""

MOST_AT_ONCE: Final = 200
"""Events by one call; the next call is 2 s later."""

_MAX_SUBJECT = 200


def missing_member(url: str, reason: MissedReason, stream_id: str) -> str:
    """What stands for a stream in `MISSING`."""
    return f"{origin_of(url)} {reason} {stream_id}"


def origin_of(url: str) -> str:
    """Host and port; `unknown` where a URL has none."""
    try:
        target = target_of(url)
    except FetchError:
        return "unknown"
    return f"{target.host}:{target.port}"


@dataclass(frozen=True, kw_only=True)
class Lacking:
    """A stream that is not seen."""

    stream_id: str
    reason: str
    since_ms: int


@dataclass(frozen=True, kw_only=True)
class PublishedGap:
    """What was published last of an origin."""

    open: bool
    """A gap, which is not over."""
    since_ms: int
    told_ms: int
    number: int
    """Of events of this origin since it was remembered; makes their IDs."""
    streams: int
    stalled: int

    def to_json(self) -> str:
        return json.dumps(vars(self), sort_keys=True)


def decide(lacking: Sequence[Lacking], told: PublishedGap | None, now: int) -> tuple[PublishedGap | None, bool]:
    """What is remembered of an origin from now on, and whether that is published. Pure.

    Args:
        lacking: its streams that are not seen for longer than `TOLD_AFTER_MS`.
        told: what is remembered of it.
    """
    # What was published in the future was so before Redis's clock went back.
    due = told is None or not 0 <= now - told.told_ms < TOLD_EVERY_MS
    number = 0 if told is None else told.number + 1
    if not lacking:
        if told is None or not told.open:
            return (None if told is None or now - told.told_ms >= FORGOTTEN_AFTER_MS else told), False
        return PublishedGap(open=False, since_ms=told.since_ms, told_ms=now, number=number, streams=0, stalled=0), True
    goes_on = told is not None and told.open
    since_ms = min(one.since_ms for one in lacking)
    stalled = sum(one.reason == MissedReason.STALLED for one in lacking)
    if told is not None and goes_on:
        since_ms = min(since_ms, told.since_ms)
        due = due and (told.streams, told.stalled) != (len(lacking), stalled)
    if not due:
        return told, False
    return (
        PublishedGap(open=True, since_ms=since_ms, told_ms=now, number=number, streams=len(lacking), stalled=stalled),
        True,
    )


def tell_gaps(redis: Redis, *, deployment: str) -> int:
    """Publishes what is to be published of all origins; gives how many events that were.

    Raises:
        RedisError: Redis failed; what was not published is published at the next call.
    """
    now = now_ms(redis)
    with redis.pipeline(transaction=False) as pipe:
        pipe.zrange(MISSING, "-inf", now - TOLD_AFTER_MS, byscore=True, withscores=True)
        pipe.hgetall(TOLD)
        members, remembered = pipe.execute()
    lacking: dict[str, list[Lacking]] = defaultdict(list)
    for member, since_ms in members:
        parts = str(member).split(" ")
        if len(parts) == 3:  # what somebody else put there must not stop the rest
            origin, reason, stream_id = parts
            lacking[origin].append(Lacking(stream_id=stream_id, reason=reason, since_ms=int(since_ms)))
    published = 0
    for origin in sorted({*lacking, *remembered}):
        if published == MOST_AT_ONCE:
            break
        before = remembered.get(origin, "")
        after, publish = decide(lacking[origin], _told(before), now)
        text = "" if after is None else after.to_json()
        if text == before:
            continue
        event = _event(origin, after, lacking[origin], deployment, now) if publish and after is not None else ""
        done = run_script(redis, "gap_told", keys=[TOLD, OPERATIONS], args=[origin, before, text, event])
        published += int(done) if event else 0
    return published


def _told(text: str) -> PublishedGap | None:
    """None too for what another version wrote: it is published anew."""
    try:
        return PublishedGap(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None


def _event(origin: str, told: PublishedGap, lacking: Sequence[Lacking], deployment: str, now: int) -> str:
    kind = GAP if told.open else RECOVERED
    data: dict[str, Any] = {"origin": origin, "since": rfc3339(told.since_ms)}
    if told.open:
        data |= {
            "streams": told.streams,
            "unreachable": told.streams - told.stalled,
            "stalled": told.stalled,
            "stream_ids": sorted(one.stream_id for one in lacking)[:MAX_IDS],
        }
    else:
        data["seconds"] = max(0, now - told.since_ms) / 1000
    event_id = derived_id(kind, deployment, origin, told.since_ms, told.told_ms, told.number)
    return operations_event(kind, event_id, subject=origin[:_MAX_SUBJECT], data=data, deployment=deployment, now_ms=now)
