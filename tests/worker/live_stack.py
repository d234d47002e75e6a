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

from process_tree import children_of
from redis import Redis


class CeleryProcess:
    """`celery -A worker.app worker|beat`, leading its own process group."""

    def __init__(
        self, role: str, environment: Mapping[str, str], folder: Path, *options: str, through: Sequence[str] = ()
    ) -> None:
        self.log = folder / f"{role}-{len(list(folder.glob('*.log')))}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [*through, sys.executable, "-m", "celery", "-A", "worker.app", role, *options],
                # Files that it keeps by default are below its home.
                env={**os.environ, "HOME": str(folder), **environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                cwd=folder,
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
    role: str, environment: Mapping[str, str], folder: Path, *options: str, through: Sequence[str] = ()
) -> Iterator[CeleryProcess]:
    """Runs one, and ends it with the block. `through`: a command that finally executes it."""
    process = CeleryProcess(role, environment, folder, *options, through=through)
    try:
        yield process
    finally:
        process.end()
