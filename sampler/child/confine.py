"""Confinement of the decoder before it reads the first byte: Linux's means, by ctypes and the standard library.

Confined means resource limits, no new privileges and a filter of system calls; what of these is not available is
returned in words, and not fatal. Landlock is extra: it holds where the filter cannot look, and a kernel without it
leaves nothing missing.
"""

import ctypes
import os
import platform
import resource
import signal
import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sampler.child.syscalls import AUDIT_ARCH, Role, filter_program
from sampler.limits import Limits

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2
LANDLOCK_CREATE_RULESET = 444
LANDLOCK_RESTRICT_SELF = 446
LANDLOCK_VERSION = 1
"""Flag: gives the version of its interface."""

FILE_BYTES: Final = Limits().batch_file_bytes
"""Size of one file or memfd that may be written."""
DECODER_DESCRIPTORS: Final = 16
"""With FILE_BYTES, the bound for what is in memfds. A decoder has nine: three of /dev/null, sockets, the input, the
segment before and pictures."""
FIRST_VICTIM: Final = "1000"
"""The kernel's first choice where memory runs out (proc(5), oom_score_adj): not the worker or a foreign process."""


class _Program(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


@dataclass(frozen=True, kw_only=True)
class _Prepared:
    """Data that a decoder needs to confine itself, read before the fork: afterwards files are out of its reach."""

    libc: ctypes.CDLL | None
    """None: not Linux."""
    mapped_bytes: int | None
    """Address space in use, None where there is no /proc."""
    program: "_Filter | str"
    """The filter of system calls; or the reason why there is none."""


class _Filter:
    """A filter program where the kernel finds it."""

    def __init__(self, machine: str, role: Role) -> None:
        program = filter_program(machine, role)
        self._lines = ctypes.create_string_buffer(program, len(program))
        self._program = _Program(len(program) // 8, ctypes.addressof(self._lines))
        self.address = ctypes.addressof(self._program)


_prepared: _Prepared | None = None


def confine_fork_server(*, parent: int, descriptors: int, file_bytes: int = FILE_BYTES) -> list[str]:
    """Gives up, once, what neither the fork server nor the processes that it forks need; what could not be given up is
    returned in words.

    From here on it forks, reaps and ends its children, and talks over the sockets that it has; it opens nothing.

    Args:
        parent: process id that started us; if it is gone already we end.
        descriptors: highest number of open files.
        file_bytes: size of the largest file or memfd that may be written.
    """
    global _prepared
    missing = []
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    # Over the bound a write fails instead of ending the process.
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
    _prepared = _prepare()
    with suppress(OSError):
        # Inherited by what is forked. Any process may become a likelier victim.
        Path("/proc/self/oom_score_adj").write_text(FIRST_VICTIM)
    libc = _prepared.libc
    if libc is None:
        return ["no parent-death signal: not Linux"]
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != parent:
        os._exit(1)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        missing.append("the process stays dumpable")
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        missing.append("new privileges stay possible")
    landlock_version(restrict=True)
    machine = platform.machine()
    if machine in AUDIT_ARCH:
        reason = _install(libc, _Filter(machine, "fork_server"))
        missing += [f"{reason} (fork server)"] if reason else []
    return missing


def confine_decoder(*, parent: int, memory_bytes: int) -> list[str]:
    """Gives up the rest, in the process that reads hostile bytes; what could not be given up is returned in words.

    Of `confine_fork_server`, before, it takes what it needs: five system calls are left.

    Args:
        parent: process id that forked us; if it is gone already we end.
        memory_bytes: address space that may be mapped over what was mapped when the fork server was confined.
    """
    prepared = _prepared if _prepared is not None else _prepare()
    missing = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (DECODER_DESCRIPTORS, DECODER_DESCRIPTORS))
    if prepared.mapped_bytes is None:
        missing.append("memory is not bounded: /proc is not there")
    else:
        bound = prepared.mapped_bytes + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    if prepared.libc is None:
        return [*missing, "no seccomp: not Linux"]
    # The kernel clears it at a fork.
    if prepared.libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != parent:
        os._exit(1)
    reason = prepared.program if isinstance(prepared.program, str) else _install(prepared.libc, prepared.program)
    return [*missing, reason] if reason else missing


def landlock_version(*, restrict: bool = False) -> int:
    """Version of Landlock's interface that the kernel has, 0 without one.

    Args:
        restrict: denies this process, for good, each right of that version that we know: to files by path, to TCP
            ports, to abstract sockets and signals of processes outside. PR_SET_NO_NEW_PRIVS has to come before.
    """
    libc = _libc()
    version = int(libc.syscall(LANDLOCK_CREATE_RULESET, 0, 0, LANDLOCK_VERSION))
    if version < 1 or not restrict:
        return max(version, 0)
    # linux/landlock.h: struct landlock_ruleset_attr {u64 handled_access_fs, handled_access_net, scoped}.
    files = 13 + (version >= 2) + (version >= 3) + (version >= 5)  # + REFER, TRUNCATE, IOCTL_DEV
    ports = 2 if version >= 4 else 0
    scopes = 2 if version >= 6 else 0
    rules = ctypes.create_string_buffer(struct.pack("=3Q", *((1 << count) - 1 for count in (files, ports, scopes))), 24)
    ruleset = int(libc.syscall(LANDLOCK_CREATE_RULESET, ctypes.addressof(rules), len(rules), 0))
    if ruleset < 0:
        return 0
    refused = libc.syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0, 0)
    os.close(ruleset)
    return 0 if refused else version


def _prepare() -> _Prepared:
    machine = platform.machine()
    linux = platform.system() == "Linux"
    return _Prepared(
        libc=_libc() if linux else None,
        mapped_bytes=_mapped_bytes(),
        program=_Filter(machine, "decoder") if machine in AUDIT_ARCH else f"no seccomp: not known on {machine}",
    )


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    libc.syscall.argtypes = [ctypes.c_long, *[ctypes.c_ulong] * 3]
    libc.syscall.restype = ctypes.c_long
    return libc


def _mapped_bytes() -> int | None:
    """Address space in use."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None
    return pages * resource.getpagesize()


def _install(libc: ctypes.CDLL, program: _Filter) -> str | None:
    """Holds this process, for good, to the filter; the reason if it cannot be."""
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program.address, 0, 0):
        return f"no seccomp: {os.strerror(ctypes.get_errno())}"
    return None
