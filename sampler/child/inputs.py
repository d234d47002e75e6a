"""Memory and files that one decoder process shares with its parent, as objects that own their descriptor.

The time limit's exception comes between any two steps of Python's. So none of them may hold a bare descriptor: `map`
makes it and wraps it without a step between.
"""

import fcntl
import os
from collections.abc import Sequence
from io import FileIO
from itertools import repeat
from typing import BinaryIO

from sampler.errors import EmptyInputError, TooLargeError
from sampler.limits import Limits

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
"""Without them a hostile child could take memory away while the parent reads it (SIGBUS), or add to it."""


def input_size(data: bytes | BinaryIO, init: bytes, limits: Limits) -> int:
    """Size in bytes of the input with `init` in front.

    Raises:
        InputError: empty, or too_large.
    """
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
    return size


def fill(memory: FileIO, parts: Sequence[bytes]) -> None:
    """Writes the parts one after the other."""
    for part in parts:
        view = memoryview(part)
        while view:
            view = view[memory.write(view) :]


def memory_files(names: Sequence[str]) -> list[FileIO]:
    """New memory by the side of no other process, empty, which may be sealed."""
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    return list(map(FileIO, map(os.memfd_create, names, repeat(flags)), repeat("r+")))


def size_for_good(memory: FileIO, size: int) -> None:
    """Gives memory a size, of which the kernel provides what is written, and which cannot be changed."""
    os.truncate(memory.fileno(), size)
    fcntl.fcntl(memory.fileno(), fcntl.F_ADD_SEALS, SEALS)


def process_file(pid: int) -> FileIO | None:
    """A process as a file (pidfd), None where the kernel has none."""
    try:
        return next(map(FileIO, map(os.pidfd_open, (pid,))))
    except OSError:
        return None
