"""Keeps the memory of this process, where pictures and the password of Redis are, from the disk and from others."""

import ctypes
import resource
import sys

PR_SET_DUMPABLE = 4


def forbid_dumps() -> None:
    """Leaves no core file behind, and lets no other process of the same user read this one's memory or open its files
    through /proc.

    Both are needed: the limit on core files does not bind a handler to which the kernel pipes them, and passes on to
    programs that are started; PR_SET_DUMPABLE does not pass an exec, and is reset where the user changes. A debugger
    needs CAP_SYS_PTRACE from here on.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
