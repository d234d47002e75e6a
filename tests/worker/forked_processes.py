"""Processes that are forked from one which has imported everything: for tests that start, and kill, one after another.

Importing livewarden takes a second of CPU or two, which is longer than what most of them do.
"""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import BinaryIO, NoReturn

from commandserver import receive, send

END_SECONDS = 60


class Forked:
    """One forked process; its standard input and output are pipes."""

    def __init__(self, control: socket.socket, arguments: tuple[object, ...]) -> None:
        self._control = control
        self._status: int | None = None
        theirs_in, ours_in = os.pipe()
        ours_out, theirs_out = os.pipe()
        self.stdin: BinaryIO = os.fdopen(ours_in, "wb")
        self.stdout: BinaryIO = os.fdopen(ours_out, "rb")
        send(control, {"arguments": [str(one) for one in arguments]}, [theirs_in, theirs_out])
        self.pid = int(receive(control)[0]["pid"])
        os.close(theirs_in)
        os.close(theirs_out)

    def poll(self) -> int | None:
        """Exit status, negative for a signal; None: it goes on."""
        return self._end(os.WNOHANG)

    def wait(self) -> int:
        """Waits until it has ended, and closes its pipes; returns its exit status."""
        status = self._end(0)
        assert status is not None
        self.stdin.close()
        self.stdout.close()
        return status

    def kill(self) -> None:
        """Sends SIGKILL, unless it is known to have ended."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)

    def _end(self, options: int) -> int | None:
        if self._status is None:
            send(self._control, {"wait": self.pid, "options": options})
            self._status = receive(self._control)[0]["status"]
        return self._status


@contextmanager
def forking(program: str) -> Iterator[Callable[..., Forked]]:
    """Gives a function that forks a process for each call, which runs `main(*arguments)` of the program's text; those
    that go on at the end of the block are killed."""
    control, theirs = socket.socketpair()
    with control:
        with theirs:
            process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                pass_fds=[theirs.fileno()],
            )
        control.settimeout(END_SECONDS)
        try:
            send(control, {"program": program})
            receive(control)
            yield lambda *arguments: Forked(control, arguments)
        finally:
            control.close()
            process.wait(END_SECONDS)


def _become(main: Callable[..., None], arguments: list[str], descriptors: list[int]) -> NoReturn:
    for target, descriptor in enumerate(descriptors):
        os.dup2(descriptor, target)
        os.close(descriptor)
    status = 1
    try:
        main(*arguments)
        sys.stdout.flush()
        status = 0
    except BaseException:
        sys.excepthook(*sys.exc_info())  # type: ignore[arg-type]
    finally:
        os._exit(status)


def serve(control: socket.socket) -> None:
    """Forks at each request, or answers how a process has ended."""
    names: dict[str, object] = {"__name__": "program"}
    exec(compile(receive(control)[0]["program"], "program", "exec"), names)
    send(control, {"ready": True})
    running: set[int] = set()
    while True:
        try:
            request, descriptors = receive(control, descriptors=2)
        except EOFError:
            for pid in running:
                os.kill(pid, signal.SIGKILL)
            return
        if "wait" in request:
            pid, status = os.waitpid(request["wait"], request["options"])
            running.discard(pid)
            send(control, {"status": os.waitstatus_to_exitcode(status) if pid else None})
            continue
        pid = os.fork()
        if not pid:
            control.close()
            _become(names["main"], request["arguments"], descriptors)  # type: ignore[arg-type]
        running.add(pid)
        for descriptor in descriptors:
            os.close(descriptor)
        send(control, {"pid": pid})


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
