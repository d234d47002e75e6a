"""Publishes to operators the origins whose streams cannot be read or do not go on: an event for the origin, not for
each stream, one when the gap begins, at most one a minute while it changes, one when it is over.

`lw:streams:missing` is a sorted set of `<host>:<port> <reason> <stream ID>` by start of the gap, written by polls;
`lw:missing:told` holds the last published state by origin.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from worker.errors import FetchError
from worker.events.cloudevent import cloud_event, derived_id, rfc3339
from worker.events.operations import OPERATIONS
from worker.ingest.http.urls import target_of
from worker.ingest.playlist.outcome import MissedReason
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

MISSING: Final = redis_keys.STREAMS_MISSING.name
TOLD: Final = redis_keys.ORIGIN_GAPS.name

GAP: Final = "livewarden.operations.origin_gap.v1"
RECOVERED: Final = "livewarden.operations.origin_recovered.v1"

PUBLISHED_AFTER_MS: Final = 15_000
"""Since a stream's gap began. A restarting origin is back by then, and so is a packager that hung for two segments."""

PUBLISHED_EVERY_MS: Final = 60_000
"""Between two events of one origin, at least: an outage that grows, or comes and goes, is an event a minute."""

FORGOTTEN_AFTER_MS: Final = 3_600_000
"""Since its recovery, the published state of an origin."""

MAX_IDS: Final = 20
"""Limit for the streams that an event names: enough to investigate, and an event stays small."""

MOST_AT_ONCE: Final = 200
"""Events of one call; the next call is 2 s later."""

_MAX_SUBJECT = 200


def missing_member(url: str, reason: MissedReason, stream_id: str) -> str:
    """The stream's member of `MISSING`."""
    return f"{origin_of(url)} {reason} {stream_id}"


def origin_of(url: str) -> str:
    """Host and port; `unknown` where a URL has none."""
    try:
        target = target_of(url)
    except FetchError:
        return "unknown"
    return f"{target.host}:{target.port}"


@dataclass(frozen=True, kw_only=True)
class MissingStream:
    """A stream that cannot be read or does not go on."""

    stream_id: str
    reason: str
    since_ms: int


@dataclass(frozen=True, kw_only=True)
class PublishedGap:
    """The last published state of an origin."""

    open: bool
    """The gap is not over."""
    since_ms: int
    told_ms: int
    number: int
    """Number of events of this origin since it was remembered; part of their IDs."""
    streams: int
    stalled: int

    def to_json(self) -> str:
        return json.dumps(vars(self), sort_keys=True)


def next_published_gap(
    missing: Sequence[MissingStream], last: PublishedGap | None, now: int
) -> tuple[PublishedGap | None, bool]:
    """The state of an origin to remember, and whether to publish it. Pure.

    Args:
        missing: its streams with a gap longer than `PUBLISHED_AFTER_MS`.
        last: the last published state.
    """
    # A time in the future is from before Redis's clock went back.
    due = last is None or not 0 <= now - last.told_ms < PUBLISHED_EVERY_MS
    number = 0 if last is None else last.number + 1
    if not missing:
        if last is None or not last.open:
            return (None if last is None or now - last.told_ms >= FORGOTTEN_AFTER_MS else last), False
        return PublishedGap(open=False, since_ms=last.since_ms, told_ms=now, number=number, streams=0, stalled=0), True
    since_ms = min(one.since_ms for one in missing)
    stalled = sum(one.reason == MissedReason.STALLED for one in missing)
    if last is not None and last.open:
        since_ms = min(since_ms, last.since_ms)
        due = due and (last.streams, last.stalled) != (len(missing), stalled)
    if not due:
        return last, False
    return (
        PublishedGap(open=True, since_ms=since_ms, told_ms=now, number=number, streams=len(missing), stalled=stalled),
        True,
    )


def by_origin(members: Iterable[tuple[str, float]]) -> dict[str, list[MissingStream]]:
    """Streams of `MISSING`, each with its score, by their origin."""
    missing: dict[str, list[MissingStream]] = defaultdict(list)
    for member, since_ms in members:
        parts = str(member).split(" ")
        if len(parts) == 3:  # a foreign member must not stop the rest
            origin, reason, stream_id = parts
            missing[origin].append(MissingStream(stream_id=stream_id, reason=reason, since_ms=int(since_ms)))
    return missing


def publish_origin_gaps(redis: Redis, *, deployment: str) -> int:
    """Publishes the changed gaps of all origins; returns the number of events.

    Raises:
        RedisError: Redis failed; the next call publishes the rest.
    """
    now = now_ms(redis)
    with redis.pipeline(transaction=False) as pipe:
        pipe.zrange(MISSING, "-inf", now - PUBLISHED_AFTER_MS, byscore=True, withscores=True)
        pipe.hgetall(TOLD)
        members, remembered = pipe.execute()
    missing = by_origin(members)
    published = 0
    for origin in sorted({*missing, *remembered}):
        if published == MOST_AT_ONCE:
            break
        before = remembered.get(origin, "")
        after, publish = next_published_gap(missing[origin], _published(before), now)
        text = "" if after is None else after.to_json()
        if text == before:
            continue
        event = _event(origin, after, missing[origin], deployment, now) if publish and after is not None else ""
        done = run_script(redis, "gap_told", keys=[TOLD, OPERATIONS], args=[origin, before, text, event])
        published += int(done) if event else 0
    return published


def _published(text: str) -> PublishedGap | None:
    """The stored state; None too if another version wrote it: then the gap is published again."""
    try:
        return PublishedGap(**json.loads(text)) if text else None
    except (ValueError, TypeError):
        return None


def _event(origin: str, gap: PublishedGap, missing: Sequence[MissingStream], deployment: str, now: int) -> str:
    kind = GAP if gap.open else RECOVERED
    data: dict[str, Any] = {"origin": origin, "since": rfc3339(gap.since_ms)}
    if gap.open:
        data |= {
            "streams": gap.streams,
            "unreachable": gap.streams - gap.stalled,
            "stalled": gap.stalled,
            "stream_ids": sorted(one.stream_id for one in missing)[:MAX_IDS],
        }
    else:
        data["seconds"] = max(0, now - gap.since_ms) / 1000
    event_id = derived_id(kind, deployment, origin, gap.since_ms, gap.told_ms, gap.number)
    return cloud_event(kind, event_id, subject=origin[:_MAX_SUBJECT], data=data, deployment=deployment, now_ms=now)
