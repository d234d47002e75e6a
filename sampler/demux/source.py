"""The bytes of an input as a file that FFmpeg reads. Runs in the decoder child."""

import os
from collections.abc import Callable

BLOCK_BYTES = 64 << 10
"""Bytes of which is remembered that they were read: a fourth of what FFmpeg reads at once (`open_input.READ_BYTES`)."""
AGAIN_SHARE = 1 / 40
"""Cost of a byte that was read before, beside one that was not: it is copied, and mostly thrown away, in 0.06 to 0.14
ns, where demuxing a new one takes 5 (2026-12-02). An MP4 whose sound is behind its pictures is read 15 to 60 times."""

Read = Callable[[int, int], bytes]
"""(offset, count) to bytes of the input, fewer at its end."""


class InputFile:
    """A file object over an open descriptor, for FFmpeg to read; it has no position in common with other readers."""

    def __init__(self, descriptor: int, size: int, *, recording: bool = False) -> None:
        """`recording`: nothing comes behind it. Of segments players are given one behind another."""
        self.on_read: Callable[[int, bytes], None] | None = None
        """Is given what is read in order, with its offset."""
        self._descriptor = descriptor
        self.size_bytes = size
        self.recording = recording
        self.read_bytes = 0.0
        """Bytes that were read in order so far; those that were read before count as `AGAIN_SHARE`."""
        self._blocks = bytearray(size // BLOCK_BYTES + 1)
        """1 for each block of which something was read."""
        self._position = 0

    def read(self, count: int) -> bytes:
        """Up to `count` bytes."""
        data = os.pread(self._descriptor, min(count, self.size_bytes - self._position), self._position)
        if self.on_read is not None:
            self.on_read(self._position, data)
        self.read_bytes += self._cost_bytes(self._position, self._position + len(data))
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves as io.IOBase.seek does."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self.size_bytes}[whence]
        self._position = min(max(base + offset, 0), self.size_bytes)
        return self._position

    def tell(self) -> int:
        """Position."""
        return self._position

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on, wherever the position is."""
        return os.pread(self._descriptor, max(min(count, self.size_bytes - offset), 0), offset)

    def _cost_bytes(self, begin: int, end: int) -> float:
        """Notes that bytes of the interval [begin, end) were read, and gives what they count for."""
        if begin == end:
            return 0.0
        blocks = slice(begin // BLOCK_BYTES, (end - 1) // BLOCK_BYTES + 1)
        new_bytes = min(self._blocks.count(0, blocks.start, blocks.stop) * BLOCK_BYTES, end - begin)
        self._blocks[blocks] = b"\1" * (blocks.stop - blocks.start)
        return new_bytes + AGAIN_SHARE * (end - begin - new_bytes)
