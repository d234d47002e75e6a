"""The bytes of an input as a file that FFmpeg reads. Runs in the decoder child."""

import os
from collections.abc import Callable


class InputFile:
    """A file object over an open descriptor, for FFmpeg to read; it has no position in common with other readers."""

    def __init__(self, descriptor: int, size: int, *, recording: bool = False) -> None:
        """`recording`: nothing comes behind it. Of segments players are given one behind another."""
        self.on_read: Callable[[int, bytes], None] | None = None
        """Is given what is read in order, with its offset."""
        self._descriptor = descriptor
        self.size_bytes = size
        self.recording = recording
        self.read_bytes = 0
        """Bytes that were read in order so far, some more than once."""
        self._position = 0

    def read(self, count: int) -> bytes:
        """Up to `count` bytes."""
        data = os.pread(self._descriptor, min(count, self.size_bytes - self._position), self._position)
        if self.on_read is not None:
            self.on_read(self._position, data)
        self._position += len(data)
        self.read_bytes += len(data)
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
