"""Streams that are due for a poll: taken under a lease, released, or marked as failed."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from secrets import token_hex
from typing import Self

from redis import Redis

from worker.health.redis_epoch import EPOCH
from worker.ingest.coverage.ledger import COUNT, coverage_key
from worker.ingest.playlist.cursor import Cursor
from worker.ingest.playlist.outcome import MissedReason
from worker.ingest.playlist.poll_pace import FIRST_DELAY_MS, LONGEST_IDLE_DELAY_MS
from worker.ingest.poll.origin_gaps import missing_member
from worker.ingest.poll.slow_polls import move_slow
from worker.ingest.registry.registry import DUE, LONGEST_DUE_MS, stream_key
from worker.store import redis_keys
from worker.store.redis_client import run_script, unless_full

POLL_LEASE_MS = 3_000
"""Lease of a stream, which the running poll renews. After its process died another poll has the stream again before a
window of 6 s, the shortest that RFC 8216 allows for segments of 2 s, has passed."""

ENDS_ITS_PROCESS = 4
"""Polls of a stream in a row that never ended: by then it is polled alone."""

_ENDS_PROCESS_LEASE_MS = 20_000
"""Lease of a stream after that: each of its polls may cost another process."""

SOLE_RENDITION = "sole"
"""Rendition name of a stream without a master playlist."""

POLL_ERROR = "poll_error"
"""Reason in the registry of a stream whose poll ended by an unexpected error."""

TRIED_KEPT_MS = 60 * 60_000
"""After which a failed rendition may be chosen again, should the current one fail. Not without that: if it still
failed, its segments would go unseen meanwhile."""

LONGEST_OFFER_SECONDS = 60.0
"""An offer that lasts longer is from before Redis's clock went back: its poll may be gone."""

REGISTERED_ANEW_MS = 600_000
"""After a loss of state: a stream that is registered for the first time within it was probably watched before."""

_BATCHES = redis_keys.POLL_BATCH.prefix
_PLACES = redis_keys.POLL_PLACES.name


@dataclass(frozen=True, kw_only=True)
class DuePoll:
    """A stream leased to this process for a poll, with its record not parsed yet."""

    stream_id: str
    token: str
    fields: tuple[str, ...] = field(repr=False)
    due: str
    """The due set that it was taken from."""
    begun: int
    """Polls in a row that were begun and not ended, including this one; more than a few mean that they kill their
    process."""


@dataclass(frozen=True, kw_only=True)
class DueStream:
    """A stream leased to this process for a poll, with its record parsed."""

    stream_id: str
    token: str
    cursor: Cursor
    url: str
    media_url: str
    """URL of the rendition chosen at an earlier poll; empty: `url` must be read first."""
    tried: Mapping[str, int]
    """Name of a failed rendition to the time of its failure, in Unix milliseconds."""
    due: str
    """The due set that it returns to."""
    no_video: str
    """`no_video_mark` of the segment settled last, if that had no pictures."""
    purpose: str = ""
    """Purpose of the watch generation; another one begins a new generation."""

    @classmethod
    def of(cls, taken: DuePoll) -> Self:
        """Parses a record.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is damaged.
        """
        generation, url, text, media_url, tried, no_video, registered, purpose, lost_since = taken.fields
        cursor = Cursor.from_json(text) if text else Cursor(generation=int(generation), rendition=SOLE_RENDITION)
        return cls(
            stream_id=taken.stream_id,
            token=taken.token,
            cursor=replace(
                cursor,
                watched_since_ms=int(registered) if registered else None,
                lost_since_ms=int(lost_since) if lost_since else None,
            ),
            url=url,
            media_url=media_url,
            tried={str(name): int(at_ms) for name, at_ms in json.loads(tried or "{}").items()},
            due=taken.due,
            no_video=no_video,
            purpose=purpose,
        )


def no_video_mark(generation: int, rendition: str) -> str:
    """Value of the stream's field `no_video` for a rendition of a watch generation."""
    return f"{generation} {rendition}"


def take_due(redis: Redis, most: int, *, due: str = DUE, token: str | None = None) -> list[DuePoll]:
    """Takes up to `most` of the streams that are due in that set: `DUE` or `DUE_SLOW`.

    Args:
        token: identifies this call; repeating it takes the same streams. None: a new one.
    """
    if due == DUE:
        move_slow(redis)
    rows = run_script(
        redis,
        "take_due",
        keys=[due, _BATCHES + (token_hex(16) if token is None else token), EPOCH],
        args=[
            most,
            POLL_LEASE_MS,
            stream_key(""),
            LONGEST_DUE_MS,
            REGISTERED_ANEW_MS,
            ENDS_ITS_PROCESS,
            _ENDS_PROCESS_LEASE_MS,
        ],
    )
    return [
        DuePoll(
            stream_id=str(stream_id),
            token=str(token),
            due=due,
            fields=tuple(str(value) for value in fields),
            begun=int(begun) if str(begun).isdigit() else 0,
        )
        for stream_id, token, *fields, begun in rows
    ]


def offer(redis: Redis, places: int, *, within_seconds: float = 0.0) -> None:
    """Announces that a running poll takes this many more streams soon, so that no other poll need start for them.

    Args:
        within_seconds: up to LONGEST_OFFER_SECONDS.
    """
    if places:
        with unless_full():
            redis.set(_PLACES, places, px=round(within_seconds * 1000))
    else:
        redis.delete(_PLACES)


def offered(redis: Redis) -> int:
    """Number of streams that a running poll takes soon."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.get(_PLACES)
        pipe.pttl(_PLACES)
        places, left_ms = pipe.execute()
    return int(places or 0) if left_ms <= LONGEST_OFFER_SECONDS * 1000 else 0


def renew(redis: Redis, streams: Sequence[DuePoll]) -> None:
    """Renews the leases of streams whose poll goes on."""
    _of_batch(redis, "renew_due", streams, POLL_LEASE_MS)


def release(redis: Redis, streams: Sequence[DuePoll]) -> None:
    """Makes streams that were taken and not polled due immediately."""
    _of_batch(redis, "release_due", streams)


def _of_batch(redis: Redis, script: str, streams: Sequence[DuePoll], *args: int) -> None:
    if streams:
        leases = [part for stream in streams for part in (stream.stream_id, stream.token)]
        # A batch takes from one due set.
        run_script(redis, script, keys=[streams[0].due], args=[stream_key(""), *args, *leases])


def note_error(redis: Redis, stream: DuePoll) -> None:
    """Counts a poll that ended by an unexpected error, and backs off. No watch ends by it: it may be a bug here."""
    run_script(
        redis,
        "poll_failed",
        keys=[stream_key(stream.stream_id), stream.due, coverage_key(stream.stream_id)],
        args=[
            stream.stream_id,
            stream.token,
            POLL_ERROR,
            FIRST_DELAY_MS,
            LONGEST_IDLE_DELAY_MS,
            f"{COUNT}poll_errors",
            missing_member(stream.fields[1], MissedReason.UNREACHABLE, stream.stream_id),
        ],
    )
