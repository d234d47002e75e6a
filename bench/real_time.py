"""Keeps libraries from making a process real-time.

SVT-AV1 gives a process that encodes as root SCHED_FIFO at priority 99 , and all that it
starts have it too: a browser or a benchmark then starves everything else on the machine.
"""

import ctypes
import os
import struct

VERSION_3, CAP_SYS_NICE = 0x20080522, 23
"""Constants of linux/capability.h."""


def forgo_real_time() -> None:
    """Gives up the capability to raise this process's priority, and that of its children as far as it is inherited.

    Raises:
        OSError: the kernel refuses it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    header = struct.pack("Ii", VERSION_3, 0)
    sets = ctypes.create_string_buffer(struct.calcsize("6I"))
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    without = [*struct.unpack("6I", sets.raw)]  # effective, permitted and inheritable, twice 32 bits
    without[:3] = [one & ~(1 << CAP_SYS_NICE) for one in without[:3]]
    if libc.capset(header, struct.pack("6I", *without)):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
