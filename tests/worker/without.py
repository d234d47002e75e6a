"""`python without.py seccomp|decoder COMMAND…`: runs a command that cannot install filters of system calls, as in a
sandbox whose own filter denies it; or that cannot create sockets of the kind (SOCK_SEQPACKET) that control a decoder's
fork server."""

import ctypes
import os
import platform
import struct
import sys

PR_SET_SECCOMP, PR_SET_NO_NEW_PRIVS = 22, 38
PRCTL, SECCOMP, SOCKETPAIR = (157, 317, 53) if platform.machine() == "x86_64" else (167, 277, 199)
DENY, ALLOW = 0x00050001, 0x7FFF0000
SOCK_TYPE, SOCK_SEQPACKET = 0xF, 5

FILTERS = {
    "seccomp": (
        (0x20, 0, 0, 0),  # load the number
        (0x15, 3, 0, SECCOMP),
        (0x15, 0, 3, PRCTL),
        (0x20, 0, 0, 16),  # load the first argument
        (0x15, 0, 1, PR_SET_SECCOMP),
        (0x06, 0, 0, DENY),
        (0x06, 0, 0, ALLOW),
    ),
    "decoder": (
        (0x20, 0, 0, 0),
        (0x15, 0, 4, SOCKETPAIR),
        (0x20, 0, 0, 24),  # load the second argument
        (0x54, 0, 0, SOCK_TYPE),
        (0x15, 0, 1, SOCK_SEQPACKET),
        (0x06, 0, 0, DENY),
        (0x06, 0, 0, ALLOW),
    ),
}


def main(what: str, *command: str) -> None:
    lines = FILTERS[what]
    program = b"".join(struct.pack("=HBBI", *line) for line in lines)
    buffer = ctypes.create_string_buffer(program, len(program))
    described = ctypes.create_string_buffer(struct.pack("@HP", len(lines), ctypes.addressof(buffer)))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    assert libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0
    assert libc.prctl(PR_SET_SECCOMP, 2, ctypes.addressof(described), 0, 0) == 0
    os.execv(command[0], command)


if __name__ == "__main__":
    main(*sys.argv[1:])
