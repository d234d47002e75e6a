"""Processes of livewarden that are forked from one which has imported everything (`commandserver.py`).

Each is a real process, with its own environment, folder, output and exit status. Only its command line, and what
`/proc` shows as its environment, are those of the process that it was forked from.
"""

import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from commandserver import receive, send

END_SECONDS = 60


class ServedProcess:
    """One such process, with the interface of subprocess.Popen."""

    def __init__(self, server: "ProcessServer", pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._server = server
        self._descriptor = os.pidfd_open(pid)
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        """Exit status, negative for a signal; None: it goes on."""
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        """Waits for its end, and returns its exit status.

        Raises:
            subprocess.TimeoutExpired: it goes on.
        """
        status = self._ended(timeout)
        if status is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it is known to have ended."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def terminate(self) -> None:
        """Sends it SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Sends it SIGKILL."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, seconds: float | None) -> int | None:
        with self._lock:
            if self.returncode is None and _is_readable(self._descriptor, seconds):
                self.returncode = self._server.status_of(self.pid)
                os.close(self._descriptor)
            return self.returncode


def _is_readable(descriptor: int, seconds: float | None) -> bool:
    """As the descriptor of a process is once that has ended."""
    poll = select.poll()  # select() takes no descriptor above 1023
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


class ProcessServer:
    """The process from which they are forked; it is started for the first of them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def start(
        self,
        program: str,
        arguments: Sequence[str],
        *,
        environment: Mapping[str, str],
        folder: Path | None,
        files: Sequence[int],
        new_session: bool = False,
    ) -> ServedProcess:
        """Starts `livewarden` or `celery`; `files`: descriptors of its standard input, output and errors."""
        request = {
            "program": program,
            "arguments": list(arguments),
            "environment": dict(environment),
            "folder": str(folder or Path.cwd()),
            "new_session": new_session,
        }
        return ServedProcess(self, int(self._ask(request, files)["pid"]))

    def status_of(self, pid: int) -> int:
        """Exit status of a process that has ended."""
        return int(self._ask({"ended": pid})["status"])

    def _ask(self, request: Mapping[str, object], files: Sequence[int] = ()) -> dict:
        with self._lock:
            sock = self._started()
            send(sock, request, list(files))
            return receive(sock)[0]

    def _started(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair()
            with theirs:
                self._process = subprocess.Popen(
                    [sys.executable, Path(__file__).with_name("commandserver.py"), str(theirs.fileno())],
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                )
            receive(self._socket)
        return self._socket

    def close(self) -> None:
        """Ends it, and leaves what was forked from it and goes on to whoever looks for orphans."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait(END_SECONDS)
        self._socket = None


PROCESS_SERVER = ProcessServer()
