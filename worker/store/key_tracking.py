"""Keys that change in Redis, as the server tells a client that asked for them (CLIENT TRACKING).

This is exact and at once, where polling 10,000 incidents each second would take a tenth of Redis's time.

The messages have keys' names only. They come over a second connection, in the older protocol, in which redis-py gives
them out as messages of a channel.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from redis import ConnectionPool, Redis

from worker.errors import StoreError
from worker.store.redis_client import store_errors

CHANNEL: Final = "__redis__:invalidate"
MOST_AT_ONCE: Final = 5_000
"""Changed keys that one call returns: bounds what its caller reads next."""
MOST_UNANSWERED: Final = 5
"""Checks in a row that the connection which brings messages may leave unanswered. It may be dead and the server not
know: it has nothing to wait for, so no timeout ends it."""


class KeyTracking:
    """Follows changes of keys with given beginnings; made by `track_keys`."""

    def __init__(self, tracker: Any, listener: Any) -> None:
        self._tracker = tracker
        self._listener = listener
        self._lost = False
        self._unanswered = 0
        # The client connects again by itself, and says so to nobody else.
        for connection in (tracker.connection, listener.connection):
            connection.register_connect_callback(self._on_connect)

    def changed(self, wait_seconds: float) -> set[str] | None:
        """Waits for changes, and returns the keys that changed since the last call; empty: none did in that time. None:
        any may have changed (the database was flushed).

        Raises:
            StoreError: Redis failed, or the server forgot what it follows; track again, and read everything anew.
        """
        keys: set[str] = set()
        deadline = time.monotonic() + wait_seconds
        with store_errors():
            while len(keys) < MOST_AT_ONCE:
                # With something in hand, only what has arrived already is added.
                left = 0.0 if keys else max(0.0, deadline - time.monotonic())
                message = self._listener.get_message(ignore_subscribe_messages=True, timeout=left)
                if self._lost:
                    raise StoreError("Redis: the connection that follows changes was lost")
                if message is None:
                    if keys or time.monotonic() >= deadline:
                        return keys
                    continue
                self._unanswered = 0
                if message["type"] == "message":
                    if message["data"] is None:
                        return None
                    keys.update(message["data"])
        return keys

    def check(self) -> None:
        """Asks the server whether it still follows, and the connection that brings messages whether it still does;
        `changed` reads its answer.

        Raises:
            StoreError: Redis failed, or one of the two connections is another one by now, or brings nothing more:
                changes were lost.
        """
        with store_errors():
            known = self._tracker.execute_command("CLIENT", "TRACKINGINFO")
            if self._unanswered >= MOST_UNANSWERED:
                raise StoreError("Redis: the connection that brings changes does not answer")
            self._listener.ping()
            self._unanswered += 1
        flags = dict(zip(known[::2], known[1::2], strict=True))["flags"]
        if self._lost or "broken_redirect" in flags:
            raise StoreError("Redis: the connection that follows changes was lost")

    def _on_connect(self, _connection: object) -> None:
        self._lost = True


@contextmanager
def track_keys(redis: Redis, prefixes: Sequence[str]) -> Iterator[KeyTracking]:
    """Follows keys that begin with one of `prefixes`, none of which may begin with another.

    Raises:
        StoreError: Redis failed, or its user may not.
    """
    pool = redis.connection_pool
    options: dict[str, Any] = {
        name: value
        for name, value in pool.connection_kwargs.items()
        # Of the newer protocol alone.
        if not name.startswith("maint_notifications")
    }
    options["protocol"] = 2
    own: Any = Redis(connection_pool=ConnectionPool(connection_class=pool.connection_class, **options))
    try:
        with store_errors():
            listener = own.pubsub()
            listener.execute_command("CLIENT", "ID")
            listener_id = int(listener.connection.read_response())
            listener.subscribe(CHANNEL)
            tracker = own.client()
            given = [part for prefix in prefixes for part in ("PREFIX", prefix)]
            tracker.execute_command("CLIENT", "TRACKING", "ON", "REDIRECT", listener_id, "BCAST", *given)
            tracking = KeyTracking(tracker, listener)
        yield tracking
    finally:
        # A connection that goes back to a pool would go on tracking.
        own.connection_pool.disconnect()
