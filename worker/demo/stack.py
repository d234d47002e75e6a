"""The demo's processes: Valkey, a Celery worker, beat, the origin and the desk, started and ended together."""

import re
import shutil
import signal
import socket
import sys
import tempfile
import threading
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from time import monotonic
from typing import Self

from worker.demo.processes import Child
from worker.errors import DemoError
from worker.evidence.key_pair import make_key_pair
from worker.ingest.http.origins import entry_for
from worker.ingest.http.urls import target_of
from worker.people.actor import Actor, Role
from worker.people.changes import add_person
from worker.store.redis_client import connect

START_SECONDS = 30.0
"""Time for a process to report that it is ready; on an idle laptop it takes under 5 s, most of it the origin's first
segment."""
WORKERS_GRACE_SECONDS = 0.5
VALKEY_GRACE_SECONDS = 0.25
"""Time for the processes to end by themselves, and then for Valkey, before they are killed: what they have in hand goes
with the folder. Ctrl-C must end everything within 3 s, also on a busy machine."""
POLL_SECONDS = 0.05
DESK_HOST = "127.0.0.1"
REVIEWER = "demo"
"""The person who sees pictures, and decides at the desk, as its lead."""

_SETTINGS = "LIVEWARDEN_"


def allowed_for(url: str) -> list[str]:
    """Entries that allow the named host at its present addresses, and no other host that its playlist may name.

    Raises:
        FetchError: it is no URL that can be fetched.
    """
    target = target_of(url)
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except OSError:
        found = []  # the worker reports that it does not resolve
    addresses = [ip_address(str(sockaddr[0])) for *_, sockaddr in found]
    return list(dict.fromkeys([str(target), *(entry_for(address, target.port) for address in addresses)]))


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """The stop flag was set."""


class Stack:
    """All processes of one demo and the folder that they work in; a context manager that leaves none of it behind."""

    def __init__(
        self, *, environment: Mapping[str, str], url: str | None, stop: threading.Event, desk: bool = True
    ) -> None:
        """Starts nothing yet.

        Args:
            desk: starts a desk, with the reviewer as its lead.
            stop: when set, the next check of the processes raises Interrupted. A flag, since an exception from a signal
                handler may be raised where it is swallowed (a hook that runs at each fork, a destructor).
            environment: the variables of this process; the children inherit them, but for those that the demo sets.
            url: a stream of the user's own to watch; None: the demo's origin.
        """
        self._environment = dict(environment)
        self._own_url = url
        self._has_desk = desk
        self._stop = stop
        self._folder = Path(tempfile.mkdtemp(prefix="livewarden-demo-"))
        self._valkey: Child | None = None
        self._workers: list[Child] = []
        self._desk: Child | None = None
        self.reviewer: dict[str, str] = {}
        """The variables of the person who may see pictures; only they and their desk have the key."""
        self.redis_url = ""
        self.stream_url = ""

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        # The origin first: its first segment takes 4 s, during which the others start.
        if self._own_url is None:
            self._workers.append(self._run("origin", ["worker.demo.origin"]))
        self._valkey = self._run(
            "valkey", ["worker.demo.valkey", str(self._folder / "data")], when_orphaned=signal.SIGTERM
        )
        self.redis_url = self._ready(self._valkey)
        self._environment[f"{_SETTINGS}REDIS_URL"] = self.redis_url
        # These belong to another deployment: this Valkey has no users, and listens on loopback only.
        for name in ("REDIS_USERNAME", "REDIS_PASSWORD_FILE"):
            self._environment.pop(f"{_SETTINGS}{name}", None)
        self._environment[f"{_SETTINGS}DEPLOYMENT"] = "demo"
        self._environment[f"{_SETTINGS}STORE_URL"] = str(self._folder / "store")
        self._environment[f"{_SETTINGS}BANK_DIR"] = str(self._folder / "bank")
        self._make_keys()
        self.stream_url = self._ready(self._workers[0]) if self._own_url is None else self._own_url
        self._environment[f"{_SETTINGS}ALLOWED_ORIGINS"] = " ".join(allowed_for(self.stream_url))
        self._workers += [
            self._run("worker", ["celery", "-A", "worker.app", "worker", "--loglevel=INFO"]),
            self._run("beat", ["celery", "-A", "worker.app", "beat", "--loglevel=INFO"]),
        ]
        if self._has_desk:
            self._start_desk()

    def _start_desk(self) -> None:
        """Puts the reviewer on a roster, and starts the desk that they sign in to by a link."""
        with connect(self.redis_url) as redis:
            token = add_person(redis, REVIEWER, Role.LEAD, by=Actor.named(REVIEWER))
        file = self._folder / "reviewer" / "token"
        file.touch(mode=0o600)
        file.write_text(f"{token}\n")
        self.reviewer[f"{_SETTINGS}TOKEN_FILE"] = str(file)
        with socket.create_server((DESK_HOST, 0)) as free:
            place = f"{DESK_HOST}:{free.getsockname()[1]}"
        own = {"DESK_URL": f"http://{place}", "DESK_LISTEN": place, "DESK_PROXY_FROM": "", "DESK_PROXY_HEADER": ""}
        own["DESK_DATABASE_URL"] = f"sqlite:///{self._folder / 'reviewer' / 'desk.db'}"
        environment = self._environment | self.reviewer | {_SETTINGS + name: value for name, value in own.items()}
        self._desk = self._run("desk", ["worker.cli.main", "desk", "--link-for", REVIEWER], environment=environment)
        self._workers.append(self._desk)

    def desk_link(self) -> str | None:
        """The link that signs the reviewer in; None: the desk is not ready yet, or there is none."""
        found = None if self._desk is None else re.search(r"http://(\S+):(\d+)/enter/\S+", self._desk.answers())
        if found is None:
            return None
        try:
            socket.create_connection((found[1], int(found[2])), timeout=1).close()
        except OSError:
            return None
        return found[0]

    def _make_keys(self) -> None:
        """Makes a reviewer with a key pair, of which workers get the public key."""
        (self._folder / "reviewer").mkdir(mode=0o700)
        identity, recipients = self._folder / "reviewer" / "key", self._folder / "recipients"
        recipients.write_text(f"{make_key_pair(identity)}\n")
        # A key of the user's own would keep the worker from starting.
        self._environment.pop(f"{_SETTINGS}EVIDENCE_IDENTITY", None)
        self._environment[f"{_SETTINGS}EVIDENCE_RECIPIENTS"] = str(recipients)
        self._environment[f"{_SETTINGS}SPOOL_DIR"] = str(self._folder / "spool")
        shared = ("REDIS_URL", "STORE_URL", "SPOOL_DIR")
        self.reviewer = {f"{_SETTINGS}{name}": self._environment[f"{_SETTINGS}{name}"] for name in shared}
        self.reviewer[f"{_SETTINGS}EVIDENCE_IDENTITY"] = str(identity)

    def _run(
        self,
        name: str,
        module: list[str],
        when_orphaned: signal.Signals = signal.SIGKILL,
        environment: Mapping[str, str] | None = None,
    ) -> Child:
        return Child(
            name,
            [sys.executable, "-P", "-m", *module],
            folder=self._folder,
            environment=self._environment if environment is None else environment,
            when_orphaned=when_orphaned,
        )

    def _ready(self, child: Child) -> str:
        """Waits for the line in which a child prints its address."""
        deadline = monotonic() + START_SECONDS
        while (line := child.first_line()) is None:
            self.check()
            if monotonic() > deadline:
                raise DemoError(f"{child.name} was not ready within {START_SECONDS:.0f} s; its log:\n{child.log()}")
            self._stop.wait(POLL_SECONDS)
        return line

    def check(self) -> None:
        """Checks that the demo can continue.

        Raises:
            Interrupted: the stop flag was set.
            DemoError: one of the processes has ended; with the end of its log.
        """
        if self._stop.is_set():
            raise Interrupted
        for child in self._children():
            child.check()

    def worker_log(self) -> str:
        """The last lines of the worker's log."""
        return next((child.log() for child in self._workers if child.name == "worker"), "")

    def _children(self) -> list[Child]:
        return [*self._workers, *([] if self._valkey is None else [self._valkey])]

    def close(self) -> None:
        """Ends all processes within 3 s and removes the folder; may be called twice."""
        # Valkey goes last: a worker that loses it would wait for it to come back.
        valkey = [] if self._valkey is None else [self._valkey]
        for group, grace_seconds in ((self._workers, WORKERS_GRACE_SECONDS), (valkey, VALKEY_GRACE_SECONDS)):
            for child in group:
                child.ask_to_end()
            deadline = monotonic() + grace_seconds
            for child in group:
                child.wait_until(deadline)
            for child in group:
                child.kill()
        shutil.rmtree(self._folder, ignore_errors=True)
