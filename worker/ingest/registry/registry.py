"""The registry of streams: watch, unwatch, and the record of each.

One Redis hash a stream, `lw:stream:{id}`; the sorted set `lw:streams` lists the IDs by registration time.
"""

import json
import secrets

from redis import Redis

from config.counts import counted
from config.settings import DEFAULT_MAX_STREAMS
from worker.errors import RegistryError, StoreError
from worker.events.operations import OPERATIONS
from worker.ingest.coverage.ledger import coverage_key
from worker.ingest.http.urls import without_query
from worker.ingest.registry.changes import Author, StreamBefore, change_event
from worker.ingest.registry.platform_events import MAX_EVENTS, STREAM_EVENTS, EndReason, ended_event
from worker.ingest.registry.registration import Registration
from worker.store import redis_keys
from worker.store.redis_client import ONCE_SECONDS, once_key, run_script

STREAMS = redis_keys.STREAMS.name
stream_key = redis_keys.STREAM.of
signals_key = redis_keys.SIGNALS.of
GENERATIONS = redis_keys.GENERATIONS.name
"""The newest watch generation of all streams. It begins at the Unix second of the deployment's first watch and rises by
one with each, so that neither a stream ID that returns after its record expired nor a new Redis repeats a generation,
and with it the IDs of events."""
DUE = redis_keys.DUE.name
"""Sorted set: stream ID by the time of its next poll, in milliseconds of Redis's clock."""
DUE_SLOW = redis_keys.DUE_SLOW.name
"""The same for streams whose playlists take long (`worker.ingest.poll.slow_polls`); a stream is in one of the sets."""

DUE_NEW = redis_keys.DUE_NEW.name
"""The same for streams whose playlist was never read, beyond the first `NEW_AT_ONCE`: the tick moves some into `DUE`,
so that watched streams keep their polls however many new ones are registered."""

DUE_DANGER = redis_keys.DUE_DANGER.name
"""Sorted set of reports of imminent danger that are to be raised, by time in milliseconds of Redis's clock."""

LONGEST_DUE_MS = 120_000
"""Above every delay between polls. A later due time was written before Redis's clock went back, and counts as due
now."""

NEW_AT_ONCE = 25
"""Never-read streams that are due without waiting in `DUE_NEW`, and that move from there with each tick: half a batch
of polls, a third of a second of one core. A thousand registered together are all polled within 40 s."""

KEPT_AFTER_END_SECONDS = redis_keys.STREAM.seconds
"""Life of the record of an ended or removed stream."""

NEVER_READ_KEPT_SECONDS = 600
"""Life of the record of a removed stream that was never read: nothing of it is pending, and nothing was classified."""

CHECKED_TO_FORGET = 100
"""Streams checked by each call of `forget_gone`, which comes every 2 s: 180,000 an hour, more than end, at little cost
for Redis."""

MAX_TRIES = 16
"""Tries of a change that collides with concurrent ones: each takes about a millisecond."""

WAITING = "waiting"
"""State of a registered stream that was not read yet; later ones are those of `worker.ingest.playlist.cursor`."""
REMOVED = "removed"
"""State of a stream that the platform has unwatched."""

_OVER = frozenset({REMOVED, "ended"})
DUES = (DUE, DUE_SLOW, DUE_NEW)
"""A watched stream is in one of them; so is one that ended by ENDLIST, while its broadcaster may come back."""
_BY_HAND = Author()


def is_over(state: str) -> bool:
    """Returns whether a stream in that state is not watched any more."""
    return state in _OVER


def watch(
    redis: Redis,
    registration: Registration,
    *,
    author: Author = _BY_HAND,
    token: str | None = None,
    max_streams: int = DEFAULT_MAX_STREAMS,
) -> int:
    """Registers a stream, or updates a registered one; may be called twice.

    A stream that had ended or was removed, or whose URL or purpose changes, begins a new watch generation: its segments
    are moderated again, its coverage goes on. A new URL or purpose of a watched stream is published to operators.

    Args:
        token: identifies this call; repeating it does nothing and returns the same. None: a new one.
        max_streams: streams watched at the same time; one more is refused, while watched ones may be changed.

    Returns:
        The watch generation: it rises with each watch, and no two watches have the same.

    Raises:
        RegistryError: `max_streams` are watched already, or the stream's data is being erased.
    """
    token = secrets.token_hex(16) if token is None else token
    stream_id, key = registration.stream_id, stream_key(registration.stream_id)
    for _ in range(MAX_TRIES):
        found = StreamBefore.read(redis, key, _OVER)
        event = change_event(
            stream_id, found, author, token=token, url=registration.url, purpose=registration.purpose.value
        )
        answer = run_script(
            redis,
            "watch",
            keys=[
                key,
                STREAMS,
                DUE,
                signals_key(stream_id),
                once_key(token),
                OPERATIONS,
                DUE_SLOW,
                DUE_NEW,
                GENERATIONS,
            ],
            args=[
                stream_id,
                registration.url,
                registration.purpose,
                registration.audience,
                repr(registration.risk_prior),
                json.dumps(registration.metadata),
                ONCE_SECONDS,
                *found.as_args(),
                event,
                NEW_AT_ONCE,
                max_streams,
            ],
        )
        if answer == "full":
            raise RegistryError(
                f"stream_id: {stream_id}: {counted(max_streams, 'stream', 'are')} watched, "
                "as many as LIVEWARDEN_MAX_STREAMS allows"
            )
        if answer == "forgotten":
            raise RegistryError(f"stream_id: {stream_id}: its data is being erased: try again in some minutes")
        if answer != "changed":
            return int(answer)
    raise StoreError(f"stream {stream_id}: it changes all the time: try again")


def unwatch(redis: Redis, stream_id: str, *, author: Author = _BY_HAND, token: str | None = None) -> bool:
    """Stops watching a stream; segments already admitted are still moderated. If it was watched, that is published to
    operators and to its platform.

    Args:
        token: as for `watch`.

    Returns:
        False if the stream was not known.
    """
    token = secrets.token_hex(16) if token is None else token
    for _ in range(MAX_TRIES):
        found = StreamBefore.read(redis, stream_key(stream_id), _OVER)
        answer = run_script(
            redis,
            "unwatch",
            keys=[stream_key(stream_id), DUE, STREAMS, once_key(token), OPERATIONS, DUE_SLOW, DUE_NEW, STREAM_EVENTS],
            args=[
                stream_id,
                KEPT_AFTER_END_SECONDS,
                ONCE_SECONDS,
                *found.as_args(),
                change_event(stream_id, found, author, token=token),
                NEVER_READ_KEPT_SECONDS,
                _removal_event(stream_id, found, author),
                MAX_EVENTS,
                without_query(found.url),
            ],
        )
        if answer != "changed":
            return bool(answer)
    raise StoreError(f"stream {stream_id}: it changes all the time: try again")


def _removal_event(stream_id: str, found: StreamBefore, author: Author) -> str:
    """The event for its platform; empty if it was not watched."""
    if not found.watched:
        return ""
    return ended_event(
        stream_id,
        generation=found.generation,
        reason=EndReason.REMOVED,
        deployment=author.deployment,
        now_ms=found.now_ms,
    )


def stream_ids(redis: Redis) -> list[str]:
    """The IDs of all streams on record, in the order in which they were registered."""
    return [str(stream_id) for stream_id in redis.zrange(STREAMS, 0, -1)]


def forget_gone(redis: Redis) -> int:
    """Removes some of the streams whose record has expired, with their ledgers; returns their number. Called every few
    seconds, it keeps up with all streams that end, so that none holds memory indefinitely."""
    args: list[str | int] = [CHECKED_TO_FORGET, stream_key(""), coverage_key("")]
    return int(run_script(redis, "forget_gone", keys=[STREAMS], args=args))
