"""Long gaps of single streams: streams that cannot be moderated while others can, so their server may be hiding them.
Either the playlist cannot be read, or most segments cannot be decoded.

Where more streams of an origin are missing, that is for operators (`worker.ingest.poll.origin_gaps`). Time in which a
stream may have ended, after 404, 410 or a stall, is no such gap, nor is a stream that was never there.
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
"""Sorted set, by start, of streams most of whose segments cannot be decoded; `settle` writes it."""

MAX_MISSING_SHARE: Final = 0.25
"""Missing share of the other streams up to (<=) which a stream is missing alone."""

TOGETHER_MS: Final = 30_000
"""A stream that seems ended is part of an outage if its gap began at most this long before: an outage reaches streams
within a few polls of one another, and a stall counts from the last new segment."""

_BATCH: Final = 500
_READ: Final = frozenset({StreamState.LIVE, StreamState.RESET})
_NOT_READ: Final = frozenset({StreamState.UNREACHABLE, StreamState.MALFORMED})


@dataclass(frozen=True, kw_only=True)
class Gap:
    """Time in which a stream could not be moderated; it lasts until now."""

    since_ms: int
    reason: str
    """Reason of the newest poll, `http_503`, `timeout`, …; or of the newest segment, `encrypted`, `no_video`, …"""


@dataclass(frozen=True, kw_only=True)
class LastingGap:
    """A stream with a gap that lasts longer than its rule allows."""

    stream_id: str
    generation: int
    origin: str
    gap: Gap
    blind: bool = False
    """Its playlist can be read, and its segments cannot be decoded."""
    seen_before: bool = True
    """Segments were listed in this watch generation."""


@dataclass(frozen=True, kw_only=True)
class PolledStream:
    """A polled stream that is read, or should be."""

    stream_id: str
    origin: str
    missing: bool
    since_ms: int = 0
    """Start of its gap, in Unix milliseconds."""
    seen_before: bool = True
    """Segments were listed in this watch generation before the gap."""
    may_be_over: bool = False
    """The gap looks like an ended broadcast, or one that has not begun: 404, 410, a stall, an empty playlist."""


def _is_evidence(one: PolledStream, gap: LastingGap) -> bool:
    """Returns whether the state of a stream is evidence for or against an outage that explains the gap.

    A wrong URL and a broadcast that ended a while ago are missing whatever happens to the origin. Enough of them would
    look like a permanent outage, during which no gap is raised.
    """
    began_with_it = one.since_ms >= gap.gap.since_ms - TOGETHER_MS
    if not one.missing:
        return True
    if one.may_be_over:
        return one.seen_before and began_with_it
    return one.seen_before or not gap.seen_before or began_with_it


class _Streams:
    """Counts of streams to compare gaps with; each comparison is fast even in an outage of thousands."""

    def __init__(self, streams: Iterable[PolledStream]) -> None:
        self._by_id = {one.stream_id: one for one in streams}
        missing = [one for one in self._by_id.values() if one.missing]
        self._seen = len(self._by_id) - len(missing)
        self._seen_before = sum(one.seen_before and not one.may_be_over for one in missing)
        self._never_seen = sorted(one.since_ms for one in missing if not one.seen_before and not one.may_be_over)
        self._over = sorted(one.since_ms for one in missing if one.seen_before and one.may_be_over)

    def others(self, gap: LastingGap) -> tuple[int, int]:
        """Number of other streams that are evidence for the gap's cause, and how many of those are missing."""
        together_ms = gap.gap.since_ms - TOGETHER_MS
        missing = self._seen_before + _from(self._over, together_ms)
        missing += _from(self._never_seen, together_ms) if gap.seen_before else len(self._never_seen)
        seen = self._seen
        own = self._by_id.get(gap.stream_id)
        if own is not None and _is_evidence(own, gap):
            seen -= not own.missing
            missing -= own.missing
        return seen + missing, missing


def alone_among(lasting: Iterable[LastingGap], watched: Iterable[PolledStream]) -> list[LastingGap]:
    """The gaps of streams while nearly all others of their origin can be read; where it has no others, nearly all
    streams of other origins, since then the network works. Pure."""
    by_origin: dict[str, list[PolledStream]] = {}
    for one in watched:
        by_origin.setdefault(one.origin, []).append(one)
    origins = {origin: _Streams(streams) for origin, streams in by_origin.items()}
    everywhere = _Streams(one for streams in by_origin.values() for one in streams)
    alone = []
    for gap in lasting:
        others, missing = 0, 0
        # Segments that cannot be decoded are no outage of their origin, and no event for operators covers them.
        if not gap.blind and gap.origin in origins:
            others, missing = origins[gap.origin].others(gap)
        if not others:
            others, missing = everywhere.others(gap)
        if missing <= MAX_MISSING_SHARE * others:
            alone.append(gap)
    return alone


def _from(ascending: Sequence[int], first: int) -> int:
    """Number of values >= `first`."""
    return len(ascending) - bisect_left(ascending, first)


def any_lasts(redis: Redis, rule: CoverageGap) -> bool:
    """Returns whether any gap lasts, raised or not. Cheap: called every two seconds."""
    until = _until_ms(redis, rule)
    return any(redis.zcount(key, "-inf", until) for key in (MISSING, BLIND))


def _until_ms(redis: Redis, rule: CoverageGap) -> int:
    """A gap that began then or before (<=) lasts."""
    return now_ms(redis) - round(rule.after_seconds * 1000)


def lasting_gaps(redis: Redis, rule: CoverageGap) -> Iterator[LastingGap]:
    """Streams whose playlists could not be read for as long as the rule names, and that are not raised yet."""
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
    """Streams whose segments could not be moderated for as long: undecodable, encrypted, without video, not fetched."""
    until = _until_ms(redis, rule)
    found = [("", str(one)) for one in redis.zrange(BLIND, "-inf", until, byscore=True)]
    names = ("state", "url", "blind_since_ms", "blind_reason", "blind_raised_ms", "generation")
    for (_, stream_id), fields in _fields(redis, found, names):
        since_ms, generation = fields["blind_since_ms"], fields["generation"]
        if not since_ms:
            redis.zrem(BLIND, stream_id)  # its record is gone, or it was registered again
        elif (
            fields["state"] in _READ
            and since_ms != fields["blind_raised_ms"]
            and since_ms.isdecimal()
            and generation.isdecimal()
        ):
            gap = Gap(since_ms=int(since_ms), reason=fields["blind_reason"])
            origin = origin_of(fields["url"])
            yield LastingGap(stream_id=stream_id, generation=int(generation), origin=origin, gap=gap, blind=True)


def watched_streams(redis: Redis) -> Iterator[PolledStream]:
    """All polled streams that are read, or should be."""
    ids = {str(one) for due in (DUE, DUE_SLOW, DUE_NEW) for one in redis.zrange(due, 0, -1)}
    names = ("url", "state", "reason", "missing_member", "missing_since_ms", "registered_ms", "blind_since_ms")
    for (_, stream_id), fields in _fields(redis, [("", one) for one in sorted(ids)], names):
        unread = bool(fields["missing_member"])
        # Undecodable segments of many streams are an outage too, of their origin or of this deployment.
        missing = unread or bool(fields["blind_since_ms"])
        since_ms = fields["missing_since_ms" if unread else "blind_since_ms"]
        if missing or fields["state"] == StreamState.LIVE:
            yield PolledStream(
                stream_id=stream_id,
                origin=origin_of(fields["url"]),
                missing=missing,
                since_ms=int(since_ms) if since_ms.isdecimal() else 0,
                seen_before=not unread or _seen_before(fields),
                may_be_over=unread and (fields["state"] not in _NOT_READ or fields["reason"] in GONE),
            )


def _seen_before(fields: Mapping[str, str]) -> bool:
    """A gap that began with the registration is of a stream that never listed a segment
    (`worker.ingest.playlist.missed_time`)."""
    return fields["missing_since_ms"] != fields["registered_ms"]


def _fields(
    redis: Redis, streams: list[tuple[str, str]], names: tuple[str, ...]
) -> Iterator[tuple[tuple[str, str], Mapping[str, str]]]:
    """These fields of the hash of each (origin, stream); missing ones are empty."""
    for begin in range(0, len(streams), _BATCH):
        batch = streams[begin : begin + _BATCH]
        with redis.pipeline(transaction=False) as pipe:
            for _, stream_id in batch:
                pipe.hmget(stream_key(stream_id), names)
            for one, values in zip(batch, pipe.execute(), strict=True):
                yield one, {name: str(value or "") for name, value in zip(names, values, strict=True)}
