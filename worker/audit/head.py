"""The head of the audit log in Redis: its newest entry, and how far it is copied into the store."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from redis import Redis

from worker.store import redis_keys

UNLINKED: Final = redis_keys.AUDIT_UNLINKED.name
LINKED: Final = redis_keys.AUDIT.name
HEAD: Final = redis_keys.AUDIT_HEAD.name


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


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isascii() and text.isdecimal() else 0
