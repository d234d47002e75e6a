"""The bytes of an input as an open file, to be handed to the decoder child."""

import os
from typing import BinaryIO

from sampler.errors import EmptyInputError, TooLargeError
from sampler.limits import MIB, Limits

KEPT_BYTES = 4 * MIB
"""Memory up to this size is written over by the next input: the kernel would clear each page of a new one first, which
takes longer than all else here."""


class InputMemory:
    """Memory that holds one input after another. Each process that forks must have its own."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._owner = os.getpid()

    def hold(self, data: bytes | BinaryIO, init: bytes, limits: Limits) -> tuple[int, int]:
        """A descriptor of the input, `init` in front, good until the next call; and its size in bytes.

        Raises:
            InputError: empty, or too_large.
        """
        self._drop_large()
        if isinstance(data, bytes | bytearray | memoryview):
            size = len(init) + len(data)
        elif init:
            raise ValueError("an init section needs bytes, not a file")
        else:
            size = os.fstat(data.fileno()).st_size
        if not size:
            raise EmptyInputError("the input is empty: expected a segment or a picture")
        if size > limits.input_bytes:
            raise TooLargeError(f"the input has {size} bytes: expected at most {limits.input_bytes}")
        if not isinstance(data, bytes | bytearray | memoryview):
            return data.fileno(), size
        if self._descriptor is None:
            # Without MFD_ALLOW_SEALING the child cannot forbid us to write.
            self._descriptor = os.memfd_create("livewarden-input", os.MFD_CLOEXEC)
        position = 0
        for part in (init, data):
            view = memoryview(part)
            while view:
                written = os.pwrite(self._descriptor, view, position)
                view, position = view[written:], position + written
        return self._descriptor, size

    def close(self) -> None:
        """Gives the memory back."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._descriptor = None

    def _drop_large(self) -> None:
        """Closes what is too large to keep, or a parent's: it is about to write to it as well."""
        forked = self._owner != os.getpid()
        if self._descriptor is not None and (forked or os.fstat(self._descriptor).st_size > KEPT_BYTES):
            self.close()
        self._owner = os.getpid()
