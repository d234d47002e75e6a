"""Sizes of the pages of memory that the kernel gives. Runs in the decoder child.

A demuxer of FFmpeg has a buffer for the longest packet, 200 KiB, of which it may fill a byte, and keeps thousands of
them while it searches for a codec. Small pages that nobody writes are never there. Huge ones are cleared by the kernel,
all of them: 1 MB of such packets took 2.6 s. Decoding fills its buffers, and huge pages make that cheaper.
"""

import ctypes
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from sampler.child.syscalls import PR_SET_THP_DISABLE
from sampler.demux.packet_window import PacketWindow

_LIBC: Final = ctypes.CDLL(None)
_LIBC.prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]


@contextmanager
def small_pages() -> Iterator[None]:
    """Has the kernel give small pages within the context, where it can."""
    _LIBC.prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0)
    try:
        yield
    finally:
        _LIBC.prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0)


def in_small_pages(windows: Iterable[PacketWindow]) -> Iterator[PacketWindow]:
    """The same windows, each read within `small_pages`."""
    iterator = iter(windows)
    while True:
        with small_pages():
            window = next(iterator, None)
        if window is None:
            return
        yield window
