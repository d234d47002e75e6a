"""Reads and writes files named on the command line."""

import os
import shutil
import stat
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, cast

from config.regular_file import open_regular
from worker.errors import LocalFileError

COPIED_BYTES: Final = 1 << 20
"""Copied in one piece."""


def open_file(path: Path) -> BinaryIO:
    """Opens `path` for reading; the caller closes it.

    Raises:
        LocalFileError: it is missing, no regular file, or not readable.
    """
    try:
        return open_regular(path)
    except OSError as error:
        raise LocalFileError(f"{path}: cannot be read: {error.strerror}") from error


def open_media(path: Path) -> BinaryIO:
    """As `open_file`, for media, which are read more than once.

    Raises:
        LocalFileError: as `open_file`; or it is a pipe, such as /dev/stdin may be.
    """
    file = open_file(path)
    if file.seekable():
        return file
    file.close()
    raise LocalFileError(f"{path}: expected a file, found a pipe: write what comes through it to disk first")


def read_file(path: Path, *, max_bytes: int) -> bytes:
    """The content of `path`.

    Raises:
        LocalFileError: as `open_file`; or it is longer than `max_bytes`.
    """
    # One byte more than allowed is read, and no size is trusted: a pipe or a growing file has none.
    data = read_range(path, offset=0, length=max_bytes + 1)
    if len(data) > max_bytes:
        raise LocalFileError(f"{path}: expected at most {max_bytes} bytes")
    return data


def read_range(path: Path, *, offset: int, length: int) -> bytes:
    """Up to `length` bytes of `path` from `offset` on.

    Raises:
        LocalFileError: as `open_file`.
    """
    with open_file(path) as file:
        try:
            if offset:
                file.seek(offset)
            return file.read(length)
        except OSError as error:
            raise LocalFileError(f"{path}: cannot be read: {error.strerror}") from error


def at_rest(source: BinaryIO, name: Path, folder: Path) -> BinaryIO:
    """Returns `source` itself if it is a regular file at its start, else a copy of it, since a list is read more than
    once; the caller closes it.

    The copy is in `folder`, not in /tmp, which may be memory. No other process can open it, and it ends with this one.

    Args:
        name: of `source` in errors.

    Raises:
        LocalFileError: it cannot be read or copied.
    """
    try:
        if stat.S_ISREG(os.fstat(source.fileno()).st_mode) and not source.tell():
            return source
        folder.mkdir(parents=True, exist_ok=True)
        kept = TemporaryFile(dir=folder)  # noqa: SIM115 - the caller's
        try:
            shutil.copyfileobj(source, kept, COPIED_BYTES)
            kept.flush()
            kept.seek(0)
        except BaseException:
            kept.close()
            raise
    except OSError as error:
        raise LocalFileError(f"{name}: cannot be read and kept in {folder}: {error.strerror}") from error
    return cast(BinaryIO, kept)


def expect_writable(path: Path) -> None:
    """Checks that `path` can be written, before the work for it begins; leaves it as it was.

    Raises:
        LocalFileError: it cannot be written.
    """
    try:
        is_new = not (path.exists() or path.is_symlink())
        with path.open("ab"):
            pass
        if is_new:
            path.unlink()
    except OSError as error:
        raise LocalFileError(f"{path}: cannot be written: {error.strerror}") from error


def expect_private(path: Path) -> None:
    """As `expect_writable`, for `write_private_file`.

    Raises:
        LocalFileError: it is a link, or cannot be written.
    """
    if path.is_symlink():
        raise LocalFileError(f"{path}: is a link: expected a file, or a name that is free")
    expect_writable(path)


def write_file(path: Path, data: bytes) -> None:
    """Writes `data` to `path`; an existing file is replaced.

    Raises:
        LocalFileError: it cannot be written.
    """
    try:
        path.write_bytes(data)
    except OSError as error:
        raise LocalFileError(f"{path}: cannot be written: {error.strerror}") from error


def write_private_file(path: Path, data: bytes) -> None:
    """Writes `data` to `path`, which only its owner may read; an existing file is replaced.

    Raises:
        LocalFileError: it is a link, or cannot be written.
    """
    try:
        # Through a link, which anybody may leave in a shared folder, it would replace another file.
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(path, flags, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o600)
            file.write(data)
    except OSError as error:
        raise LocalFileError(f"{path}: cannot be written: {error.strerror}") from error
