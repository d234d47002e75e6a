"""Keeps this process's memory, with pictures and Redis's password, from the disk and from other processes."""

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4


def forbid_dumps() -> None:
    """Disables core files, and keeps other processes of the same user from reading this one's memory or opening its
    files through /proc.

    Both are needed: the limit on core files does not bind a handler to which the kernel pipes them, but is inherited by
    programs that are started; PR_SET_DUMPABLE does not survive an exec, and is reset where the user changes. A debugger
    needs CAP_SYS_PTRACE from here on.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
