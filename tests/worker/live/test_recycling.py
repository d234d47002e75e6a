"""Replacement of pool children after so many tasks: a real worker that replaces one every few seconds."""

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from hls_origin import LiveOrigin, eventually, segment_bytes
from live_stack import CeleryProcess, celery, findings
from redis import Redis

from models.bank.entries import ListSpec
from worker.bank import edits
from worker.bank.keys import FOLLOWERS
from worker.ingest.playlist.cursor import StreamState
from worker.ingest.registry.registration import register
from worker.ingest.registry.registry import watch
from worker.ingest.status import stream_status
from worker.policyload.watch import IN_FORCE
from worker.runtime.worker_process import WorkerProcess

SEGMENTS = 12


def left_behind(worker: CeleryProcess) -> list[str]:
    """Processes of the worker whose parent is gone."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            parent, session = int(fields[1]), int(fields[3])
            if session == worker.process.pid and parent == 1:
                found.append((entry / "cmdline").read_text())
        except (OSError, IndexError):
            continue
    return found


def pool_children(worker: CeleryProcess) -> set[int]:
    """Living pool children, without forks that become another program."""
    of_main = Path(f"/proc/{worker.process.pid}/cmdline").read_bytes()
    found = set()
    for pid in worker.children():
        with suppress(OSError):
            if Path(f"/proc/{pid}/cmdline").read_bytes() == of_main:
                found.add(pid)
    return found


def tasks_per_child(environment: dict[str, str]) -> int:
    """The app's setting, read in another process: importing the app here would disable core files for the whole
    suite."""
    program = "from worker.app import app; print(app.conf.worker_max_tasks_per_child)"
    command = [sys.executable, "-c", program]
    return int(subprocess.run(command, env=os.environ | environment, stdout=subprocess.PIPE, check=True).stdout)


def processes(redis: Redis, key: str) -> set[int]:
    """IDs of the processes that have reported themselves."""
    return {int(str(name).rpartition(":")[2]) for name in redis.hkeys(key)}


def test_replaced_children_lose_no_segment_and_leave_nothing_behind(
    redis: Redis, origin: LiveOrigin, environment: dict[str, str], tmp_path: Path
) -> None:
    """Every few hours a segment would be unmoderated or count as a process's death, or a decoder would stay behind."""
    assert tasks_per_child(environment) > 1_000
    for index in range(SEGMENTS):
        origin.add(f"{index}.ts", segment_bytes(card=index == 9), window=SEGMENTS)
    origin.ended = True
    watch(redis, register("s", origin.url, purpose="drill", url_template="", legal_basis=""))
    seen: set[int] = set()
    with celery("worker", environment, tmp_path, "--concurrency=2", "--max-tasks-per-child=3") as worker:

        def settled() -> bool:
            seen.update(pool_children(worker))
            record = stream_status(redis, "s")
            return record["state"] == StreamState.ENDED and record["pending_seconds"] == 0

        eventually(settled, within_seconds=120, what=worker.text)
        record = stream_status(redis, "s")
        assert record["moderated_seconds"] == record["elapsed_seconds"] == 2 * SEGMENTS, record["reasons"]
        assert record["reasons"] == {}
        assert len(seen) >= 4, "children were replaced, and more than once"
        eventually(lambda: not left_behind(worker), within_seconds=60, what=lambda: str(left_behind(worker)))
        living = pool_children(worker)
        eventually(lambda: processes(redis, IN_FORCE) <= living, within_seconds=60, what="who is gone is forgotten")
        eventually(
            lambda: processes(redis, FOLLOWERS) - {worker.process.pid} <= living,
            within_seconds=60,
            what="too",
        )
    assert len(findings(redis, "lw:escalations:high")) == 1
    assert "Traceback" not in worker.text()
    assert "WorkerLost" not in worker.text()


def test_a_process_that_ends_is_forgotten_immediately(process: WorkerProcess, redis: Redis) -> None:
    """For a minute and a half after each replacement `bank stats` would show a process that lags, and `doctor` a policy
    that no process has."""
    edits.create(redis, process.bank.in_force().bank, ListSpec(name="own"))
    process.warm_up()
    hashes = {FOLLOWERS, IN_FORCE}
    eventually(lambda: all(redis.hlen(key) == 1 for key in hashes), within_seconds=60, what="it says what it follows")
    process.leave()
    assert {key for key in hashes if redis.exists(key)} == set()
