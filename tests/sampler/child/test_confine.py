"""Confinement of a compromised decoder: attacks by a process of the worker's own user."""

import errno
import json
import os
import platform
import re
import socket
import struct
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from attacks import NOBODY

from sampler.child.confine import FILE_BYTES, landlock_version
from sampler.child.outbox import BATCH_BYTES
from sampler.child.syscalls import (
    ALLOW,
    AUDIT_ARCH,
    DECODER_CALLS,
    FAIL_WITH_EPERM,
    FORK_SERVER_CALLS,
    KILL_PROCESS,
    Role,
    filter_program,
)
from sampler.limits import Limits

HERE = Path(__file__).parents[1]
ENVIRONMENT = {"PYTHONPATH": f"{HERE.parents[1]}:{HERE}", "PYTHONDONTWRITEBYTECODE": "1"}
POSSIBLE = {
    "truncate what the parent has mapped",
    "truncate",
    "kill a sibling",
    "tgkill",
    "fchmodat",
    "linkat",
    "symlinkat",
    "mkdirat",
    "mknodat",
    "shmget",
    "memory that is writable and executable",
    "executable memory",
    "memory made executable",
}
"""Attempts that succeed for any process of the same user."""


@cache
def attacked(mode: str) -> dict[str, Any]:
    """Results of the attempts of attacks.py."""
    with tempfile.TemporaryDirectory() as folder:
        if os.getuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        done = subprocess.run(
            [sys.executable, str(HERE / "attacks.py"), mode],
            cwd=folder,
            env=ENVIRONMENT,
            capture_output=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr.decode()
    told: dict[str, Any] = json.loads(done.stdout)
    return told


def confined(mode: str) -> dict[str, Any]:
    told = attacked(mode)
    if told["missing"]:
        pytest.skip(f"this machine cannot: {told['missing']}")
    return told


def test_attacks_succeed_without_confinement() -> None:
    """The attacks below would be refused for another reason than the confinement."""
    told = attacked("nothing")
    assert {name for name in POSSIBLE if told["outcomes"][name] == 0} == POSSIBLE
    assert told["mapped_bytes"] == 0
    assert told["sibling_killed"]
    assert told["memory_readable"]


def test_a_compromised_decoder_reaches_nothing() -> None:
    """It would truncate files that its worker has mapped, kill other workers, or load its own code."""
    told = confined("decoder")
    assert {name: number for name, number in told["outcomes"].items() if number != errno.EPERM} == {}
    assert set(told["outcomes"]) >= POSSIBLE
    assert told["mapped_bytes"] == 4096
    assert not told["sibling_killed"]
    assert told["files"] == ["kept", "mapped"]


def test_the_fork_server_may_fork_and_little_else() -> None:
    """A compromised decoder could attack a process next to it that may open files."""
    told = confined("fork_server")
    beyond = {name for name, number in told["outcomes"].items() if number != errno.EPERM}
    # Only Landlock, from version 6 on, protects processes outside: a filter cannot tell whose child a process is.
    assert beyond <= (set() if landlock_version() >= 6 else {"kill a sibling"})
    assert told["mapped_bytes"] == 4096
    assert told["files"] == ["kept", "mapped"]


@pytest.mark.parametrize("mode", ["fork_server", "decoder"])
def test_no_other_process_of_the_same_user_reads_a_decoder(mode: str) -> None:
    """A broadcaster's pictures could be read from a decoder's memory, or dumped by a core handler."""
    assert not confined(mode)["memory_readable"]


def test_landlock_alone_blocks_files_and_signals() -> None:
    """A mistake in the list of system calls would have no second line of defence."""
    if not landlock_version():
        pytest.skip("this kernel has no Landlock")
    told = attacked("landlock")
    for name in ("linkat", "symlinkat", "mkdirat", "mknodat"):
        assert told["outcomes"][name] == errno.EACCES
    if landlock_version() >= 3:
        assert told["outcomes"]["truncate"] == errno.EACCES
        assert told["outcomes"]["truncate what the parent has mapped"] in {errno.EACCES, errno.EPERM}
        assert told["mapped_bytes"] == 4096
    if landlock_version() >= 6:
        assert told["outcomes"]["kill a sibling"] == errno.EPERM
        assert not told["sibling_killed"]


FORKING = """
import json, mmap, os, socket, sys, warnings
warnings.simplefilter("error")
from sampler.child.confine import confine_decoder, confine_fork_server
ours, theirs = socket.socketpair()
shared = mmap.mmap(-1, 8)
memory = os.memfd_create("m")
missing = confine_fork_server(parent=os.getppid(), descriptors=64)
fork_server = os.getpid()
statuses = []
for turn in range(3):
    child = os.fork()
    if not child:
        missing += confine_decoder(parent=fork_server, memory_bytes=1 << 28)
        os.pwrite(memory, b"picture", turn)
        theirs.send(b"x")
        try:
            open("/dev/null")
        except PermissionError:
            shared[turn] = 1
        while turn == 2:
            pass
        os._exit(len(missing))
    assert ours.recv(1) == b"x"
    assert os.pread(memory, 7, turn) == b"picture"
    watched = os.pidfd_open(child)
    if turn == 2:
        os.kill(child, 9)
    _, status, usage = os.wait4(child, 0)
    os.close(watched)
    statuses.append(os.waitstatus_to_exitcode(status))
os.write(1, json.dumps([missing, statuses, list(shared[:2])]).encode())
"""


def test_the_fork_server_forks_confined_decoders_and_reaps_them() -> None:
    """A fresh process for each segment would be unconfined, or could not be forked."""
    command = [sys.executable, "-c", FORKING]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()
    missing, statuses, refused = json.loads(done.stdout)
    if missing:
        pytest.skip(f"this machine cannot: {missing}")
    assert statuses == [0, 0, -9]
    assert refused == [1, 1]


CROWDING = """
import errno, os
from sampler.child.confine import confine_decoder, confine_fork_server
given = os.memfd_create("given by the parent")
confine_fork_server(parent=os.getppid(), descriptors=64, file_bytes=1 << 20)
confine_decoder(parent=os.getppid(), memory_bytes=1 << 30)
try:
    os.memfd_create("made by the decoder")
    raise AssertionError
except OSError as error:
    assert error.errno == errno.EPERM, error
assert os.pwrite(given, bytes(3 << 20), 0) == 1 << 20
try:
    os.pwrite(given, b"x", 1 << 20)
    raise AssertionError
except OSError as error:
    assert error.errno == errno.EFBIG, error
"""


def test_memory_files_of_a_decoder_are_bounded() -> None:
    """It would fill the machine's memory through files, which no limit on address space counts."""
    command = [sys.executable, "-c", CROWDING]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()


FILLING = """
import os, socket, sys
from sampler.child.confine import confine_decoder, confine_fork_server
from sampler.errors import DecoderMemoryError
from sampler.child.outbox import Outbox
from sampler.decode.presentation.planes import StoredPicture
files = [os.memfd_create("a"), os.memfd_create("b")]
confine_fork_server(parent=os.getppid(), descriptors=64, file_bytes=1 << 20)
confine_decoder(parent=os.getppid(), memory_bytes=1 << 30)
outbox = Outbox(socket.socket(fileno=int(sys.argv[1])), files, 1)
# The second is cut short at the bound, the last one begins there.
for rows, expected in ((512, None), (2048, DecoderMemoryError), (512, None), (1, DecoderMemoryError)):
    picture = StoredPicture(
        layout="grey", columns=(1024,), rows=(rows,), strides=(1024,), full_range=True, matrix="bt601"
    )
    try:
        outbox.add(picture, (bytes(1024 * rows),), {})
        outcome = None
    except DecoderMemoryError:
        outcome = DecoderMemoryError
    assert outcome is expected, (rows, outcome)
"""


def test_pictures_over_the_bound_of_a_file_are_an_error_and_no_death() -> None:
    """A picture of an unforeseen size would count as a decoder's death, and end in quarantine."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        command = [sys.executable, "-c", FILLING, str(theirs.fileno())]
        done = subprocess.run(
            command, env=ENVIRONMENT, capture_output=True, timeout=60, check=False, pass_fds=[theirs.fileno()]
        )
    assert done.returncode == 0, done.stderr.decode()


def test_the_largest_picture_fits_into_a_file() -> None:
    """A picture within the limits would be refused for its size in memory."""
    assert BATCH_BYTES + 3 * Limits().picture_pixels < FILE_BYTES


def decide(program: bytes, machine: str, number: int, *arguments: int, arch: int | None = None) -> int:
    """The kernel's decision: an interpreter of the classic BPF of a seccomp filter (linux/filter.h)."""
    data = struct.pack("=iIQ6Q", number, AUDIT_ARCH[machine] if arch is None else arch, 0, *(*arguments, *[0] * 6)[:6])
    lines = [struct.unpack_from("=HBBI", program, offset) for offset in range(0, len(program), 8)]
    place = value = 0
    while True:
        code, true, false, constant = lines[place]
        place += 1
        if code == 0x20:
            (value,) = struct.unpack_from("=I", data, constant)
        elif code == 0x54:
            value &= constant
        elif code == 0x05:
            place += constant
        elif code == 0x06:
            return constant
        else:
            holds = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[code]
            place += true if holds else false


@pytest.mark.parametrize("machine", AUDIT_ARCH)
@pytest.mark.parametrize("role", ["fork_server", "decoder"])
def test_the_filter_allows_exactly_the_listed_calls(machine: str, role: Role) -> None:
    """On the other architecture a wrong jump would allow everything or nothing."""
    program = filter_program(machine, role)
    column = list(AUDIT_ARCH).index(machine)
    calls = DECODER_CALLS if role == "decoder" else {**DECODER_CALLS, **FORK_SERVER_CALLS}
    fitting = {
        "madvise": (0, 0, 4),
        "futex": (0, 128 | 9),
        "fcntl": (0, 1034),
        "clone": (0x01200011,),
        "kill": (4711, 9),
        "prctl": (41,),
        "prlimit64": (0, 9),
        "setitimer": (2,),
    }
    allowed = {pair[column]: fitting.get(name, ()) for name, pair in calls.items() if pair[column] is not None}
    for number in range(1024):
        expected = ALLOW if number in allowed else FAIL_WITH_EPERM
        assert decide(program, machine, number, *allowed.get(number, ())) == expected, number
        assert decide(program, machine, number, arch=AUDIT_ARCH[machine] ^ 1) == KILL_PROCESS
        assert decide(program, machine, number | 0x40000000) == KILL_PROCESS
    by_name = {name: pair[column] or 0 for name, pair in calls.items()}
    for name, *arguments in (
        ("mmap", 0, 4096, 7),
        ("mmap", 0, 4096, 4),
        ("mprotect", 0, 4096, 5),
        ("fcntl", 1, 1033),
        ("fcntl", 1, 4),
        ("futex", 0, 6),
        ("sendto", 0, 0, 0, 0, 1),
        ("sendto", 0, 0, 0, 0, 1 << 32),
        ("setitimer", 0),
        *(
            (("clone", 0x11 | 0x10000000), ("clone", 0x11 | 0x100), ("kill", 2**32 - 1, 9), ("kill", 0, 9))
            if role == "fork_server"
            else ()
        ),
        *((("kill", 4711, 10), ("prlimit64", 1, 9)) if role == "fork_server" else (("prctl", 1), ("prctl", 22))),
        ("prctl", 4),
    ):
        assert decide(program, machine, by_name[str(name)], *(int(one) for one in arguments)) == FAIL_WITH_EPERM


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
)
def test_system_call_numbers_are_the_kernels(column: int, header: str) -> None:
    """A wrong number would allow another call."""
    if not Path(header).exists():
        pytest.skip(f"{header} is not installed, or this is {platform.machine()}")
    text = Path(header).read_text()
    numbers = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    for name, pair in {**DECODER_CALLS, **FORK_SERVER_CALLS}.items():
        assert pair[column] == numbers.get(name), name
