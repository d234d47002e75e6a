"""The worker's handle on its fork server, from which one decoder process is forked for each request."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from sampler.child.control import END, FORK, NO_PROCESS, ORDER, READY, READY_BYTES
from sampler.errors import DecoderUnavailableError
from sampler.limits import MIB

START_SECONDS = 30.0
"""To import FFmpeg and OpenCV on a loaded machine; it takes 0.3 s."""
END_SECONDS = 5.0
"""For the kernel to end a process, on a loaded machine; it takes a millisecond."""
KEPT_MEMORY = {"MALLOC_MMAP_THRESHOLD_": str(32 * MIB), "MALLOC_TRIM_THRESHOLD_": str(64 * MIB)}
"""glibc else gives the memory of each picture back and has the kernel clear it again for the next one."""
ENVIRONMENT = {
    "PATH": os.defpath,
    "LC_ALL": "C.UTF-8",
    "PYTHONDONTWRITEBYTECODE": "1",
    "OMP_NUM_THREADS": "1",
    # A name that is bound at its first call would be bound again in each forked process; and a new heap, which each of
    # them has, is cheaper by huge pages: together 700 of 2,500 page faults a fork.
    "LD_BIND_NOW": "1",
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
    **KEPT_MEMORY,
}
"""All that the decoder sees of the environment: no secrets, no settings."""
PROGRAM = (sys.executable, "-s", "-P", "-m", "sampler.child.process")
"""The module of the decoder, by this interpreter."""


class ForkServerError(Exception):
    """The fork server ended, or is stuck. Never leaves this package."""


class ForkServer:
    """A fork server, started at first use (so after any fork of the worker) and again after it died.

    Whatever interrupts a call leaves an object whose next call, `fork` or `close`, works as it should.
    """

    def __init__(self, *, memory_bytes: int, program: Sequence[str] = PROGRAM) -> None:
        self.unconfined: tuple[str, ...] = ()
        """Privileges that this machine could not take from the fork server, in words; known once it is started."""
        self._program = program
        self._memory_bytes = memory_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._owner = os.getpid()

    @property
    def pid(self) -> int | None:
        """Process id, None while there is none."""
        return self._process.pid if self._process is not None else None

    @property
    def alive(self) -> bool:
        """True while it has not ended. Until then no other process can have reaped what it forked."""
        return self._process is not None and self._owner == os.getpid() and self._process.poll() is None

    def start(self) -> None:
        """Starts it, if there is none.

        Raises:
            DecoderUnavailableError: it cannot be started here.
        """
        if self.alive and self._control is not None:
            return
        self.close()
        self._owner = os.getpid()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - a module of this package, by this interpreter
                    [*self._program, str(theirs.fileno()), str(os.getpid()), str(self._memory_bytes)],
                    env=ENVIRONMENT | {"PYTHONPATH": str(Path(__file__).parents[2])},
                    pass_fds=[theirs.fileno()],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
            ours.settimeout(START_SECONDS)
            ready = ours.recv(READY_BYTES)
            if ready[: len(READY)] != READY:
                raise ForkServerError("the fork server ended while it started")
            self.unconfined = tuple(str(reason) for reason in json.loads(ready[len(READY) :]))
            self._control = ours
        except (OSError, ValueError, ForkServerError) as error:
            raise DecoderUnavailableError("the decoder child could not be started") from error
        finally:
            if self._control is not ours:
                ours.close()
                self.close()

    def fork(self, number: int, descriptors: Sequence[int], *, deadline: float) -> int:
        """Process id of a new process that works on a request, with copies of the descriptors.

        Raises:
            ForkServerError: the fork server has ended, and what it forked with it.
            TimeoutError: it is stuck, and was ended.
            DecoderUnavailableError: it may not fork.
        """
        with self._ending_what_fails():
            control = self._control
            if control is None:
                raise ForkServerError("there is no fork server")
            control.settimeout(END_SECONDS)
            socket.send_fds(control, [ORDER.pack(FORK, number, 0)], descriptors)
            pid = self._reply(FORK, number, deadline)
        if pid <= 0:
            raise DecoderUnavailableError(f"the decoder child could not be forked: {os.strerror(-pid)}")
        return pid

    def end(self, number: int) -> int | None:
        """Ends the process of a request and waits until it is reaped; its exit status, negative for a signal's number,
        None where it is not known. If the fork server fails at that, it is ended itself, and each process that it
        forked with it."""
        if not self.alive or self._control is None:
            return None
        try:
            with self._ending_what_fails():
                self._control.settimeout(END_SECONDS)
                self._control.send(ORDER.pack(END, number, 0))
                status = self._reply(END, number, time.monotonic() + END_SECONDS)
        except (ForkServerError, TimeoutError):
            return None
        return None if status == NO_PROCESS else status

    def close(self) -> None:
        """Ends it. May be called twice, and in a forked process, where it leaves the other's alone."""
        process, control = self._process, self._control
        if control is not None:
            control.close()
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
        self._process, self._control = None, None

    def _reply(self, kind: bytes, number: int, deadline: float) -> int:
        """The value of the reply to one order; replies to earlier ones, whose sender was interrupted, are skipped."""
        assert self._control is not None
        while True:
            self._control.settimeout(max(deadline - time.monotonic(), 0.001))
            reply = self._control.recv(ORDER.size)
            if len(reply) != ORDER.size:
                raise ForkServerError("the fork server ended")
            kind_of_reply, of, value = ORDER.unpack(reply)
            if (kind_of_reply, of) == (kind, number):
                return int(value)

    @contextmanager
    def _ending_what_fails(self) -> Iterator[None]:
        try:
            yield
        except TimeoutError:
            self.close()
            raise
        except OSError as error:
            self.close()
            raise ForkServerError("the fork server ended") from error
        except ForkServerError:
            self.close()
            raise
