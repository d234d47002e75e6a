"""Which streams cannot be seen for long while others can: whoever runs such a stream's server may be hiding it. Either
its playlist cannot be read, or most of what it lists cannot be looked at.

Where more streams of an origin are not seen, that is for its operators (`worker.ingest.poll.origin_gaps`). Time in
which a stream may have ended, after 404, 410 or a stall, is no such gap, nor is a stream that was never there.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from redis import Redis

from config.policy.rules import CoverageGap
from worker.ingest.playlist.cursor import StreamState
from worker.ingest.playlist.missed_time import GONE
from worker.ingest.poll.origin_gaps import MISSING, origin_of
from worker.ingest.registry.registry import DUE, DUE_NEW, DUE_SLOW, stream_key
from worker.store import redis_keys
from worker.store.redis_client import now_ms

BLIND: Final = redis_keys.STREAMS_BLIND.name
"""Sorted set by since when, of streams most of whose segments cannot be looked at; `settle` keeps it."""

MAX_MISSING_SHARE: Final = 0.25
"""Of the other streams of the origin, up to (<=) which a stream is not seen by itself."""

TOGETHER_MS: Final = 30_000
"""What looks ended is part of an outage if it is missing since this long before the gap, or later: an outage reaches
streams within a few polls of one another, and a stall counts from the last new segment on."""

_BATCH: Final = 500
_READ: Final = frozenset({StreamState.LIVE, StreamState.RESET})
_NOT_READ: Final = frozenset({StreamState.UNREACHABLE, StreamState.MALFORMED})


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Time in which a stream could not be seen; it lasts."""

    since_ms: int
    reason: str
    """Of the newest poll, `http_503`, `timeout`, …; or of the newest segment, `encrypted`, `no_video`, …"""


@dataclass(frozen=True, kw_only=True)
class LastingGap:
    """A stream that could not be seen for long."""

    stream_id: str
    generation: int
    origin: str
    gap: Gap
    blind: bool = False
    """Its playlist can be read, and its segments cannot be looked at."""
    seen_before: bool = True
    """Segments of it were listed in this watch."""


@dataclass(frozen=True, kw_only=True)
class Watched:
    """A stream that is polled, and was read or should have been."""

    stream_id: str
    origin: str
    missing: bool
    since_ms: int = 0
    """Since when it is missing, in Unix milliseconds."""
    seen_before: bool = True
    """Segments of it were listed in this watch, before it was missing."""
    may_be_over: bool = False
    """It is missing as an ended broadcast is, or one that has not begun: 404, 410, a stall, an empty playlist."""


def _tells(one: Watched, gap: LastingGap) -> bool:
    """Whether that a stream is seen or missing says anything about why the gap's stream is missing.

    A wrong URL and a broadcast that ended a while ago are missing whatever happens to the origin. Enough of them would
    pass for an outage for good, in which nobody is called.
    """
    began_with_it = one.since_ms >= gap.gap.since_ms - TOGETHER_MS
    if not one.missing:
        return True
    if one.may_be_over:
        return one.seen_before and began_with_it
    return one.seen_before or not gap.seen_before or began_with_it


class _Streams:
    """Streams that a gap is compared with, counted so that an outage of thousands compares each in no time."""

    def __init__(self, streams: Iterable[Watched]) -> None:
        self._by_id = {one.stream_id: one for one in streams}
        missing = [one for one in self._by_id.values() if one.missing]
        self._seen = len(self._by_id) - len(missing)
        self._seen_before = sum(one.seen_before and not one.may_be_over for one in missing)
        self._never_seen = sorted(one.since_ms for one in missing if not one.seen_before and not one.may_be_over)
        self._over = sorted(one.since_ms for one in missing if one.seen_before and one.may_be_over)

    def others(self, gap: LastingGap) -> tuple[int, int]:
        """How many beside the gap's stream say anything about it, and how many of those are missing."""
        together_ms = gap.gap.since_ms - TOGETHER_MS
        missing = self._seen_before + _from(self._over, together_ms)
        missing += _from(self._never_seen, together_ms) if gap.seen_before else len(self._never_seen)
        seen = self._seen
        own = self._by_id.get(gap.stream_id)
        if own is not None and _tells(own, gap):
            seen -= not own.missing
            missing -= own.missing
        return seen + missing, missing


def alone_among(lasting: Iterable[LastingGap], watched: Iterable[Watched]) -> list[LastingGap]:
    """The gaps of streams while nearly all others of their origin are seen; where it has no others, nearly all streams
    of other origins: then the way there is open. Pure."""
    by_origin: dict[str, list[Watched]] = {}
    for one in watched:
        by_origin.setdefault(one.origin, []).append(one)
    origins = {origin: _Streams(streams) for origin, streams in by_origin.items()}
    everywhere = _Streams(one for streams in by_origin.values() for one in streams)
    alone = []
    for gap in lasting:
        others, missing = 0, 0
        # Segments that are there and cannot be looked at are no outage of their origin, and operators read of none.
        if not gap.blind and gap.origin in origins:
            others, missing = origins[gap.origin].others(gap)
        if not others:
            others, missing = everywhere.others(gap)
        if missing <= MAX_MISSING_SHARE * others:
            alone.append(gap)
    return alone


def _from(ascending: Sequence[int], first: int) -> int:
    """How many are `first` or more."""
    return len(ascending) - bisect_left(ascending, first)


def any_lasts(redis: Redis, rule: CoverageGap) -> bool:
    """Whether there is any gap that lasts, raised or not. Cheap: asked every two seconds."""
    until = _until_ms(redis, rule)
    return any(redis.zcount(key, "-inf", until) for key in (MISSING, BLIND))


def _until_ms(redis: Redis, rule: CoverageGap) -> int:
    """Since when (<=) a gap lasts."""
    return now_ms(redis) - round(rule.after_seconds * 1000)


def lasting_gaps(redis: Redis, rule: CoverageGap) -> Iterator[LastingGap]:
    """Streams whose playlists could not be read for as long as the rule says, and that are not raised yet."""
    until = _until_ms(redis, rule)
    members = [str(one).split(" ") for one in redis.zrange(MISSING, "-inf", until, byscore=True)]
    found = [(parts[0], parts[2]) for parts in members if len(parts) == 3]
    names = ("state", "reason", "missing_since_ms", "registered_ms", "gap_since_ms", "gap_raised_ms", "generation")
    for (origin, stream_id), fields in _fields(redis, found, names):
        since_ms, reason, generation = fields["gap_since_ms"], fields["reason"], fields["generation"]
        if (
            fields["state"] in _NOT_READ
            and since_ms != fields["gap_raised_ms"]
            and since_ms.isdecimal()
            and generation.isdecimal()
        ):
            gap = Gap(since_ms=int(since_ms), reason=reason)
            yield LastingGap(
                stream_id=stream_id,
                generation=int(generation),
                origin=origin,
                gap=gap,
                seen_before=_seen_before(fields),
            )


def blind_gaps(redis: Redis, rule: CoverageGap) -> Iterator[LastingGap]:
    """Likewise, whose segments cannot be looked at: undecodable, encrypted, without video, not to be had."""
    until = _until_ms(redis, rule)
    found = [("", str(one)) for one in redis.zrange(BLIND, "-inf", until, byscore=True)]
    names = ("state", "url", "blind_since_ms", "blind_reason", "blind_raised_ms", "generation")
    for (_, stream_id), fields in _fields(redis, found, names):
        since_ms, generation = fields["blind_since_ms"], fields["generation"]
        if not since_ms:
            redis.zrem(BLIND, stream_id)  # its record is gone, or it was registered anew
        elif (
            fields["state"] in _READ
            and since_ms != fields["blind_raised_ms"]
            and since_ms.isdecimal()
            and generation.isdecimal()
        ):
            gap = Gap(since_ms=int(since_ms), reason=fields["blind_reason"])
            origin = origin_of(fields["url"])
            yield LastingGap(stream_id=stream_id, generation=int(generation), origin=origin, gap=gap, blind=True)


def watched_streams(redis: Redis) -> Iterator[Watched]:
    """All streams that are polled, and are seen or should be."""
    ids = {str(one) for due in (DUE, DUE_SLOW, DUE_NEW) for one in redis.zrange(due, 0, -1)}
    names = ("url", "state", "reason", "missing_member", "missing_since_ms", "registered_ms", "blind_since_ms")
    for (_, stream_id), fields in _fields(redis, [("", one) for one in sorted(ids)], names):
        unread = bool(fields["missing_member"])
        # Where the segments of many cannot be looked at, that is an outage too, of their origin or of ours.
        missing = unread or bool(fields["blind_since_ms"])
        since_ms = fields["missing_since_ms" if unread else "blind_since_ms"]
        if missing or fields["state"] == StreamState.LIVE:
            yield Watched(
                stream_id=stream_id,
                origin=origin_of(fields["url"]),
                missing=missing,
                since_ms=int(since_ms) if since_ms.isdecimal() else 0,
                seen_before=not unread or _seen_before(fields),
                may_be_over=unread and (fields["state"] not in _NOT_READ or fields["reason"] in GONE),
            )


def _seen_before(fields: Mapping[str, str]) -> bool:
    """What nothing was ever listed of is missing since it was registered (`worker.ingest.playlist.missed_time`)."""
    return fields["missing_since_ms"] != fields["registered_ms"]


def _fields(
    redis: Redis, streams: list[tuple[str, str]], names: tuple[str, ...]
) -> Iterator[tuple[tuple[str, str], Mapping[str, str]]]:
    """Of each (origin, stream) these fields of its hash; empty where there are none."""
    for begin in range(0, len(streams), _BATCH):
        batch = streams[begin : begin + _BATCH]
        with redis.pipeline(transaction=False) as pipe:
            for _, stream_id in batch:
                pipe.hmget(stream_key(stream_id), names)
            for one, values in zip(batch, pipe.execute(), strict=True):
                yield one, {name: str(value or "") for name, value in zip(names, values, strict=True)}
