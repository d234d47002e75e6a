"""Attacks by a compromised process, each system call by its number; run as `python attacks.py MODE`.

A parent stands in for a worker: not as root, if it may choose, and dumpable; it has mapped a file, and has a second
child beside the attacker. MODE says which rights the attacker gave up before: "nothing", "landlock" (that alone),
"fork_server" or "decoder". Prints JSON: {"missing": [...], "outcomes": {attempt: errno, 0 for success}, ...}.
"""

import ctypes
import json
import mmap
import os
import platform
import signal
import sys
from pathlib import Path

from sampler.child.confine import confine_decoder, confine_fork_server, landlock_version

NOBODY = 65534
COLUMN = {"x86_64": 0, "aarch64": 1}.get(platform.machine(), 0)
PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS = 4, 38

BARE = """
open 2 -, openat 257 56, openat2 437 437, creat 85 -, stat 4 -, newfstatat 262 -, statx 332 291, access 21 -,
faccessat 269 48, faccessat2 439 439, readlink 89 -, readlinkat 267 78, getdents64 217 61, chown 92 -, fchown 93 55,
fchownat 260 54, rename 82 -, renameat 264 38, renameat2 316 276, unlink 87 -, unlinkat 263 35, rmdir 84 -,
fsetxattr 190 7, lsetxattr 189 6, getxattr 191 8, utimensat 280 88, chdir 80 49, fchdir 81 50, chroot 161 51,
getcwd 79 17, inotify_init1 294 26, fanotify_init 300 262, name_to_handle_at 303 264, open_by_handle_at 304 265,
flock 73 32, fallocate 285 47, fsync 74 82, fchmod 91 52, sendfile 40 71, splice 275 76, vmsplice 278 75, tee 276 77,
copy_file_range 326 285, lseek 8 62, umask 95 166, socket 41 198, socketpair 53 199, connect 42 203, bind 49 200,
listen 50 201, accept 43 202, accept4 288 242, setsockopt 54 208, shutdown 48 210, ioctl 16 29, pipe2 293 59,
eventfd2 290 19, signalfd4 289 74, timerfd_create 283 85, epoll_create1 291 20, execve 59 221, execveat 322 281,
clone3 435 435, unshare 272 97, setns 308 268, ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271,
process_madvise 440 440, kcmp 312 272, pidfd_getfd 438 438, pidfd_send_signal 424 424, rt_sigqueueinfo 129 138,
rt_tgsigqueueinfo 297 240, setpriority 141 140, sched_setaffinity 203 122, sched_setscheduler 144 119, shmat 30 196,
shmctl 31 195, msgget 68 186, semget 64 190, mq_unlink 241 181, io_uring_setup 425 425, bpf 321 280,
userfaultfd 323 282, perf_event_open 298 241, keyctl 250 219, add_key 248 217, request_key 249 218, mount 165 40,
umount2 166 39, pivot_root 155 41, fsopen 430 430, fsconfig 431 431, fsmount 432 432, open_tree 428 428,
move_mount 429 429, mount_setattr 442 442, memfd_secret 447 447, pkey_mprotect 329 288, remap_file_pages 216 234,
mlock 149 228, mlockall 151 230, mbind 237 235, migrate_pages 256 238, set_mempolicy 238 237, personality 135 92,
arch_prctl 158 -, modify_ldt 154 -, setuid 105 146, setgid 106 144, setgroups 116 159, setsid 112 157,
setpgid 109 154, capset 126 91, seccomp 317 277, landlock_create_ruleset 444 444, landlock_restrict_self 446 446,
timer_create 222 107, setitimer 38 103, syslog 103 116, sethostname 170 161
"""
"""System calls that a decoder never needs, without arguments: a filter decides before the kernel reads them."""

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
_held: list[object] = []


def text(value: str) -> int:
    """The address of a C string."""
    _held.append(ctypes.create_string_buffer(value.encode()))
    return ctypes.addressof(_held[-1])  # type: ignore[arg-type]


def attempts(parents_file: str, sibling: int) -> dict[str, tuple[tuple[int | None, int | None], tuple[int, ...]]]:
    """Attempts by name: number on x86_64 and on aarch64, and arguments."""
    kept, here, name = text("kept"), -100 & (2**64 - 1), text("new")
    page = ctypes.addressof(ctypes.c_char.from_buffer(mapped := mmap.mmap(-1, 4096)))
    _held.append(mapped)
    # PROT_READ, WRITE, EXEC are 1, 2, 4; MAP_PRIVATE | MAP_ANONYMOUS is 0x22.
    return {
        "truncate what the parent has mapped": ((76, 45), (text(parents_file), 0)),
        "truncate": ((76, 45), (kept, 0)),
        "kill a sibling": ((62, 129), (sibling, signal.SIGKILL)),
        "interrupt a sibling": ((62, 129), (sibling, signal.SIGURG)),
        "tgkill": ((234, 131), (sibling, sibling, signal.SIGURG)),
        "tkill": ((200, 130), (sibling, signal.SIGURG)),
        "chmod": ((90, None), (kept, 0o600)),
        "fchmodat": ((268, 53), (here, kept, 0o600)),
        "link": ((86, None), (kept, text("link"))),
        "linkat": ((265, 37), (here, kept, here, text("linkat"), 0)),
        "symlink": ((88, None), (kept, text("symlink"))),
        "symlinkat": ((266, 36), (kept, here, text("symlinkat"))),
        "mkdir": ((83, None), (text("folder"), 0o700)),
        "mkdirat": ((258, 34), (here, text("folderat"), 0o700)),
        "mknod": ((133, None), (text("fifo"), 0o010600, 0)),
        "mknodat": ((259, 33), (here, text("fifoat"), 0o010600, 0)),
        "setxattr": ((188, 5), (kept, text("user.livewarden"), name, 3, 0)),
        "shmget": ((29, 194), (0, 4096, 0o600)),
        "mq_open": ((240, 180), (text("livewarden-test"), 0o2, 0o600, 0)),
        "memory that is writable and executable": ((9, 222), (0, 4096, 7, 0x22, 2**64 - 1, 0)),
        "executable memory": ((9, 222), (0, 4096, 5, 0x22, 2**64 - 1, 0)),
        "memory made executable": ((10, 226), (page, 4096, 5)),
        "fcntl F_SETFL": ((72, 25), (1, 4, 0o2000)),
        "fcntl F_SETOWN": ((72, 25), (1, 8, os.getpid())),
        "prctl PR_SET_DUMPABLE": ((157, 167), (4, 1)),
        "prctl PR_SET_NAME": ((157, 167), (15, name)),
        "limits of the parent": ((302, 261), (os.getppid(), 7, 0, 0)),
        "memfd_create": ((319, 279), (name, 0)),
        "memfd_create MFD_HUGETLB": ((319, 279), (name, 4)),
        "madvise MADV_HWPOISON": ((28, 233), (page, 4096, 100)),
        "kill all": ((62, 129), (2**32 - 1, 0)),
    }


def attempt(number: int, arguments: tuple[int, ...]) -> int:
    """The error number; 0 for success."""
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *(ctypes.c_ulong(argument) for argument in arguments))
    if result == -1:
        return ctypes.get_errno()
    if number == (29, 194)[COLUMN]:
        libc.shmctl(result, 0, None)  # IPC_RMID: it would outlive us
    return 0


def attack(mode: str, parents_file: str, sibling: int) -> dict[str, object]:
    missing: list[str] = []
    table = {
        name: (numbers[COLUMN], arguments) for name, (numbers, arguments) in attempts(parents_file, sibling).items()
    }
    if mode == "landlock":
        libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        assert landlock_version(restrict=True)
    if mode in ("fork_server", "decoder"):
        missing += confine_fork_server(parent=os.getppid(), descriptors=64)
        for entry in BARE.replace("\n", " ").split(","):
            name, *numbers = entry.split()
            table[name] = (int(numbers[COLUMN]) if numbers[COLUMN].isdigit() else None, (0,) * 6)
        # 0x10000000 is CLONE_NEWUSER. If it succeeds, there are two of us.
        table["a namespace"] = ((56, 220)[COLUMN], (0x10000000 | signal.SIGCHLD, 0, 0, 0, 0))
    if mode == "decoder":
        missing += confine_decoder(parent=os.getppid(), memory_bytes=1 << 30)
        table |= {
            "fork": (57 if COLUMN == 0 else None, ()),
            "clone": ((56, 220)[COLUMN], (signal.SIGCHLD, 0, 0, 0, 0)),
            "wait4": ((61, 260)[COLUMN], (0,) * 4),
            "pidfd_open": ((434, 434)[COLUMN], (os.getppid(), 0)),
            "prctl PR_SET_PDEATHSIG": ((157, 167)[COLUMN], (1, 0)),
            "limits of its own": ((302, 261)[COLUMN], (0, 7, 0, 0)),
        }
    outcomes = {name: attempt(number, given) for name, (number, given) in table.items() if number is not None}
    return {"missing": missing, "outcomes": outcomes}


def main(mode: str) -> None:
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    libc.prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    Path("kept").write_bytes(bytes(4096))
    Path("mapped").write_bytes(bytes(4096))
    with Path("mapped").open("r+b") as mapped, mmap.mmap(mapped.fileno(), 4096) as memory:
        sibling = os.fork()
        if not sibling:
            signal.pause()
        parents_file = f"/proc/{os.getpid()}/fd/{mapped.fileno()}"
        reading, writing = os.pipe()
        looked, look = os.pipe()
        attacker = os.fork()
        if not attacker:
            os.write(writing, json.dumps(attack(mode, parents_file, sibling)).encode())
            os.close(writing)
            os.read(looked, 1)
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as answers:
            told = answers.read()
        readable = os.access(f"/proc/{attacker}/mem", os.R_OK)
        os.write(look, b"x")
        _, status = os.waitpid(attacker, 0)
        assert status == 0, status
        mapped_bytes = Path("mapped").stat().st_size
        assert mapped_bytes == 0 or memory[:1] == b"\0"
        # It dies of the first signal that it was sent: a later one changes nothing, however slowly it ends.
        os.kill(sibling, signal.SIGTERM)
        _, status = os.waitpid(sibling, 0)
        killed = os.WTERMSIG(status) == signal.SIGKILL
    files = sorted(path.name for path in Path().iterdir())
    summary = {
        **json.loads(told),
        "mapped_bytes": mapped_bytes,
        "sibling_killed": killed,
        "files": files,
        "memory_readable": readable,
    }
    sys.stdout.write(json.dumps(summary))


if __name__ == "__main__":
    main(sys.argv[1])
