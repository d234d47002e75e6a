"""Files of a model: regular ones, of a bounded size, and in the folder of their manifest."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from config.counts import counted
from config.regular_file import open_regular
from models.errors import UnreadableError


def open_model_file(path: Path, *, inside: Sequence[Path] | None = None) -> BinaryIO:
    """A file of a model, open for reading; the caller closes it.

    Args:
        inside: folders, in one of which it must really lie, once all links are followed, theirs too. None: anywhere.

    Raises:
        UnreadableError: it is missing, not readable, no regular file, or outside.
    """
    try:
        if inside is None:
            return open_regular(path)
        real = Path(os.path.realpath(path, strict=True))
        if not any(real.is_relative_to(os.path.realpath(folder)) for folder in inside):
            raise UnreadableError(f"it is a link to {real}: expected a file inside {inside[0]}")
        return open_regular(real)
    except OSError as error:
        raise UnreadableError(str(error.strerror)) from error


def read_model_file(path: Path, *, max_bytes: int, inside: Sequence[Path] | None = None) -> bytes:
    """The content of a file of a model.

    Raises:
        UnreadableError: as `open_model_file`; or it is longer than `max_bytes`, or changes its size.
    """
    with open_model_file(path, inside=inside) as file:
        size = os.fstat(file.fileno()).st_size
        if size > max_bytes:
            raise UnreadableError(f"expected at most {max_bytes} bytes, found {size}")
        try:
            data = file.read(size + 1)  # files that a kernel makes up (/proc) claim to be empty
        except OSError as error:
            raise UnreadableError(str(error.strerror)) from error
    if len(data) != size:
        raise UnreadableError(f"expected {counted(size, 'byte')}, its size, found others: is it being written?")
    return data
