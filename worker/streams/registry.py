"""The registry: which streams are watched, and what is known of each.

One Redis hash a stream, `lw:stream:{id}`; the sorted set `lw:streams` lists the IDs by the time they were registered.
"""

import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar
from urllib.parse import quote

from redis import Redis

from config.conditions.kinds import MAX_NOTE_CHARACTERS, MAX_NOTES
from config.settings import DEFAULT_MAX_STREAMS
from worker.errors import FetchError, RegistryError, StoreError
from worker.fetching.urls import parse, without_query
from worker.operations import OPERATIONS
from worker.redisdb import ONCE_SECONDS, once_key, run_script
from worker.streams.changes import Author, Found, change_event
from worker.streams.events import MAX_EVENTS, STREAM_EVENTS, EndReason, ended_event

STREAMS = "lw:streams"
GENERATIONS = "lw:generations"
"""The newest watch generation of all streams. It begins at the Unix second of the deployment's first watch and rises by
one with each, so that neither a stream ID that comes back after its record is gone nor a Redis that was set up anew
repeats a generation, and with it the ids of events."""
DUE = "lw:due"
"""Sorted set: stream ID by the time of its next poll, in milliseconds of Redis's own clock."""
DUE_SLOW = "lw:due.slow"
"""Likewise, for streams whose playlists take long (`worker.polling.slowpolls`); a stream is in one of both."""

DUE_NEW = "lw:due.new"
"""Likewise, for streams whose playlist was never read, where more of them came at once than are polled at once: the
tick moves some into `DUE`, so that however many are registered, those that are watched keep their polls."""

LONGEST_DUE_MS = 120_000
"""Above every delay between polls. What is due later than that was written down before Redis's clock went back, and is
due now."""

NEW_AT_ONCE = 25
"""Streams that were never read and are due without waiting in `DUE_NEW`; so many move from there with each tick: half
a batch of polls, a third of a second of one core. A thousand that are registered at once are all polled in 40 s."""

_STREAM_ID = re.compile(r"[A-Za-z0-9._:-]{1,200}")
MAX_URL_LENGTH = 4096
MAX_METADATA_BYTES = MAX_NOTE_CHARACTERS
"""A platform's own notes on a stream travel with each event; they are no place for pictures."""
MAX_METADATA_DEPTH = 32
"""What reads notes goes down into them: Python's own limit, some 1,000, is met at another place each time."""

KEPT_AFTER_END_SECONDS = 7 * 24 * 3600
"""How long the record of an ended or removed stream can still be read."""

NEVER_READ_KEPT_SECONDS = 600
"""Likewise, of a removed stream that was never read: nothing of it is pending, and nothing was seen."""

MAX_TRIES = 16
"""Of a change that others' changes come in between: each takes about a millisecond."""

WAITING = "waiting"
"""State of a stream that is registered and was not read yet; from then on it is that of `worker.polling.cursor`."""
REMOVED = "removed"
"""State of a stream that the platform has taken off."""

_OVER = frozenset({REMOVED, "ended"})
_BY_HAND = Author()


class Purpose(StrEnum):
    """Why a stream is watched. The built-in list `selftest` acts on drills and canaries only."""

    LIVE = "live"
    DRILL = "drill"
    CANARY = "canary"


class Audience(StrEnum):
    """Who can see the stream. Private ones need a documented legal basis."""

    PUBLIC = "public"
    LIMITED = "limited"
    PRIVATE = "private"


_Choice = TypeVar("_Choice", bound=StrEnum)


@dataclass(frozen=True, kw_only=True)
class Registration:
    """What a platform asks to be watched, checked."""

    stream_id: str
    url: str
    purpose: Purpose = Purpose.LIVE
    audience: Audience = Audience.PUBLIC
    risk_prior: float = 0.0
    """0 to 1: how much reason the platform has to worry before anything was seen."""
    metadata: Mapping[str, Any] = field(default_factory=dict)


def stream_key(stream_id: str) -> str:
    """The stream's hash in Redis."""
    return f"lw:stream:{stream_id}"


def signals_key(stream_id: str) -> str:
    """The stream's signals in Redis: `worker.streams.signals`."""
    return f"lw:signals:{stream_id}"


def check_stream_id(stream_id: object) -> str:
    """Gives back a well-formed stream ID.

    Raises:
        RegistryError: for anything but 1 to 200 characters of `A-Z a-z 0-9 . _ : -`.
    """
    if not isinstance(stream_id, str):
        # Such as the number 4711, whose text would do.
        kind = type(stream_id).__name__
        raise RegistryError(f"stream_id: {kind}: expected a text of 1 to 200 characters of A-Z a-z 0-9 . _ : -")
    if not _STREAM_ID.fullmatch(stream_id):
        raise RegistryError(f"stream_id: {stream_id[:220]!r}: expected 1 to 200 characters of A-Z a-z 0-9 . _ : -")
    return stream_id


def register(
    stream_id: object,
    url: object = None,
    *,
    metadata: object = None,
    purpose: object = "live",
    audience: object = "public",
    risk_prior: object = 0.0,
    url_template: str,
    legal_basis: str,
) -> Registration:
    """Checks what a platform sent, field by field; nothing of it is trusted.

    Args:
        url: the playlist; None takes `url_template` with the percent-encoded stream ID filled in.
        url_template: the deployment's template, may be empty.
        legal_basis: the operator's documented basis for private streams; empty refuses them.

    Raises:
        RegistryError: naming the field, what came and what was expected.
    """
    checked_id = check_stream_id(stream_id)
    return Registration(
        stream_id=checked_id,
        url=_check_url(url, checked_id, url_template),
        purpose=_choice("purpose", Purpose, purpose),
        audience=_check_audience(audience, legal_basis),
        risk_prior=_check_risk_prior(risk_prior),
        metadata=_check_metadata(metadata),
    )


def _check_url(url: object, stream_id: str, url_template: str) -> str:
    if url is None:
        if not url_template:
            raise RegistryError(f"url: stream {stream_id} came without one, and LIVEWARDEN_URL_TEMPLATE is not set")
        url = url_template.replace("{stream_id}", quote(stream_id, safe=""))
    if not isinstance(url, str) or len(url) > MAX_URL_LENGTH or " " in url or not url.isprintable():
        raise RegistryError(
            f"url: {without_query(str(url))[:80]!r}: expected an http(s) URL of at most {MAX_URL_LENGTH} characters"
        )
    try:
        parse(url)
    except FetchError:
        shown = without_query(url)[:80]
        raise RegistryError(f"url: {shown!r}: expected http://host/… or https://host/…, without a user") from None
    return url


def _choice(name: str, kind: type[_Choice], value: object) -> _Choice:
    try:
        return kind(str(value))
    except ValueError:
        raise RegistryError(f"{name}: {str(value)[:80]!r}: expected one of {', '.join(kind)}") from None


def _check_audience(value: object, legal_basis: str) -> Audience:
    audience = _choice("audience", Audience, value)
    if audience is Audience.PRIVATE and not legal_basis:
        raise RegistryError(
            "audience: private streams are watched only where LIVEWARDEN_LEGAL_BASIS documents the legal basis"
        )
    return audience


def _check_risk_prior(value: object) -> float:
    # NaN is in no range; an integer beyond all floats need not become one.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise RegistryError(f"risk_prior: {str(value)[:80]!r}: expected a number from 0 to 1")
    return float(value)


def _check_metadata(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise RegistryError(f"metadata: expected a JSON object, got {type(value).__name__}")
    try:
        size_bytes = len(json.dumps(value, allow_nan=False).encode())
        json.dumps(value, ensure_ascii=False).encode()  # fails on halves of a surrogate pair
    except (TypeError, ValueError, RecursionError) as error:
        raise RegistryError(f"metadata: expected a JSON object: {error}") from error
    if size_bytes > MAX_METADATA_BYTES:
        raise RegistryError(f"metadata: {size_bytes} bytes of JSON: expected at most {MAX_METADATA_BYTES}")
    if nesting(value) > MAX_METADATA_DEPTH:
        raise RegistryError(f"metadata: expected at most {MAX_METADATA_DEPTH} objects and arrays inside one another")
    values = _count(value)
    if values > MAX_NOTES:
        raise RegistryError(f"metadata: {values} values, keys among them: expected at most {MAX_NOTES}")
    return value


def nesting(value: object) -> int:
    """How many objects and arrays are inside one another; 0 for a value that is neither."""
    level: list[Any] = [[value]]
    depth = -1
    while level:
        depth += 1
        inside = (part.values() if isinstance(part, dict) else part for part in level)
        level = [one for part in inside for one in part if isinstance(one, dict | list | tuple)]
    return depth


def _count(value: dict[str, Any]) -> int:
    """Keys and values, at all depths."""
    left = [*value.values()]
    count = 2 * len(left)
    while left:
        part = left.pop()
        inside = [*part.values()] if isinstance(part, dict) else part if isinstance(part, list | tuple) else []
        count += len(inside) * (2 if isinstance(part, dict) else 1)
        left += inside
    return count


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
        found = Found.read(redis, key, _OVER)
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
                stream_key(""),
            ],
        )
        if answer == "full":
            raise RegistryError(
                f"stream_id: {stream_id}: {max_streams:,} streams are watched, as many as LIVEWARDEN_MAX_STREAMS allows"
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
        found = Found.read(redis, stream_key(stream_id), _OVER)
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
            ],
        )
        if answer != "changed":
            return bool(answer)
    raise StoreError(f"stream {stream_id}: others change it all the time: try again")


def _removal_event(stream_id: str, found: Found, author: Author) -> str:
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
