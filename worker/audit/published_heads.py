"""The head of the audit log, published to operators: whoever cuts off the log's end cannot take back what was read.

It is published each hour, even while nothing happens, since events are kept for 30 days, and after each copy into the
store. Events are also lines of the workers' logs (worker/runtime/event_log.py).
"""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from redis import Redis

from worker.audit.redis_log import read_head
from worker.events.cloudevent import derived_id
from worker.events.operations import OPERATIONS, alert_operators
from worker.store.redis_client import now_ms, store_errors
from worker.store.redis_keys import TOLD

EVENT: Final = "livewarden.operations.audit_head.v1"

EVERY_MS: Final = 3_600_000
"""A cut that leaves the last published head cannot be seen: at most an hour's entries."""

_READ_AT_ONCE: Final = 1_000


@dataclass(frozen=True, kw_only=True)
class PublishedHead:
    """A head of the audit log as an event has it."""

    chain: str
    n: int
    hash: str
    published_ms: int


def publish_head(redis: Redis, *, deployment: str, copied: bool = False) -> bool:
    """Publishes the head, unless it was published in this hour, or, where entries have just been `copied`, after the
    same copy; returns whether it did.

    Raises:
        StoreError: Redis failed, or has no memory; it is published later.
    """
    with store_errors():
        head = read_head(redis)
        if not head.hash:
            return False
        now = now_ms(redis)
        cause = ("copied", head.copied_n) if copied else ("hour", now // EVERY_MS)
        event_id = derived_id(EVENT, deployment, head.chain, *cause)
        if redis.exists(TOLD.of(event_id)):
            return False
    copied_n = head.copied_n if head.copied_chain == head.chain else 0
    data = {"chain": head.chain, "n": head.n, "hash": head.hash, "copied_n": copied_n}
    return alert_operators(redis, EVENT, event_id, subject="audit", data=data, deployment=deployment, now_ms=now)


def published_heads(redis: Redis) -> Iterator[PublishedHead]:
    """Reads the heads that were published, the newest first; damaged events are skipped.

    Raises:
        StoreError: Redis failed.
    """
    last = "+"
    while True:
        with store_errors():
            found: list[Any] = redis.xrevrange(OPERATIONS, max=last, count=_READ_AT_ONCE) or []
        for entry_id, fields in found:
            text = str((fields or {}).get("event", ""))
            if EVENT not in text:
                continue
            with suppress(ValueError, KeyError, TypeError, RecursionError):
                event = json.loads(text)
                data = event["data"]
                if event["type"] == EVENT:
                    yield PublishedHead(
                        chain=str(data["chain"]),
                        n=int(data["n"]),
                        hash=str(data["hash"]),
                        published_ms=int(str(entry_id).partition("-")[0]),
                    )
        if len(found) < _READ_AT_ONCE:
            return
        last = f"({found[-1][0]}"
