"""Events for platforms about their streams, on `lw:streams:events`: refused, unreachable, ended. CloudEvents by
`config/schemas/stream.v1.json`, without URL queries, where tokens are.
"""

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, Final

from worker.events.cloudevent import cloud_event, derived_id, rfc3339
from worker.ingest.http.urls import without_query
from worker.store import redis_keys

STREAM_EVENTS: Final = redis_keys.STREAM_EVENTS.name
"""Redis stream with one field, `event`."""

MAX_EVENTS: Final = 20_000
"""The newest are kept: some 12 MB, so that a platform that repeats a mistake in a loop does not fill Redis."""

_REFUSABLE: Final = frozenset({"stream_id", "url", "metadata", "purpose", "audience", "risk_prior"})
_REASONS: Final = frozenset({"arguments", "internal", "refused"})
_GIVEN_CHARACTERS: Final = 80
_PROBLEM_CHARACTERS: Final = 300


class StreamEvent(StrEnum):
    """Types of these events."""

    REFUSED = "livewarden.stream.refused.v1"
    UNREACHABLE = "livewarden.stream.unreachable.v1"
    ENDED = "livewarden.stream.ended.v1"


class EndReason(StrEnum):
    """Reason why a stream is not watched any more."""

    ENDLIST = "endlist"
    STALLED = "stalled"
    UNREACHABLE = "unreachable"
    REMOVED = "removed"


def refused_event(
    stream_id: str | None, *, given: str, reason: str, problem: str, token: str, deployment: str, now_ms: int
) -> str:
    """The event of a refused `watch_stream`.

    Args:
        stream_id: as it was sent, if it is well-formed.
        given: the malformed stream ID, on one line and without secrets; cut here.
        reason: `arguments`, `internal`, or `refused` by the registry, whose `problem` begins with the argument's name;
            any other, about the message's envelope, is published as `refused`.
        token: identifies the message.

    Raises:
        SchemaError: it does not fit its schema.
    """
    field = problem.partition(":")[0]
    reason = reason if reason in _REASONS else "refused"
    data = {
        "stream_id": stream_id,
        "given": "" if stream_id is not None else given[:_GIVEN_CHARACTERS],
        "reason": field if reason == "refused" and field in _REFUSABLE else reason,
        "problem": problem[:_PROBLEM_CHARACTERS],
    }
    return _event(StreamEvent.REFUSED, [token], stream_id, data, deployment, now_ms)


def unreachable_event(
    stream_id: str,
    *,
    generation: int,
    url: str,
    reason: str,
    since_ms: int,
    never_read: bool,
    deployment: str,
    now_ms: int,
) -> str:
    """The event of a stream whose playlist could not be read since `since_ms`, for `reason`.

    Raises:
        SchemaError: it does not fit its schema.
    """
    data = {
        "stream_id": stream_id,
        "generation": generation,
        "url": without_query(url),
        "reason": _slug(reason),
        "since": rfc3339(since_ms),
        "never_read": never_read,
    }
    return _event(StreamEvent.UNREACHABLE, [stream_id, generation, since_ms], stream_id, data, deployment, now_ms)


def ended_event(
    stream_id: str,
    *,
    generation: int,
    reason: EndReason,
    detail: str = "",
    position: str = "",
    deployment: str,
    now_ms: int,
) -> str:
    """The event of a stream that is not watched any more.

    Args:
        detail: why it could not be read last.
        position: where it ended, by epoch and media sequence; a watch that goes on after its end may end again.

    Raises:
        SchemaError: it does not fit its schema.
    """
    data = {"stream_id": stream_id, "generation": generation, "reason": reason, "detail": _slug(detail)}
    return _event(StreamEvent.ENDED, [stream_id, generation, reason, position], stream_id, data, deployment, now_ms)


def _slug(reason: str) -> str:
    return re.sub(r"[^a-z0-9_]", "_", reason)[:40]


def _event(
    kind: StreamEvent,
    identity: list[str | int],
    stream_id: str | None,
    data: Mapping[str, Any],
    deployment: str,
    now_ms: int,
) -> str:
    event_id = derived_id(kind, *identity)
    return cloud_event(kind, event_id, subject=stream_id, data=data, deployment=deployment, now_ms=now_ms)
