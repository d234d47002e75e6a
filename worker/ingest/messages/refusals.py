"""Refused messages: counted, kept, published and logged, all within bounds, and without passwords, tokens and
metadata."""

import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, Final

from redis import Redis

from worker.errors import IntakeError, RegistryError
from worker.events.cloudevent import cloud_event, derived_id
from worker.events.operations import OPERATIONS
from worker.ingest.messages.envelope import WATCH, PlatformCall
from worker.ingest.messages.keys import COUNTS, NEWEST, REFUSED, UNPUBLISHED, published_key
from worker.ingest.registry.platform_events import MAX_EVENTS, STREAM_EVENTS, refused_event
from worker.ingest.registry.registration import check_stream_id
from worker.logs.printable import printable
from worker.store.redis_client import ONCE_SECONDS, now_ms, once_key, run_script

REFUSED_EVENT: Final = "livewarden.operations.intake_refused.v1"

KEPT: Final = 1_000
"""Refused messages whose records are kept."""

PUBLISHED_SECONDS: Final = 60
"""Between two events of one reason, at least: a flood of the queue does not flood operators."""

_MAX_SHOWN: Final = 200
"""Characters of a shown header."""
_MAX_PROBLEM: Final = 300

_HEAD_CHARACTERS: Final = 64
"""First characters shown of a message that is no JSON."""

_SHOWN_HEADERS: Final = ("task", "id", "origin", "lang", "eta", "expires", "compression")
"""Without `argsrepr` and `kwargsrepr`, which contain the complete call."""
_SHOWN_OUTER: Final = ("content-type", "content-encoding")

_SECRET: Final = re.compile(r"(?<=//)[^/\s\"']*@|(?<=[?#])[^\s\"']+")
_BODY: Final = re.compile(r"[A-Za-z0-9+/=_-]{16,}")
"""Parts of a text that may hold a password or a signature, or encode a complete call."""


@dataclass(frozen=True, kw_only=True)
class Refused:
    """The record of a refused message."""

    at_ms: int
    """Time when it was taken from the queue."""
    reason: str
    """As in `worker.errors.IntakeError`."""
    problem: str
    size_bytes: int
    shown: Mapping[str, str]
    """Harmless headers, or the message's `head` if it is no JSON object."""
    event: str = ""
    """Event for the platform about the stream that is not watched; empty: it is about none."""

    def to_json(self) -> str:
        """The record as JSON, at most some 2 kB."""
        return json.dumps({name: value for name, value in asdict(self).items() if name != "event"})

    @classmethod
    def of(
        cls,
        message: bytes,
        error: IntakeError,
        *,
        call: PlatformCall | None,
        size_bytes: int,
        at_ms: int,
        event: str = "",
    ) -> "Refused":
        """The record of a message refused by `error`; `call` is None if it could not be parsed."""
        stream_id = _stream_id(call)
        return cls(
            at_ms=at_ms,
            reason=error.reason,
            problem=_shown_text(error.text, limit=_MAX_PROBLEM),
            size_bytes=size_bytes,
            shown=_shown(message) | ({} if stream_id is None else {"stream_id": stream_id}),
            event=event,
        )


def _shown(message: bytes) -> dict[str, str]:
    outer = None
    with suppress(ValueError, RecursionError):
        outer = json.loads(message)
    if not isinstance(outer, dict):
        text = _BODY.sub("…", message.decode(errors="replace"))
        return {"head": _shown_text(text, limit=_HEAD_CHARACTERS)}
    headers = outer.get("headers")
    shown = {name: outer.get(name) for name in _SHOWN_OUTER}
    shown |= {name: headers.get(name) for name in _SHOWN_HEADERS} if isinstance(headers, dict) else {}
    return {name: _shown_text(text, limit=_MAX_SHOWN) for name, text in shown.items() if isinstance(text, str)}


def _shown_text(text: str, *, limit: int) -> str:
    return printable(_SECRET.sub("…", text))[:limit]


def refused_watch(call: PlatformCall | None, error: IntakeError, *, token: str, deployment: str, now_ms: int) -> str:
    """The event for the platform whose `watch_stream` was refused; empty for other calls.

    Raises:
        SchemaError: it does not fit its schema.
    """
    if call is None or call.task != WATCH:
        return ""
    given = _given_id(call)
    return refused_event(
        _stream_id(call),
        given=_shown_text(given if isinstance(given, str) else type(given).__name__, limit=_MAX_SHOWN),
        reason=error.reason,
        problem=_shown_text(error.text, limit=_MAX_PROBLEM),
        token=token,
        deployment=deployment,
        now_ms=now_ms,
    )


def _given_id(call: PlatformCall) -> object:
    return call.args[0] if call.args else call.kwargs.get("stream_id", "")


def _stream_id(call: PlatformCall | None) -> str | None:
    """ID of the stream that a call is about; None if it is malformed."""
    try:
        return None if call is None else check_stream_id(_given_id(call))
    except RegistryError:
        return None


def refuse(redis: Redis, refused: Mapping[str, Refused]) -> list[Refused]:
    """Counts and keeps refused messages; returns those that were not counted before.

    Args:
        refused: by the token that identifies each message.

    Raises:
        RedisError: Redis failed; they may have been counted.
    """
    if not refused:
        return []
    # One call, and so one write to disk, however many there are.
    new = run_script(
        redis,
        "intake_refuse",
        keys=[COUNTS, REFUSED, UNPUBLISHED, NEWEST, STREAM_EVENTS, *map(once_key, refused)],
        args=[
            ONCE_SECONDS,
            KEPT,
            MAX_EVENTS,
            *(part for one in refused.values() for part in (one.reason, one.to_json(), one.event)),
        ],
    )
    return [one for one, counted in zip(refused.values(), new, strict=True) if counted]


def publish(redis: Redis, *, deployment: str) -> int:
    """Publishes the refusals that are not published yet, each reason once in PUBLISHED_SECONDS; returns the number of
    events.

    Raises:
        RedisError: Redis failed; the next call publishes the rest.
    """
    published = 0
    with redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(UNPUBLISHED)
        pipe.hgetall(COUNTS)
        pipe.hgetall(NEWEST)
        waiting, counts, newest = pipe.execute()
    for reason, count in sorted(waiting.items()):
        if redis.exists(published_key(reason)):
            continue
        event = _event(reason, int(count), int(counts[f"refused:{reason}"]), newest[reason], deployment, now_ms(redis))
        keys = [published_key(reason), UNPUBLISHED, OPERATIONS]
        args = [PUBLISHED_SECONDS, reason, count, event]
        published += int(run_script(redis, "intake_publish", keys=keys, args=args))
    return published


def _event(reason: str, count: int, total: int, newest: str, deployment: str, now: int) -> str:
    record = json.loads(newest)
    data = {
        "reason": reason,
        "count": count,
        "total": total,
        "newest": {
            "problem": record.get("problem", ""),
            "task": record.get("shown", {}).get("task", ""),
            "origin": record.get("shown", {}).get("origin", ""),
        },
    }
    event_id = derived_id(REFUSED_EVENT, deployment, reason, total, now)
    return cloud_event(REFUSED_EVENT, event_id, subject="intake", data=data, deployment=deployment, now_ms=now)


def refused_messages(redis: Redis, limit: int = KEPT) -> list[dict[str, Any]]:
    """The records of the newest refused messages, the newest first.

    Raises:
        RedisError: Redis failed.
    """
    return [dict(json.loads(text)) for text in redis.lrange(REFUSED, 0, limit - 1)]


def refused_counts(redis: Redis) -> dict[str, int]:
    """Number of messages refused, ever, by reason.

    Raises:
        RedisError: Redis failed.
    """
    prefix = "refused:"
    counts = {str(name): int(count) for name, count in redis.hgetall(COUNTS).items()}
    return {name.removeprefix(prefix): counts[name] for name in sorted(counts) if name.startswith(prefix)}
