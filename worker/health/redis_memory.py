"""Publishes to operators that Redis's memory is full, or soon will be.

A Redis at its `maxmemory` refuses commands that take memory: no poll, no new segment, no message. Decisions, readers
and the results of moderation still work (worker/store/lua/, `allow-oom`), so without these events it may go unnoticed.
"""

from dataclasses import dataclass
from typing import Final, Self

from redis import Redis

from worker.events.cloudevent import cloud_event, derived_id
from worker.events.operations import OPERATIONS
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

FULL: Final = "livewarden.operations.redis_full.v1"
ROOM: Final = "livewarden.operations.redis_room.v1"

SCARCE: Final = 0.9
"""Share of `maxmemory` from which on (>=) an event is published."""

ENOUGH: Final = 0.8
"""Share below which (<) the shortage is over: a Redis that oscillates about the limit makes one event."""

PUBLISHED_EVERY_MS: Final = 3_600_000
"""Between two events of one kind: memory is scarce, or Redis refuses commands."""

TOLD: Final = redis_keys.REDIS_ROOM.name
"""Hash: `open` while the published shortage lasts, `scarce` and `refuses` when each was published last, in ms."""


@dataclass(frozen=True, kw_only=True)
class RedisMemory:
    """Redis's memory and its limit."""

    used_bytes: int
    """As Redis compares it with its limit: without buffers of replicas and of the append-only file."""
    limit_bytes: int
    """`maxmemory`; 0: none is set."""

    @property
    def full(self) -> bool:
        """Redis refuses commands that take memory."""
        return 0 < self.limit_bytes < self.used_bytes

    @property
    def scarce(self) -> bool:
        """It is full, or soon will be."""
        return 0 < SCARCE * self.limit_bytes <= self.used_bytes

    @property
    def enough(self) -> bool:
        """It is far from full."""
        return self.limit_bytes == 0 or self.used_bytes < ENOUGH * self.limit_bytes

    @classmethod
    def read(cls, redis: Redis) -> Self:
        """Reads the current state.

        Raises:
            RedisError: Redis failed.
        """
        memory = redis.info("memory")
        # Redis (evict.c, getMaxmemoryState) compares without these buffers.
        used = int(memory.get("used_memory", 0)) - int(memory.get("mem_not_counted_for_evict", 0))
        return cls(used_bytes=used, limit_bytes=int(memory.get("maxmemory", 0)))


def publish_redis_memory(redis: Redis, *, deployment: str) -> RedisMemory:
    """Publishes that Redis is full or soon will be, once an hour each, or that this is over; returns the state.

    It is published once by all workers together. It is not synced to disk: it will recur.

    Raises:
        RedisError: Redis failed.
    """
    room = RedisMemory.read(redis)
    published = redis.hmget(TOLD, "open")[0] is not None
    if room.scarce:
        _publish(redis, FULL, "refuses" if room.full else "scarce", room, deployment)
    elif published and room.enough:
        _publish(redis, ROOM, "room", room, deployment)
    return room


def _publish(redis: Redis, kind: str, how: str, room: RedisMemory, deployment: str) -> None:
    now = now_ms(redis)
    event_id = derived_id(kind, deployment, how, now)
    data: dict[str, object] = {"used_bytes": room.used_bytes, "limit_bytes": room.limit_bytes}
    if kind == FULL:
        data["refuses"] = room.full
    event = cloud_event(kind, event_id, subject="redis", data=data, deployment=deployment, now_ms=now)
    run_script(redis, "redis_room", keys=[TOLD, OPERATIONS], args=[how, event, PUBLISHED_EVERY_MS])
