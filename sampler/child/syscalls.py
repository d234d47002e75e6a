"""The system calls that a decoder may make, and the classic BPF program that holds it to them.

An allow list: whatever is not named fails with EPERM, so that a library that can live without it goes on. Found by
running all of tests/sampler under strace: decoding takes 22 calls, and those around them are here for other versions of
Python and of the C library, and for processors without a vDSO.
"""

import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Role = Literal["fork_server", "decoder"]
"""The fork server, which forks; and what it forks, which reads hostile bytes."""

AUDIT_ARCH: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
"""linux/audit.h."""

DECODER_CALLS: Final[Mapping[str, tuple[int | None, int | None]]] = {
    # Open descriptors. No open, no stat by path, no ioctl; no lseek, since the parent shares the position.
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "preadv2": (327, 286),
    "pwritev2": (328, 287),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    # The sockets that it was given. No socket, connect, bind or socketpair.
    "sendto": (44, 206),
    "sendmsg": (46, 211),
    "recvfrom": (45, 207),
    "recvmsg": (47, 212),
    "getsockname": (51, 204),
    "getpeername": (52, 205),
    "getsockopt": (55, 209),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    # Memory.
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    # Itself.
    "futex": (202, 98),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "restart_syscall": (219, 128),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "gettid": (186, 178),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getcpu": (309, 168),
    "getrusage": (98, 165),
    "exit": (60, 93),
    "exit_group": (231, 94),
    # Time and chance.
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "clock_nanosleep": (230, 115),
    "nanosleep": (35, 101),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "getrandom": (318, 278),
    "setitimer": (38, 103),
    # Sizes of its pages (`sampler/child/pages.py`).
    "prctl": (157, 167),
}
"""(number on x86_64, number on aarch64): asm/unistd_64.h and asm-generic/unistd.h."""

FORK_SERVER_CALLS: Final[Mapping[str, tuple[int | None, int | None]]] = {
    "clone": (56, 220),
    "fork": (57, None),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "kill": (62, 129),
    "pidfd_open": (434, 434),
    "prlimit64": (302, 261),
}
"""System calls of the fork server besides: to fork, end and reap its children, each of which confines itself."""

_PROT_EXEC = 0x4
_MADVISE = (4, 8, 14, 15)  # DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE
_FUTEX = (0, 1, 3, 4, 9, 10)  # WAIT, WAKE, REQUEUE, CMP_REQUEUE, WAIT_BITSET, WAKE_BITSET
_FUTEX_FLAGS = 128 | 256  # PRIVATE, CLOCK_REALTIME
_FCNTL = (0, 1, 2, 3, 1030, 1034)  # DUPFD, GETFD, SETFD, GETFL, DUPFD_CLOEXEC, GET_SEALS
_ITIMER_PROF = 2
_FORKS = (0x01200011, 0x11)  # SIGCHLD with CHILD_SETTID and CHILD_CLEARTID (glibc), or alone (musl)
_SIGKILL = 9
_PRCTL = (1, 22)  # SET_PDEATHSIG, SET_SECCOMP
PR_SET_THP_DISABLE: Final = 41
"""linux/prctl.h."""
_RLIMITS = (1, 4, 7, 9)  # FSIZE, CORE, NOFILE, AS
_ALL_BITS = 0xFFFFFFFF


@dataclass(frozen=True, kw_only=True)
class ArgumentCheck:
    """The value that an argument must have. The kernel reads 32 bits of those that are checked here, so the
    others do not matter; only of pointers both halves count."""

    argument: int
    among: tuple[int, ...] = ()
    """One of these, without the bits of `ignoring`; (): any."""
    ignoring: int = 0
    without: int = 0
    """None of these bits."""
    null: bool = False
    """A null pointer."""
    from_to: tuple[int, int] | None = None
    """[first, end)."""


CHECKS: Final[Mapping[str, tuple[ArgumentCheck, ...]]] = {
    # No new code: PyAV, OpenCV and NumPy make none, and all that is imported is mapped before.
    "mmap": (ArgumentCheck(argument=2, without=_PROT_EXEC),),
    "mprotect": (ArgumentCheck(argument=2, without=_PROT_EXEC),),
    "madvise": (ArgumentCheck(argument=2, among=_MADVISE),),
    "futex": (ArgumentCheck(argument=1, among=_FUTEX, ignoring=_FUTEX_FLAGS),),
    # SETFL would make the parent's own writes to the input append; SETOWN sends signals.
    "fcntl": (ArgumentCheck(argument=1, among=_FCNTL),),
    "sendto": (ArgumentCheck(argument=4, null=True),),
    # A process bounds its own CPU: it ends by the signal, which no other process gets.
    "setitimer": (ArgumentCheck(argument=0, among=(_ITIMER_PROF,)),),
    "clone": (ArgumentCheck(argument=0, among=_FORKS),),
    # A filter sees no relation between processes. One process, not a group nor all; Landlock, where it is there, keeps
    # it to our own children.
    "kill": (ArgumentCheck(argument=0, from_to=(2, 1 << 31)), ArgumentCheck(argument=1, among=(_SIGKILL,))),
    "prlimit64": (ArgumentCheck(argument=0, among=(0,)), ArgumentCheck(argument=1, among=_RLIMITS)),
}
_PRCTL_CHECKS: Final[Mapping[Role, ArgumentCheck]] = {
    "fork_server": ArgumentCheck(argument=0, among=(*_PRCTL, PR_SET_THP_DISABLE)),
    "decoder": ArgumentCheck(argument=0, among=(PR_SET_THP_DISABLE,)),
}
"""A decoder keeps what the fork server set for it."""

_LOAD, _AND, _JUMP, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x54, 0x05, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL_PROCESS, FAIL_WITH_EPERM = 0x7FFF0000, 0x80000000, 0x00050000 | 1
_X32_BIT = 0x40000000
"""Numbers of x86_64's x32 calls begin here; they would walk around the list."""
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
"""Offsets in struct seccomp_data (linux/seccomp.h)."""
_FARTHEST = 255
"""Distance of a conditional jump, which has eight bits."""

_Lines = list[bytes]


def filter_program(machine: str, role: Role) -> bytes:
    """The program for a machine of AUDIT_ARCH, as array of struct sock_filter {u16 code; u8 jt, jf; u32 k}.

    Calls of another architecture kill the process. Numbers are looked up in a binary tree: the kernel runs the program
    once for each of its 470 calls when it is installed, which a list would make several times as long.
    """
    calls = DECODER_CALLS if role == "decoder" else {**DECODER_CALLS, **FORK_SERVER_CALLS}
    checks = {**CHECKS, "prctl": (_PRCTL_CHECKS[role],)}
    column = 0 if machine == "x86_64" else 1
    numbered = sorted((pair[column], name) for name, pair in calls.items() if pair[column] is not None)
    lines = [
        _line(_LOAD, _ARCH_AT),
        _line(_EQUAL, AUDIT_ARCH[machine], true=1),
        _line(_RETURN, KILL_PROCESS),
        _line(_LOAD, _NUMBER_AT),
        _line(_AT_LEAST, _X32_BIT, false=1),
        _line(_RETURN, KILL_PROCESS),
        *_tree([(number or 0, checks.get(name, ())) for number, name in numbered]),
    ]
    return b"".join(lines)


def _tree(calls: Sequence[tuple[int, Sequence[ArgumentCheck]]]) -> _Lines:
    """By ascending number."""
    if len(calls) == 1:
        ((number, checks),) = calls
        return [_line(_EQUAL, number, true=1), _line(_RETURN, FAIL_WITH_EPERM), *_checked(checks)]
    middle = len(calls) // 2
    left, right = _tree(calls[:middle]), _tree(calls[middle:])
    pivot = calls[middle][0]
    if len(left) <= _FARTHEST:
        return [_line(_AT_LEAST, pivot, true=len(left)), *left, *right]
    return [_line(_AT_LEAST, pivot, false=1), _line(_JUMP, len(left)), *left, *right]


def _checked(checks: Iterable[ArgumentCheck]) -> _Lines:
    lines: _Lines = []
    for check in checks:
        low = _ARGUMENTS_AT + 8 * check.argument
        lines.append(_line(_LOAD, low))
        if check.without:
            lines += [_line(_ANY_BIT, check.without, false=1), _line(_RETURN, FAIL_WITH_EPERM)]
        if check.from_to is not None:
            first, end = check.from_to
            lines += [_line(_AT_LEAST, first, true=1), _line(_RETURN, FAIL_WITH_EPERM)]
            lines += [_line(_AT_LEAST, end, false=1), _line(_RETURN, FAIL_WITH_EPERM)]
        if check.null:
            for half in (low, low + 4):
                lines += [_line(_LOAD, half), _line(_EQUAL, 0, true=1), _line(_RETURN, FAIL_WITH_EPERM)]
        if check.ignoring:
            lines.append(_line(_AND, _ALL_BITS & ~check.ignoring))
        if check.among:
            lines += [
                *(_line(_EQUAL, value, true=len(check.among) - place) for place, value in enumerate(check.among)),
                _line(_RETURN, FAIL_WITH_EPERM),
            ]
    return [*lines, _line(_RETURN, ALLOW)]


def _line(code: int, value: int, *, true: int = 0, false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, true, false, value)
