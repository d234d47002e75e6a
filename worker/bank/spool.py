"""What comes through a pipe, kept on disk while it is read: a list is read from its start more than once."""

import os
import shutil
import stat
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO, Final, cast

from worker.errors import LocalFileError

COPIED_BYTES: Final = 1 << 20
"""At once."""


def at_rest(source: BinaryIO, name: Path, folder: Path) -> BinaryIO:
    """`source` itself if it is a regular file at its start, else a copy of all that comes from it; the caller closes
    it.

    The copy is in `folder`, not in /tmp, which may be memory. Nobody else can open it, and it is gone with this
    process.

    Args:
        name: what `source` is called in an error.

    Raises:
        LocalFileError: it cannot be read, or not be kept.
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
