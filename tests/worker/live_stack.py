"""Real workers, started as by an operator, on a Valkey of the test."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from process_server import PROCESS_SERVER, ServedProcess
from process_tree import children_of
from redis import Redis


class CeleryProcess:
    """`celery -A worker.app worker|beat`, leading its own process group."""

    process: subprocess.Popen[bytes] | ServedProcess

    def __init__(
        self,
        role: str,
        environment: Mapping[str, str],
        folder: Path,
        *options: str,
        through: Sequence[str] = (),
        fresh: bool = False,
    ) -> None:
        self.log = folder / f"{role}-{len(list(folder.glob('*.log')))}.log"
        # Files that it keeps by default are below its home.
        variables = {**os.environ, "HOME": str(folder), **environment}
        arguments = ["-A", "worker.app", role, *options]
        with self.log.open("wb") as log, Path(os.devnull).open("rb") as nothing:
            if fresh or through or not all(name.startswith("LIVEWARDEN_") for name in environment):
                self.process = subprocess.Popen(
                    [*through, sys.executable, "-m", "celery", *arguments],
                    env=variables,
                    stdin=nothing,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                    cwd=folder,
                )
            else:
                self.process = PROCESS_SERVER.start(
                    "celery",
                    arguments,
                    environment=variables,
                    folder=folder,
                    files=[nothing.fileno(), log.fileno(), log.fileno()],
                    new_session=True,
                )

    def children(self) -> list[int]:
        """Process IDs of its pool children."""
        return children_of(self.process.pid)

    def kill_group(self) -> None:
        """SIGKILL for the worker and all of its pool children together, as by the kernel's OOM killer or a power
        cut."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def end(self) -> None:
        """Warm shutdown, then SIGKILL if it does not end."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill_group()

    def text(self) -> str:
        return self.log.read_text(errors="replace")


def findings(redis: Redis, key: str) -> list[dict[str, Any]]:
    """The events on one of the queue's streams, without those of incidents that ended with their stream: upkeep
    publishes these a moment after the last segment."""
    events = [json.loads(fields["event"]) for _, fields in redis.xrange(key)]
    return [event for event in events if event["type"] != "livewarden.escalation.closed.v1"]


@contextmanager
def celery(
    role: str,
    environment: Mapping[str, str],
    folder: Path,
    *options: str,
    through: Sequence[str] = (),
    fresh: bool = False,
) -> Iterator[CeleryProcess]:
    """Runs one, and ends it with the block.

    Args:
        through: a command that finally executes it.
        fresh: starts a Python of its own, as for a test of the start, or of what /proc shows. Else it is forked from a
            process that has imported everything, unless it gets variables that Python or its libraries read at a start.
    """
    process = CeleryProcess(role, environment, folder, *options, through=through, fresh=fresh)
    try:
        yield process
    finally:
        process.end()
