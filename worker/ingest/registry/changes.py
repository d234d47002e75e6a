"""Changes of watched streams, published to operators whoever makes them: an unwatch or another purpose is also how an
insider would hide a stream."""

from dataclasses import dataclass
from typing import Any, Final, Self

from redis import Redis

from worker.events.cloudevent import cloud_event, derived_id
from worker.ingest.http.urls import without_query
from worker.store.redis_client import time_ms

CHANGED: Final = "livewarden.operations.stream_changed.v1"


@dataclass(frozen=True, kw_only=True)
class Author:
    """The author of a change, for its event."""

    deployment: str = "local"
    by: str = "command line"
    """Source of the change: `command line` or `intake`."""


@dataclass(frozen=True, kw_only=True)
class StreamBefore:
    """A stream's record before a change, for its event; the script checks that it has not changed since."""

    watched: bool
    url: str
    purpose: str
    generation: int
    now_ms: int
    """Redis's time when it was read."""

    @classmethod
    def read(cls, redis: Redis, key: str, over: frozenset[str]) -> Self:
        """The record in the hash `key`; `over`: states in which a stream is not watched."""
        with redis.pipeline(transaction=False) as pipe:
            pipe.hmget(key, "state", "url", "purpose", "generation")
            pipe.time()
            (state, url, purpose, generation), time = pipe.execute()
        return cls(
            watched=state is not None and str(state) not in over,
            url=str(url or ""),
            purpose=str(purpose or ""),
            generation=int(generation or 0),
            now_ms=time_ms(time),
        )

    def as_args(self) -> list[str]:
        """Arguments for the scripts."""
        return ["1" if self.watched else "0", self.url, self.purpose]


def change_event(
    stream_id: str,
    found: StreamBefore,
    author: Author,
    *,
    token: str,
    url: str | None = None,
    purpose: str | None = None,
) -> str:
    """The event, as JSON, of a watched stream's new URL and purpose, or without them of its unwatch; empty if nothing
    changed.

    Raises:
        SchemaError: it does not fit its schema.
    """
    if not found.watched:
        return ""
    changed = _changed(found, url, purpose)
    if not changed:
        return ""
    data: dict[str, Any] = {
        "stream_id": stream_id,
        "generation": found.generation,
        "changed": changed,
        "old": {"url": without_query(found.url), "purpose": found.purpose},
        "new": None if url is None or purpose is None else {"url": without_query(url), "purpose": purpose},
        "by": author.by,
    }
    event_id = derived_id(CHANGED, token)
    return cloud_event(
        CHANGED, event_id, subject=stream_id, data=data, deployment=author.deployment, now_ms=found.now_ms
    )


def _changed(found: StreamBefore, url: str | None, purpose: str | None) -> list[str]:
    if url is None or purpose is None:
        return ["unwatched"]
    changed = []
    if url != found.url:
        # A platform that signs its URLs anew changes only the query: readers of these events may ignore it.
        changed.append("query" if without_query(url) == without_query(found.url) else "url")
    if purpose != found.purpose:
        changed.append("purpose")
    return changed
