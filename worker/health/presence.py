"""Presence of workers and beats: each writes a sign of life every few seconds, which expires soon after it died.

A thread of a worker's main process, or of beat, writes the sign; whether its work goes on is visible in ticks and
polls.
"""

import json
import logging
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from importlib.metadata import version
from typing import Self

from redis import Redis
from redis.exceptions import RedisError

from worker.logs.failure_log import FailureLog
from worker.processes.periodic import periodic
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

_trouble = FailureLog(logging.getLogger(__name__))

LIFE_MS = 10_000
"""Life of a sign. A dead process is noticed within 10 s; one that is delayed for some seconds counts as alive."""

SIGN_SECONDS = 2.5
"""Between two signs: three may be lost."""

LISTED_MS = 3_600_000
"""After this a dead process's name is removed from its list."""

HOST = socket.gethostname()

list_key = redis_keys.PRESENT.of
sign_key = redis_keys.PRESENT_SIGN.of


class ProcessRole(StrEnum):
    """The role of a process."""

    WORKER = "worker"
    BEAT = "beat"


@dataclass(frozen=True, kw_only=True)
class Presence:
    """A live process."""

    role: str
    host: str
    pid: int
    started_ms: int
    """Time when it gave its first sign, in Redis's clock."""
    processes: int = 0
    """Pool processes of a worker; 0 for a beat."""
    queues: tuple[str, ...] = ()
    """Queues that a worker takes messages from."""
    unconfined: tuple[str, ...] = ()
    """Confinements of its decoder that could not be applied, in words."""
    version: str = ""
    """Livewarden's version."""
    idle_seconds: float = 0.0
    """For how long a worker has asked for no work although it could; 0: it asks, or is busy."""

    @property
    def name(self) -> str:
        """Identifies the process within its deployment."""
        return f"{self.host}:{self.pid}"

    @classmethod
    def of_this_process(
        cls, role: ProcessRole, *, processes: int = 0, queues: tuple[str, ...] = (), unconfined: tuple[str, ...] = ()
    ) -> Self:
        """This process, not yet started."""
        return cls(
            role=role,
            host=HOST,
            pid=os.getpid(),
            started_ms=0,
            processes=processes,
            queues=queues,
            unconfined=unconfined,
            version=version("livewarden"),
        )

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parses a sign, also of another version: unknown fields are ignored, missing ones defaulted.

        Raises:
            ValueError, TypeError, AttributeError: the text is not a sign.
        """
        known = {field.name for field in fields(cls)}
        found = {name: value for name, value in json.loads(text).items() if name in known}
        for name in ("queues", "unconfined"):
            found[name] = tuple(str(one) for one in found.get(name, ()))
        return cls(**found)


def give_sign(redis: Redis, presence: Presence) -> None:
    """Writes one sign of life.

    Raises:
        RedisError: Redis failed.
    """
    run_script(
        redis,
        "presence",
        keys=[list_key(presence.role), sign_key(presence.role, presence.name)],
        args=[presence.name, json.dumps(asdict(presence)), LIFE_MS, LISTED_MS],
    )


def remove_sign(redis: Redis, presence: Presence) -> None:
    """Removes the process immediately.

    Raises:
        RedisError: Redis failed; then its sign will expire.
    """
    with redis.pipeline(transaction=True) as pipe:
        pipe.zrem(list_key(presence.role), presence.name)
        pipe.delete(sign_key(presence.role, presence.name))
        pipe.execute()


def keep_present(
    redis: Redis,
    presence: Presence,
    stopping: threading.Event,
    *,
    idle_seconds: Callable[[], float] = lambda: 0.0,
    after_each: Callable[[], object] = lambda: None,
) -> None:
    """Writes signs of life until `stopping` is set, and then removes the process. Calls `after_each` with each sign."""

    def step() -> None:
        nonlocal presence
        if not presence.started_ms:
            presence = replace(presence, started_ms=now_ms(redis))
        give_sign(redis, replace(presence, idle_seconds=round(idle_seconds(), 1)))
        after_each()

    periodic(
        step,
        stopping,
        interval_seconds=SIGN_SECONDS,
        troubles=_trouble,
        failing="no sign of life",
        well_again="signs of life are given again",
        immediately=True,
    )
    with suppress(RedisError, OSError):
        remove_sign(redis, presence)


def present(redis: Redis, role: ProcessRole) -> list[Presence]:
    """All live processes of that role.

    Raises:
        RedisError: Redis failed.
    """
    now = now_ms(redis)
    # A sign far in the future is from before Redis's clock went back: a live process soon writes another one.
    names = redis.zrangebyscore(list_key(role), now - LIFE_MS, now + LIFE_MS)
    found = []
    for text in redis.mget([sign_key(role, str(name)) for name in names]) if names else ():
        with suppress(ValueError, TypeError, AttributeError):  # written by another version
            if text is not None:
                found.append(Presence.from_json(str(text)))
    return found
