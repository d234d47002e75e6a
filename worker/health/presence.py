"""Which workers and beats are there: each writes a sign of life every few seconds, which is gone soon after it died.

A sign comes from a thread of a worker's main process, or of beat; that its work goes on is seen by ticks and polls.
"""

import json
import logging
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from importlib.metadata import version
from typing import Any, Self

from redis import Redis
from redis.exceptions import RedisError

from worker.errors import StoreError
from worker.logs.failure_log import Troubles
from worker.store import redis_keys
from worker.store.redis_client import now_ms, run_script

_trouble = Troubles(logging.getLogger(__name__))

LIFE_MS = 10_000
"""Of a sign. Who died is missed within 10 s, and who is only held up for some seconds is not."""

SIGN_SECONDS = 2.5
"""Between two signs: three may be lost."""

LISTED_MS = 3_600_000
"""After which a dead process's name is dropped from its list."""

HOST = socket.gethostname()


class ProcessRole(StrEnum):
    """What a process is."""

    WORKER = "worker"
    BEAT = "beat"


@dataclass(frozen=True, kw_only=True)
class Presence:
    """A process that is there."""

    role: str
    host: str
    pid: int
    started_ms: int
    """When it gave its first sign, in Redis's clock."""
    processes: int = 0
    """That a worker moderates with; 0 for a beat."""
    queues: tuple[str, ...] = ()
    """That a worker takes messages from."""
    unconfined: tuple[str, ...] = ()
    """What could not be taken from its decoder, in words."""
    version: str = ""
    """Of livewarden."""

    @property
    def name(self) -> str:
        """Names the process among all of a deployment."""
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
        """Reads a sign, of another version too: unknown fields are ignored, missing ones defaulted.

        Raises:
            ValueError, TypeError, AttributeError: it is something else.
        """
        known = {field.name for field in fields(cls)}
        found = {name: value for name, value in json.loads(text).items() if name in known}
        for name in ("queues", "unconfined"):
            found[name] = tuple(str(one) for one in found.get(name, ()))
        return cls(**found)


def list_key(role: str) -> str:
    """Sorted set: names of processes by the time of their newest sign, in milliseconds of Redis's clock."""
    return redis_keys.PRESENT.of(role)


def sign_key(role: str, name: str) -> str:
    """A process's sign, JSON; gone when its life is over."""
    return redis_keys.PRESENT_SIGN.of(role, name)


def give_sign(redis: Redis, presence: Presence) -> None:
    """Gives one sign of life.

    Raises:
        RedisError: Redis failed.
    """
    run_script(
        redis,
        "presence",
        keys=[list_key(presence.role), sign_key(presence.role, presence.name)],
        args=[presence.name, json.dumps(asdict(presence)), LIFE_MS, LISTED_MS],
    )


def take_leave(redis: Redis, presence: Presence) -> None:
    """Is not there any more, and is known not to be at once.

    Raises:
        RedisError: Redis failed; then its sign's life will be over.
    """
    with redis.pipeline(transaction=True) as pipe:
        pipe.zrem(list_key(presence.role), presence.name)
        pipe.delete(sign_key(presence.role, presence.name))
        pipe.execute()


def keep_present(
    redis: Redis, presence: Presence, stopping: threading.Event, *, after_each: Callable[[], object] = lambda: None
) -> None:
    """Gives signs of life until `stopping` is set, and then takes leave. `after_each`: what is done with each sign."""
    pause = 0.0
    while not stopping.wait(pause):
        pause = SIGN_SECONDS
        try:
            if not presence.started_ms:
                presence = Presence(**vars(presence) | {"started_ms": now_ms(redis)})
            give_sign(redis, presence)
            after_each()
            _trouble.over("sign", "signs of life are given again")
        except (RedisError, StoreError, OSError) as error:
            _trouble.met("sign", "no sign of life: %s", error)
    with suppress(RedisError, OSError):
        take_leave(redis, presence)


def present(redis: Redis, role: ProcessRole) -> list[Presence]:
    """All of that role that are there.

    Raises:
        RedisError: Redis failed.
    """
    now = now_ms(redis)
    # A sign that lies far ahead is of before Redis's clock went back: who lives has given another one soon.
    names = redis.zrangebyscore(list_key(role), now - LIFE_MS, now + LIFE_MS)
    found = []
    for text in redis.mget([sign_key(role, str(name)) for name in names]) if names else ():
        with suppress(ValueError, TypeError, AttributeError):  # of another version
            if text is not None:
                found.append(Presence.from_json(str(text)))
    return found


def newest_sign_ms(entries: list[tuple[Any, float]] | Mapping[Any, float]) -> int:
    """Of what `ZRANGE list -1 -1 WITHSCORES` gives; 0 if there is none."""
    scores = [score for _, score in (entries.items() if isinstance(entries, Mapping) else entries)]
    return int(max(scores, default=0))
