"""The fork server: it has all libraries loaded, reads no byte of any stream, and forks the processes
that do.

System calls that it needs once it is confined: recvmsg and sendto on its control socket, fork (clone), kill and wait4
of what it forked, read, write, close, exit_group, and what `confine_decoder` makes in the process that it forks. That
process reads and writes its socket (recvmsg, recvfrom, sendto), reads its input (pread64), writes pictures (pwritev),
and has memory (mmap without code, munmap, mremap, brk, madvise), futex, clocks, getrandom, close, exit_group.
"""

import gc
import importlib
import json
import os
import pkgutil
import signal
import socket
from collections.abc import Callable, Sequence
from typing import NoReturn

import av
import cv2

from sampler.child.confine import confine_decoder, confine_fork_server
from sampler.child.control import DESCRIPTORS, END, FORK, NO_PROCESS, ORDER, READY, READY_BYTES

OPEN_FILES = 32
"""Descriptors of the fork server: three of /dev/null, the control socket, and what is on its way to a fork."""

Serve = Callable[[socket.socket], None]
"""Answers the requests that come over a socket, in a process of its own."""


def run_fork_server(serve: Serve, arguments: Sequence[str], *, prepare: Callable[[], None]) -> NoReturn:
    """Loads and confines, and forks on the parent's orders until it closes the socket.

    Args:
        serve: what a forked process does.
        prepare: is called before any is forked.
        arguments: descriptor of the control socket, process id of the parent, address space of a forked process over
            what is mapped now, in bytes.
    """
    descriptor, parent, memory_bytes = (int(argument) for argument in arguments)
    av.logging.set_level(None)
    cv2.setNumThreads(1)
    _import_all_of_av()
    prepare()
    control = socket.socket(fileno=descriptor)
    answer = os.pipe()
    unconfined = confine_fork_server(parent=parent, descriptors=OPEN_FILES)
    unconfined += _try_confinement(answer, memory_bytes)
    gc.collect()
    # Collected objects would be marked, and so copied, in each process that is forked.
    gc.freeze()
    gc.disable()
    control.send(READY + json.dumps(unconfined).encode())
    _obey(control, serve, memory_bytes, frozenset(unconfined))


def _try_confinement(answer: tuple[int, int], memory_bytes: int) -> list[str]:
    """Privileges that cannot be taken from a forked process, in words: found by one that reads no stream.

    Args:
        answer: both ends of a pipe, which are closed.
        memory_bytes: as for a process that decodes.
    """
    here = os.getpid()
    pid = os.fork()
    if not pid:
        try:
            os.write(answer[1], json.dumps(confine_decoder(parent=here, memory_bytes=memory_bytes)).encode())
        finally:
            os._exit(0)
    os.close(answer[1])
    unconfined = [str(reason) for reason in json.loads(os.read(answer[0], READY_BYTES))]
    os.close(answer[0])
    os.waitpid(pid, 0)
    return unconfined


def _obey(control: socket.socket, serve: Serve, memory_bytes: int, unconfined: frozenset[str]) -> NoReturn:
    here = os.getpid()
    number, pid = 0, 0
    while True:
        order, descriptors, _, _ = socket.recv_fds(control, ORDER.size, DESCRIPTORS)
        if len(order) != ORDER.size:
            os._exit(0)
        kind, of, _ = ORDER.unpack(order)
        value = NO_PROCESS
        if kind == END and pid and of == number:
            value, pid = _end(pid), 0
        elif kind == FORK:
            if pid:
                _end(pid)
            number, pid = of, 0
            try:
                value = pid = os.fork()
            except OSError as error:
                value = -(error.errno or 1)
            if not value:
                control.close()
                _work(serve, descriptors, here, memory_bytes, unconfined)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(ORDER.pack(kind, of, value))


def _end(pid: int) -> int:
    """Ends and reaps a forked process, whose id cannot be another's before that; its exit status. One that has already
    ended keeps its status."""
    os.kill(pid, signal.SIGKILL)
    _, status = os.waitpid(pid, 0)
    return os.waitstatus_to_exitcode(status)


def _work(serve: Serve, descriptors: list[int], server: int, memory_bytes: int, unconfined: frozenset[str]) -> NoReturn:
    """In the forked process: confines it, answers requests, and ends it."""
    status = 1
    try:
        # Reads nothing if it is less confined than the worker knows of.
        if unconfined.issuperset(confine_decoder(parent=server, memory_bytes=memory_bytes)):
            serve(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, descriptors[0]))
            status = 0
    finally:
        os._exit(status)


def _import_all_of_av() -> None:
    """PyAV imports some of its modules when it first meets a stream of their kind: too late here."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
