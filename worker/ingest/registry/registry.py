"""The registry: which streams are watched, and what is known of each.

One Redis hash a stream, `lw:stream:{id}`; the sorted set `lw:streams` lists the IDs by the time they were registered.
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
GENERATIONS = redis_keys.GENERATIONS.name
"""The newest watch generation of all streams. It begins at the Unix second of the deployment's first watch and rises by
one with each, so that neither a stream ID that comes back after its record is gone nor a Redis that was set up anew
repeats a generation, and with it the ids of events."""
DUE = redis_keys.DUE.name
"""Sorted set: stream ID by the time of its next poll, in milliseconds of Redis's own clock."""
DUE_SLOW = redis_keys.DUE_SLOW.name
"""Likewise, for streams whose playlists take long (`worker.ingest.poll.slow_polls`); a stream is in one of both."""

DUE_NEW = redis_keys.DUE_NEW.name
"""Likewise, for streams whose playlist was never read, where more of them came at once than are polled at once: the
tick moves some into `DUE`, so that however many are registered, those that are watched keep their polls."""

LONGEST_DUE_MS = 120_000
"""Above every delay between polls. What is due later than that was written down before Redis's clock went back, and is
due now."""

NEW_AT_ONCE = 25
"""Streams that were never read and are due without waiting in `DUE_NEW`; so many move from there with each tick: half
a batch of polls, a third of a second of one core. A thousand that are registered at once are all polled in 40 s."""

KEPT_AFTER_END_SECONDS = redis_keys.STREAM.seconds
"""How long the record of an ended or removed stream can still be read."""

NEVER_READ_KEPT_SECONDS = 600
"""Likewise, of a removed stream that was never read: nothing of it is pending, and nothing was seen."""

LOOKED_AT_TO_FORGET = 100
"""Of all streams on record, by each call of `forget_gone`, which comes every 2 s: 180,000 an hour, more than streams
end, and Redis has other things to do."""

MAX_TRIES = 16
"""Of a change that others' changes come in between: each takes about a millisecond."""

WAITING = "waiting"
"""State of a stream that is registered and was not read yet; from then on it is that of
`worker.ingest.playlist.cursor`."""
REMOVED = "removed"
"""State of a stream that the platform has taken off."""

_OVER = frozenset({REMOVED, "ended"})
DUES = (DUE, DUE_SLOW, DUE_NEW)
"""A stream that is watched is in one of them; so is one that has ended by ENDLIST, while its broadcaster may come
back."""
_BY_HAND = Author()


def is_over(state: str) -> bool:
    """Whether a stream of that state is not watched any more."""
    return state in _OVER


def stream_key(stream_id: str) -> str:
    """The stream's hash in Redis."""
    return redis_keys.STREAM.of(stream_id)


def signals_key(stream_id: str) -> str:
    """The stream's signals in Redis: `worker.ingest.registry.signals`."""
    return redis_keys.SIGNALS.of(stream_id)


def watch(
    redis: Redis,
    registration: Registration,
    *,
    author: Author = _BY_HAND,
    token: str | None = None,
    max_streams: int = DEFAULT_MAX_STREAMS,
) -> int:
    """Begins to watch a stream, or goes on with changed particulars; may be called twice.

    A stream that had ended or was removed, or whose URL or purpose is another one now, begins a new watch generation:
    its segments are moderated afresh, its coverage goes on counting. Another URL or purpose of a stream that is watched
    is published to operators.

    Args:
        token: names this call; the same call made again does nothing and gives the same. None: a new one.

        max_streams: watched at once; one more is refused, while those that are watched may be changed.

    Returns:
        The watch generation: of one stream each is higher than the one before, and no two watches have the same.

    Raises:
        RegistryError: so many are watched already.
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
        if answer != "changed":
            return int(answer)
    raise StoreError(f"stream {stream_id}: others change it all the time: try again")


def unwatch(redis: Redis, stream_id: str, *, author: Author = _BY_HAND, token: str | None = None) -> bool:
    """Takes a stream off; segments already admitted are still moderated. If it was watched, that is published to
    operators, and to its platform.

    Args:
        token: as of `watch`.

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
    raise StoreError(f"stream {stream_id}: others change it all the time: try again")


def _removal_event(stream_id: str, found: StreamBefore, author: Author) -> str:
    """For its platform; empty if it was not watched."""
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
    """Forgets some of the streams whose record has expired, and their ledgers; gives how many. Called every few seconds
    it keeps up with all that end, and no memory is held for good by a stream that nobody can look at any more."""
    args: list[str | int] = [LOOKED_AT_TO_FORGET, stream_key(""), coverage_key("")]
    return int(run_script(redis, "forget_gone", keys=[STREAMS], args=args))
