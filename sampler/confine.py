"""What the decoder child gives up before it reads the first byte: Linux's means, by ctypes and the standard library.

Each step that is not available is told, not fatal: a laptop without seccomp still moderates.
"""

import ctypes
import mmap
import os
import platform
import resource
import signal
import struct
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_SET_NO_NEW_PRIVS = 38
SECCOMP_MODE_FILTER = 2

AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""linux/audit.h."""
DENIED = {
    # asm/unistd_64.h of x86_64, asm-generic/unistd.h of aarch64. Files, sockets, processes, and ways around.
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "open_by_handle_at": (304, 265),
    "creat": (85, None),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "listen": (50, 201),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fork": (57, None),
    "vfork": (58, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "kill": (62, 129),
    "tkill": (200, 130),
    "io_uring_setup": (425, 425),
    "bpf": (321, 280),
    "userfaultfd": (323, 282),
    "mount": (165, 40),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "prlimit64": (302, 261),
}
"""System calls that fail with EPERM from here on: (number on x86_64, number on aarch64)."""

LD_WORD, JUMP_EQUAL, JUMP_AT_LEAST, RETURN = 0x20, 0x15, 0x35, 0x06
ALLOW, KILL_PROCESS, FAIL_WITH_EPERM = 0x7FFF0000, 0x80000000, 0x00050000 | 1
X32_BIT = 0x40000000
"""Numbers of x86_64's x32 calls begin here; they would walk around the list."""


def confine_zygote(*, parent: int, descriptors: int) -> list[str]:
    """Gives up, once, what neither the prepared process nor those that it forks need; what could not be given up is
    returned in words.

    Args:
        parent: process id that started us; if it is gone already we end.
        descriptors: highest number of open files.
    """
    missing = []
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))
    if platform.system() != "Linux":
        return ["no parent-death signal: not Linux"]
    libc = _libc()
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != parent:
        os._exit(1)
    if libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0):
        missing.append("the process stays dumpable")
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0):
        missing.append("new privileges stay possible")
    return missing


def confine_decoder(*, parent: int, memory_bytes: int) -> list[str]:
    """Gives up the rest, in the process that reads hostile bytes; what could not be given up is returned in words.

    Args:
        parent: process id that forked us; if it is gone already we end.
        memory_bytes: address space that may be mapped over what is mapped now.
    """
    missing = []
    # An unlinked file is the one thing that could be written; a memfd is not bound by it only while we write through
    # it, so its bound is the address space that the parent maps.
    mapped = _mapped_bytes()
    if mapped is None:
        missing.append("memory is not bounded: /proc is not there")
    else:
        bound = mapped + memory_bytes
        resource.setrlimit(resource.RLIMIT_AS, (bound, bound))
    if platform.system() != "Linux":
        return [*missing, "no seccomp: not Linux"]
    libc = _libc()
    # The kernel clears it at a fork.
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) or os.getppid() != parent:
        os._exit(1)
    reason = _filter_system_calls(libc)
    return [*missing, reason] if reason else missing


def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    return libc


def has_room(count: int) -> bool:
    """Whether `count` more bytes can be had.

    Libraries that are refused memory often call the picture damaged; asked afterwards, this tells one from the other.
    """
    try:
        mmap.mmap(-1, max(count, 1)).close()
    except OSError:
        return False
    return True


def _mapped_bytes() -> int | None:
    """Address space in use."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None
    return pages * resource.getpagesize()


def _filter_system_calls(libc: ctypes.CDLL) -> str | None:
    """Installs the filter for this process; the reason if it cannot be."""
    machine = platform.machine()
    if machine not in AUDIT_ARCH:
        return f"no seccomp: not known on {machine}"
    program = filter_program(machine)
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    program_of = Program(len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.addressof(program_of), 0, 0):
        return f"no seccomp: {os.strerror(ctypes.get_errno())}"
    return None


def filter_program(machine: str) -> bytes:
    """The classic BPF program (linux/filter.h): struct sock_filter {u16 code; u8 jt, jf; u32 k}."""
    column = 0 if machine == "x86_64" else 1
    numbers = [pair[column] for pair in DENIED.values() if pair[column] is not None]

    def instruction(code: int, true: int, false: int, value: int) -> bytes:
        return struct.pack("=HBBI", code, true, false, value)

    count = len(numbers)
    lines = [
        instruction(LD_WORD, 0, 0, 4),
        instruction(JUMP_EQUAL, 1, 0, AUDIT_ARCH[machine]),
        instruction(RETURN, 0, 0, KILL_PROCESS),
        instruction(LD_WORD, 0, 0, 0),
        instruction(JUMP_AT_LEAST, count + 1, 0, X32_BIT),
        *(instruction(JUMP_EQUAL, count - place, 0, number or 0) for place, number in enumerate(numbers)),
        instruction(RETURN, 0, 0, ALLOW),
        instruction(RETURN, 0, 0, FAIL_WITH_EPERM),
    ]
    return b"".join(lines)
