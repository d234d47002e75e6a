"""Streams that are due for a poll: taken under a lease, given back, or noted as failed."""

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
from worker.ingest.poll.slow_polls import set_apart
from worker.ingest.registry.registry import DUE, LONGEST_DUE_MS, stream_key
from worker.store import redis_keys
from worker.store.redis_client import run_script, unless_full

POLL_LEASE_MS = 20_000
"""How long a stream is left to its worker: above the hard time limit of a task (18 s), so that a poll that goes on is
never overtaken, and one whose process died is soon done by another."""

SOLE_RENDITION = "sole"
"""Rendition name of a stream without a master playlist."""

POLL_ERROR = "poll_error"
"""The registry's reason for a stream whose poll an unexpected error ended."""

TRIED_KEPT_MS = 60 * 60_000
"""After which a rendition that was of no use may be chosen again, should the one that is watched fail. Not by itself:
what it lists meanwhile would go unseen where it is still of no use."""

LONGEST_OFFER_SECONDS = 60.0
"""An offer that lasts longer was made before Redis's clock went back: who made it may be gone."""

REGISTERED_ANEW_MS = 600_000
"""After a loss of state: a stream that is registered for the first time within it was probably watched before."""

_BATCHES = redis_keys.POLL_BATCH.prefix
_PLACES = redis_keys.POLL_PLACES.name


@dataclass(frozen=True, kw_only=True)
class DuePoll:
    """A stream that is ours to poll until the lease is over, as its record has it; nothing of it was parsed yet."""

    stream_id: str
    token: str
    fields: tuple[str, ...] = field(repr=False)
    due: str
    """The due set that it was taken from."""
    begun: int
    """Polls in a row that were begun, with this one; more than a few, and they kill their process."""


@dataclass(frozen=True, kw_only=True)
class DueStream:
    """A stream that is ours to poll, parsed."""

    stream_id: str
    token: str
    cursor: Cursor
    url: str
    media_url: str
    """The rendition chosen at an earlier poll; empty: `url` is to be read first."""
    risk_prior: float
    tried: Mapping[str, int]
    """Name of a rendition that was of no use to when that was seen, in Unix milliseconds."""
    due: str
    """The due set to which it belongs from now on."""
    no_video: str
    """As `no_video_mark` has it: of the segment settled last, if it had no pictures."""
    purpose: str = ""
    """Purpose of the watch generation; another one begins a new generation."""

    @classmethod
    def of(cls, taken: DuePoll) -> Self:
        """Parses a record.

        Raises:
            ValueError, TypeError, KeyError, AttributeError: it is damaged.
        """
        generation, url, text, risk_prior, media_url, tried, no_video, registered, purpose, lost_since = taken.fields
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
            risk_prior=float(risk_prior or 0.0),
            tried={str(name): int(at_ms) for name, at_ms in json.loads(tried or "{}").items()},
            due=taken.due,
            no_video=no_video,
            purpose=purpose,
        )


def no_video_mark(generation: int, rendition: str) -> str:
    """Names a rendition of a watch in the stream's field `no_video`."""
    return f"{generation} {rendition}"


def take_due(redis: Redis, most: int, *, due: str = DUE) -> list[DuePoll]:
    """Takes up to `most` of the streams that are due in that set: `DUE` or `DUE_SLOW`."""
    if due == DUE:
        set_apart(redis)
    rows = run_script(
        redis,
        "take_due",
        keys=[due, _BATCHES + token_hex(16), EPOCH],
        args=[most, POLL_LEASE_MS, stream_key(""), LONGEST_DUE_MS, REGISTERED_ANEW_MS],
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
    """Notes that a poll which is under way takes this many more streams soon, so that no other one has to begin.

    Args:
        within_seconds: up to LONGEST_OFFER_SECONDS.
    """
    if places:
        with unless_full():
            redis.set(_PLACES, places, px=round(within_seconds * 1000))
    else:
        redis.delete(_PLACES)


def offered(redis: Redis) -> int:
    """How many streams a poll that is under way takes soon."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.get(_PLACES)
        pipe.pttl(_PLACES)
        places, left_ms = pipe.execute()
    return int(places or 0) if left_ms <= LONGEST_OFFER_SECONDS * 1000 else 0


def release(redis: Redis, streams: Sequence[DuePoll]) -> None:
    """Makes streams due at once that were taken and not polled."""
    if streams:
        args = [part for stream in streams for part in (stream.stream_id, stream.token)]
        # A batch takes from one due set.
        run_script(redis, "release_due", keys=[streams[0].due], args=[stream_key(""), *args])


def note_error(redis: Redis, stream: DuePoll) -> None:
    """Counts a poll that an unexpected error ended, and backs off. No watch ends by it: the error may be ours."""
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
