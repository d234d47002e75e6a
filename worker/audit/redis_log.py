"""The audit log in Redis: entries that wait, linked ones, and the head."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

from redis import Redis
from redis.client import NEVER_DECODE
from redis.exceptions import ResponseError

from worker.audit.chain import LinkedEntry
from worker.store import redis_keys

UNLINKED: Final = redis_keys.AUDIT_UNLINKED.name
LINKED: Final = redis_keys.AUDIT.name
HEAD: Final = redis_keys.AUDIT_HEAD.name

_READ_AT_ONCE: Final = 500


@dataclass(frozen=True, kw_only=True)
class AuditHead:
    """The newest entry of the chain, and the newest one of the store. Missing fields are empty or 0."""

    chain: str = ""
    n: int = 0
    hash: str = ""
    linked_ms: int = 0
    last_id: str = ""
    """ID of the newest entry in Redis's stream."""
    taken: int = 0
    """Entries of `lw:audit:unlinked` that were ever linked, or noted as removed."""
    epoch: str = ""
    """Redis's epoch (worker/health/redis_epoch.py) at that time."""
    copied_id: str = "0-0"
    """ID in Redis's stream of the newest entry that is in the store."""
    copied_chain: str = ""
    copied_n: int = 0
    copied_hash: str = ""
    copied_ms: int = 0

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> Self:
        """Parses the hash. A damaged number counts as 0, and verification compares the entries anyway."""
        numbers = {name: _number(fields.get(name)) for name in ("n", "linked_ms", "taken", "copied_n", "copied_ms")}
        texts = {
            name: fields[name]
            for name in ("chain", "hash", "last_id", "epoch", "copied_id", "copied_chain", "copied_hash")
            if name in fields
        }
        return cls(**numbers, **texts)  # type: ignore[arg-type]


def read_head(redis: Redis) -> AuditHead:
    """Reads the head; without one its `hash` is empty.

    Raises:
        RedisError: Redis failed.
    """
    return AuditHead.of({str(name): str(value) for name, value in redis.hgetall(HEAD).items()})


def waiting(redis: Redis) -> tuple[int, int]:
    """Returns how many entries were ever appended, and how many of them wait to be linked. An entry that is removed
    lowers only the second number.

    Raises:
        RedisError: Redis failed.
    """
    answer = _information(redis, UNLINKED)
    return (0, 0) if answer is None else (int(answer["entries-added"]), int(answer["length"]))


def last_linked_id(redis: Redis) -> str:
    """The ID of the last entry that was ever linked, even if it was removed; empty: there is no such stream.

    Raises:
        RedisError: Redis failed.
    """
    answer = _information(redis, LINKED)
    return "" if answer is None else str(answer["last-generated-id"].decode())


def newest_linked(redis: Redis) -> LinkedEntry | None:
    """The newest linked entry; None: there is none, or it is damaged.

    Raises:
        RedisError: Redis failed.
    """
    found = undecoded(redis, "XREVRANGE", LINKED, "+", "-", "COUNT", 1)
    return LinkedEntry.of(_texts(found[0][1])) if found else None


def newest_entry(redis: Redis) -> tuple[AuditHead, LinkedEntry | None, str]:
    """The head, the newest linked entry and the ID of the last one ever, all of one time.

    Raises:
        RedisError: Redis failed.
    """
    head = read_head(redis)
    while True:
        newest, last_id = newest_linked(redis), last_linked_id(redis)
        if (again := read_head(redis)) == head:
            return head, newest, last_id
        head = again


@dataclass(frozen=True, kw_only=True)
class StoredEntry:
    """An entry of Redis's stream of linked ones."""

    id: str
    entry: LinkedEntry | None
    """None: its fields are damaged, or foreign."""
    fields: Mapping[str, str]


def read_linked(redis: Redis, *, after: str = "-", most: int | None = None) -> Iterator[StoredEntry]:
    """Reads linked entries in their order.

    Args:
        after: the ID after which (>) to begin.

    Raises:
        RedisError: Redis failed.
    """
    start = after if after == "-" else f"({after}"
    left = most
    while left is None or left > 0:
        count = _READ_AT_ONCE if left is None else min(left, _READ_AT_ONCE)
        found = undecoded(redis, "XRANGE", LINKED, start, "+", "COUNT", count) or []
        for entry_id, raw in found:
            fields = _texts(raw or {})
            yield StoredEntry(id=entry_id.decode(), entry=LinkedEntry.of(fields), fields=fields)
        if len(found) < count:
            return
        start = f"({found[-1][0].decode()}"
        left = None if left is None else left - count


def undecoded(redis: Redis, *command: str | int) -> Any:
    """Runs a command whose answer may have foreign data, which need not be UTF-8: texts are bytes.

    Raises:
        RedisError: Redis failed.
    """
    execute: Callable[..., Any] = redis.execute_command
    return execute(*command, **{NEVER_DECODE: True})


def _information(redis: Redis, stream: str) -> Any:
    try:
        # Entries are in the answer too.
        return undecoded(redis, "XINFO STREAM", stream)
    except ResponseError as error:
        if "no such key" not in str(error):
            raise
        return None


def _texts(raw: Mapping[bytes, bytes]) -> dict[str, str]:
    return {_text(name): _text(value) for name, value in raw.items()}


def _text(raw: bytes) -> str:
    return raw.decode("ascii", "backslashreplace")


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else 0
