"""The installed command `livewarden`, run as a user runs it."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from commandserver import receive, send

COMMAND = Path(sys.executable).with_name("livewarden")
SECONDS = 60
"""Limit of one run on a busy machine; a run takes 1 to 3 s."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    """The result of a run."""

    status: int
    out: str
    err: str

    @property
    def records(self) -> list[dict[str, Any]]:
        """Standard output as JSON, an object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    def of_type(self, name: str) -> list[dict[str, Any]]:
        """The records of one type."""
        return [record for record in self.records if record["type"] == name]

    @property
    def message(self) -> str:
        """The one line on stderr; fails if there is another, or a traceback."""
        (line,) = self.err.splitlines()
        assert line.startswith("livewarden: ")
        assert "Traceback" not in line
        return line.removeprefix("livewarden: ")


class CommandServer:
    """Runs commands as forks of one process that has everything loaded (`commandserver.py`)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def run(self, request: Mapping[str, object], descriptors: list[int], *, seconds: float) -> int:
        """Exit status of a run; raises subprocess.TimeoutExpired after `seconds`, once it has been killed."""
        with self._lock:
            sock = self._start()
            send(sock, request, descriptors)
            pid = receive(sock)[0]["pid"]
            sock.settimeout(seconds)
            try:
                answer, _ = receive(sock)
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                sock.settimeout(SECONDS)
                receive(sock)
                raise subprocess.TimeoutExpired(str(request["arguments"]), seconds) from None
            finally:
                sock.settimeout(None)
            return int(answer["status"])

    def _start(self) -> socket.socket:
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
        """Ends the process."""
        if self._socket is not None and self._process is not None:
            self._socket.close()
            self._process.wait(SECONDS)
        self._socket = None


COMMAND_SERVER = CommandServer()


def livewarden(
    *arguments: object,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    through: Sequence[str] = (),
) -> Ran:
    """Runs `livewarden` with `arguments`, without this process's livewarden settings.

    `through`: a command that finally executes it, as its own program.
    """
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIVEWARDEN_")}
    called = [str(COMMAND), *map(str, arguments)]
    variables = {**inherited, "COLUMNS": "200", **(environment or {})}
    with TemporaryFile() as out, TemporaryFile() as err, Path(os.devnull).open("rb") as nothing:
        if through:
            status = subprocess.run(
                [*through, *called],
                env=variables,
                cwd=folder,
                stdin=nothing,
                stdout=out,
                stderr=err,
                timeout=SECONDS,
                check=False,
            ).returncode
        else:
            request = {"arguments": called, "environment": variables, "folder": str(folder or Path.cwd())}
            descriptors = [nothing.fileno(), out.fileno(), err.fileno()]
            status = COMMAND_SERVER.run(request, descriptors, seconds=SECONDS)
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode())
    return Ran(status=status, out=texts[0], err=texts[1])
