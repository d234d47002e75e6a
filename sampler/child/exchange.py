"""One request, and the process that works on it and on little else."""

import _socket
import mmap
import select
import signal
import socket
import time
from contextlib import suppress
from io import FileIO
from typing import Any, BinaryIO

from sampler.child import wire
from sampler.child.answers import Bounds, Memory
from sampler.child.fork_server_handle import END_SECONDS, ForkServer, ForkServerError
from sampler.child.inputs import fill, memory_files, process_file, size_for_good

TYPES = frozenset(["more", "done", "error"])
"""Types of messages that answer a request."""


class DecoderProcess:
    """A process that decodes, with a socket that no other one has had or will have."""

    def __init__(self, fork_server: ForkServer, number: int) -> None:
        """Nothing happens yet."""
        self.pid: int | None = None
        """Process id, while it is there."""
        self.exit_status: int | None = None
        """Exit status, as `subprocess` gives it; None: unknown."""
        self.requests = 0
        """That it was sent."""
        self.sockets: tuple[_socket.socket, ...] = ()
        """Both ends of the socket."""
        self._fork_server = fork_server
        self._number = number
        self._file: FileIO | None = None
        self._certain = False
        self._ended = False

    def fork(self, deadline: float) -> None:
        """Starts it.

        Raises:
            DecoderUnavailableError: no process can be started here.
            ForkServerError, TimeoutError: the fork server failed.
        """
        # The plain sockets: those of `socket` are made of bare descriptors, which an exception in between would leak.
        self.sockets = _socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.pid = self._fork_server.fork(self._number, [self.sockets[1].fileno()], deadline=deadline)
        self._file = process_file(self.pid)
        if not self._fork_server.alive:
            # The process id may be another's by now. This process ended with the fork server.
            raise ForkServerError("the fork server ended")
        self._certain = True
        self.sockets[1].close()

    @property
    def fit(self) -> bool:
        """True if another request may be sent: it is alive, and has nothing more to send."""
        return self._fork_server.alive and not self._ended and not select.select([self.sockets[0]], [], [], 0)[0]

    def pause(self) -> None:
        """Stops it until its next request: one that was taken over takes no CPU from anybody meanwhile."""
        self._signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Undoes `pause`."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._file is not None and (self._certain or self._fork_server.alive):
            with suppress(OSError):
                signal.pidfd_send_signal(self._file.fileno(), number)

    def end(self) -> None:
        """Ends it for certain, and gives back all that was its. May be called twice."""
        try:
            self._end()
        except BaseException:
            # The time limit's exception, which comes once. The rest is done now or never.
            self._end()
            raise

    def _end(self) -> None:
        if not self._ended:
            self._signal(signal.SIGKILL)
            status = self._fork_server.end(self._number)
            if status is not None:
                self.exit_status = status
            elif self._file is not None:
                # It ends with the fork server, by the kernel's hand.
                select.select([self._file], [], [], END_SECONDS)
            self._ended = True
            self.pid = None
        for owned in (*self.sockets, self._file):
            if owned is not None:
                owned.close()


class Exchange:
    """A request and its answer, in memory that no other one has had or will have: so nothing has to be known of the
    requests before for this one's pictures to be its own."""

    def __init__(self, process: DecoderProcess, number: int, bounds: Bounds) -> None:
        """Nothing happens yet."""
        self.memory: Memory = {}
        self.began = time.monotonic()
        self._sock = process.sockets[0]
        self._number = number
        self._bounds = bounds
        self._deadline = self.began + bounds.limits.wall_seconds
        self._files: list[FileIO] = []
        self._pictures: list[FileIO] = []

    def begin(
        self, request: dict[str, Any], data: bytes | BinaryIO, init: bytes, before: tuple[bytes, bytes] = (b"", b"")
    ) -> None:
        """Sends the request; `before` is the init section of the segment before, and that segment, if it is needed."""
        self._pictures = memory_files(["livewarden-pictures"] * 2)
        for file in self._pictures:
            size_for_good(file, self._bounds.limits.batch_file_bytes)
        if isinstance(data, bytes | bytearray | memoryview):
            self._files = memory_files(["livewarden-input"])
            fill(self._files[0], (init, data))
            source = self._files[0].fileno()
        else:
            source = data.fileno()
        whole = request | {"number": self._number, "size": self._bounds.size_bytes, "init_size": len(init)}
        whole["recording"] = not self._files
        more: list[int] = []
        if before[1]:
            (file,) = memory_files(["livewarden-before"])
            self._files.append(file)
            fill(file, before)
            more.append(file.fileno())
            whole |= {"before_size": len(before[0]) + len(before[1]), "before_init_size": len(before[0])}
        self._sock.settimeout(END_SECONDS)
        with suppress(BrokenPipeError, ConnectionResetError):
            # A process that has ended already is noticed when it does not answer.
            wire.send(self._sock, whole, [source, *(file.fileno() for file in self._pictures), *more])

    def receive(self) -> dict[str, Any]:
        """The next message; the pictures in it are in `memory`.

        Raises:
            WireError: the process ended, or spoke nonsense.
            TimeoutError: it took too long for its whole answer.
        """
        message = wire.receive(self._sock, deadline=self._deadline, max_bytes=self._bounds.message_bytes)
        if message.get("number") != self._number or message.get("type") not in TYPES:
            raise wire.WireError("an answer to no request")
        file = message.get("file", 0)
        if isinstance(file, bool) or not isinstance(file, int) or not 0 <= file < len(self._pictures):
            raise wire.WireError("pictures in no file that there is")
        if message.get("pictures") and file not in self.memory:
            self.memory[file] = mmap.mmap(self._pictures[file].fileno(), 0, prot=mmap.PROT_READ)
        if message["type"] == "more" and not message.get("pictures"):
            raise wire.WireError("a message without pictures, and more to come")
        return message

    def go_on(self, *, paused_seconds: float) -> None:
        """Lets the process write over the pictures before the last ones. The time that we took is not its own."""
        self._deadline += paused_seconds
        self._sock.settimeout(END_SECONDS)
        wire.go_on(self._sock)

    def close(self) -> None:
        """Gives its memory back. May be called twice."""
        for file in (*self._files, *self._pictures):
            file.close()
        self.memory = {}
